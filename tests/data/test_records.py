"""Tables are read in the dialects in which programs write them."""

from pathlib import Path
from typing import Any

import pytest

from sentence_order.data.layout import Layout
from sentence_order.data.readers import describe_dialects, read_documents
from sentence_order.errors import UserError

WIDE = {"sentence_columns": ["s1", "s2"]}


def read(folder: Path, text: str, **layout: Any) -> list[list[str]]:
    (folder / "file").write_text(text, encoding="utf-8")
    return [document.sentences for document in read_documents(str(folder / "file"), "csv", Layout(**layout))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_separator_is_found_out(tmp_path: Path, delimiter: str) -> None:
    text = delimiter.join(["id", "s1", "s2"]) + "\n" + delimiter.join(["a", "He came", '"Then, he; left|\t."']) + "\n"
    assert read(tmp_path, text, **WIDE) == [["He came", "Then, he; left|\t."]]
    assert read(tmp_path, text, delimiter=delimiter, **WIDE) == [["He came", "Then, he; left|\t."]]
    named = {",": "", ";": "';'-separated; data.delimiter sets it", "\t": "tab-separated; data.delimiter sets it"}
    if delimiter in named:
        files, shown = [(str(tmp_path / "file"), "csv")], f"{tmp_path / 'file'} read as {named[delimiter]}"
        assert list(describe_dialects(files, Layout(**WIDE))) == [shown] * (delimiter != ",")
        assert list(describe_dialects(files, Layout(delimiter=delimiter, **WIDE))) == []


def test_the_separator_is_the_one_that_gives_the_columns(tmp_path: Path) -> None:
    assert read(tmp_path, "s1;s2,a,b,c\nHe came.;He left.\n", sentence_columns=["s1", "s2,a,b,c"]) == [
        ["He came.", "He left."]
    ]
    assert read(tmp_path, "s1\ts2\nHe came.\tHe left.\n", delimiter="tab", **WIDE) == [["He came.", "He left."]]


def test_what_excel_and_people_put_before_or_into_a_header_is_no_part_of_it(tmp_path: Path) -> None:
    for text in ("sep=|\ns1|s2\nHe came.|He left.\n", "\n\ns1, s2\nHe came.,He left.\n", "s1 ;s2\nHe came.;He left.\n"):
        assert read(tmp_path, text, **WIDE) == [["He came.", "He left."]]
    with pytest.raises(UserError, match=r":4: not CSV"):
        read(tmp_path, '\nsep=,\ns1,s2\n"He" came.,x\n', **WIDE)


def test_rows_may_be_short_and_end_in_empty_cells(tmp_path: Path) -> None:
    assert read(tmp_path, "id,s1,s2\na,He came.\nb,He left.,,,\n", **WIDE) == [["He came.", ""], ["He left.", ""]]
    with pytest.raises(UserError, match=":2: more cells than the header has columns"):
        read(tmp_path, "id,s1,s2\na,b,c,d\n", **WIDE)


def test_quotes_that_are_escaped_by_backslashes_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, 'id,s1,s2\n"a","He said \\"No\\", twice.","He left."\n', **WIDE) == [
        ['He said "No", twice.', "He left."]
    ]
    as_json = 'id,sentences\na,"[""He said \\""No\\"" twice."", ""C:\\\\""]"\n'
    assert read(tmp_path, as_json) == [['He said "No" twice.', "C:\\"]]
    with pytest.raises(UserError, match=r":2: not CSV: .*; a quote within a cell is written twice"):
        read(tmp_path, 'id,s1,s2\na,"He, said "No", twice.",x\nb,x,y\n', **WIDE)


def test_quotes_that_do_not_enclose_cells_are_part_of_the_text(tmp_path: Path) -> None:
    text = 'id\ts1\ts2\na\t"No," he said.\t5" nails\nb\tHe left.\t"Go."\n'
    assert read(tmp_path, text, **WIDE) == [['"No," he said.', '5" nails'], ["He left.", '"Go."']]
    assert read(tmp_path, 's1\ts2\n"He\nleft."\t"a"', **WIDE) == [["He\nleft.", "a"]]


def test_a_table_without_a_header_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="; the first row must name the columns"):
        read(tmp_path, "1,He came.,He left.\n2,He sat.,He rose.\n")
