"""Groups of documents, by which results are given."""

from sentence_order.data.groups import MAX_GROUPS, group_label, rows_by_group


def test_the_largest_group_is_first_and_a_single_one_is_none() -> None:
    rows = rows_by_group(["b", "a", "c", "b", "", "b", "a"])
    assert {group: rows_R.tolist() for group, rows_R in rows.items()} == {
        "b": [0, 3, 5],
        "a": [1, 6],
        "": [4],
        "c": [2],
    }
    assert list(rows) == ["b", "a", "", "c"]
    assert rows_by_group(["a", "a"]) == rows_by_group([""]) == rows_by_group([]) == {}


def test_of_many_groups_the_largest_are_taken() -> None:
    rows = rows_by_group([*map(str, range(1000)), "999"])
    assert len(rows) == MAX_GROUPS
    assert rows["999"].tolist() == [999, 1000]


def test_labels_are_on_one_line() -> None:
    assert [group_label(group) for group in ("new plots", "a\x1b[1m", "")] == ["new plots", "a\\x1b[1m", "no group"]
