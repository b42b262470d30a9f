"""Splits have the source and size that the config names, and are read again when a file changes."""

import dataclasses
import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Audio, Features, List, Value

from sentence_order.config.schema import DataConfig, Source
from sentence_order.data.sources import load_splits
from sentence_order.errors import UserError

ALL = ["train", "validation", "test"]


def write(path: Path, first: int, count: int) -> str:
    lines = [json.dumps({"id": f"d{n}", "sentences": [f"s{n}.", f"t{n}."]}) for n in range(first, first + count)]
    path.write_text("\n".join(lines))
    return str(path)


def test_globs_name_several_files_and_limits_shorten_splits(tmp_path: Path) -> None:
    for part in range(3):
        write(tmp_path / f"part-{part}.jsonl", 10 * part, 10)
    held_out = write(tmp_path / "held_out.jsonl", 100, 5)
    config = DataConfig(
        Source.jsonl, train=f"{tmp_path}/part-*.jsonl", validation=held_out, test=held_out, limit_train=12, limit_test=2
    )
    splits = load_splits(config, ALL)
    assert splits["train"]["id"] == [f"d{n}" for n in range(12)]
    assert [len(splits[name]) for name in ALL] == [12, 5, 2]


def test_a_file_is_read_once_even_if_several_links_lead_to_it(tmp_path: Path) -> None:
    """Also if links to folders form circles."""
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub" / "a.jsonl", 0, 10)
    write(tmp_path / ".hidden.jsonl", 50, 10)
    (tmp_path / "b.jsonl").symlink_to("sub/a.jsonl")
    for name in ("here", "here_too", "sub/up"):
        (tmp_path / name).symlink_to(tmp_path)
    for pattern in ("**/*.jsonl", "*.jsonl", "*/*.jsonl", "sub/../**/*.jsonl"):
        config = DataConfig(Source.jsonl, train=f"{tmp_path}/{pattern}", validation=f"{tmp_path}/sub/*", test="x")
        assert load_splits(config, ["train"])["train"]["id"] == [f"d{n}" for n in range(10)], pattern


def test_what_was_found_out_about_files_is_logged_once_for_each_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = []
    for number in range(6):
        path = tmp_path / f"{number}.csv"
        text = f"s1;s2\nHe came, {number}.;He {'étais' if number % 2 else 'was'} late.\n"
        path.write_bytes(text.encode("cp1252"))
        paths.append(str(path))
    config = DataConfig(Source.csv, train=paths, sentence_columns=["s1", "s2"], validation=paths[0], test=paths[1])
    for _ in range(2):  # also from the cache
        caplog.clear()
        with caplog.at_level("INFO", "sentence_order"):
            assert len(load_splits(config, ALL)["train"]) == 6
        assert caplog.messages == [
            f"data: {paths[0]} read as ';'-separated; data.delimiter sets it",
            f"data: {paths[1]} read as ';'-separated, cp1252; data.delimiter and data.encoding set them",
        ]


def test_a_text_without_blank_lines_is_told_from_too_few_documents(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("\n".join(f"He ran {n} miles." for n in range(30)))
    with pytest.raises(
        UserError, match=r"data\.train: 1 document .*blank lines separate documents, and there are none"
    ):
        load_splits(DataConfig(Source.text, train=str(tmp_path / "x.txt")), ALL)


def test_held_out_documents_are_split_off_by_seed(tmp_path: Path) -> None:
    config = DataConfig(Source.jsonl, train=write(tmp_path / "all.jsonl", 0, 500), validation_share=0.2)
    everything = [f"d{n}" for n in range(500)]
    splits = load_splits(config, ALL)
    for name, share in {"train": 0.7, "validation": 0.2, "test": 0.1}.items():
        assert abs(len(splits[name]) - 500 * share) < 4 * (500 * share * (1 - share)) ** 0.5, "four deviations"
    assert sorted(i for name in ALL for i in splits[name]["id"]) == sorted(everything)
    assert splits["train"]["id"] == sorted(splits["train"]["id"], key=everything.index), "the corpus's order"
    assert load_splits(config, ["test"])["test"]["id"] == splits["test"]["id"], "as `evaluate` loads it"
    config.split_seed = 1
    assert load_splits(config, ALL)["validation"]["id"] != splits["validation"]["id"]


def test_groups_are_kept_and_change_neither_splits_nor_fingerprints(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    lines = [json.dumps({"id": f"d{n}", "sentences": [f"s{n}.", f"t{n}."], "topic": n % 3}) for n in range(60)]
    path.write_text("\n".join(lines))
    config = DataConfig(Source.jsonl, train=str(path), limit_train=20)
    without, splits = (load_splits(dataclasses.replace(config, group_column=name), ALL) for name in (None, "topic"))
    for name in ALL:
        assert splits[name]["group"][:] == [str(int(identity[1:]) % 3) for identity in splits[name]["id"]]
        assert set(without[name]["group"]) == {""}
        for column in ("id", "sentences", "fingerprint"):
            assert splits[name][column][:] == without[name][column][:]


def test_added_documents_move_nobody_and_copies_stay_together(tmp_path: Path) -> None:
    config = DataConfig(Source.jsonl, train=write(tmp_path / "all.jsonl", 0, 200))
    before = {identity: name for name, split in load_splits(config, ALL).items() for identity in split["id"]}
    copies = [json.dumps({"id": f"copy {n}", "sentences": [f"T{n}. ", "", f"s{n}."]}) for n in range(200)]
    more = write(tmp_path / "more.jsonl", 200, 100)
    Path(config.train).write_text("\n".join([Path(more).read_text(), *copies, Path(config.train).read_text()]))
    after = {identity: name for name, split in load_splits(config, ALL).items() for identity in split["id"]}
    assert len(after) == 500
    for identity, name in before.items():
        assert after[identity] == after[identity.replace("d", "copy ")] == name


@pytest.mark.parametrize("count", [3, 4, 10])
def test_no_split_is_empty_if_there_are_texts_for_all(tmp_path: Path, count: int) -> None:
    for seed in range(100):
        config = DataConfig(Source.jsonl, train=write(tmp_path / "few.jsonl", 0, count), split_seed=seed)
        assert sum(len(split) > 0 for split in load_splits(config, ALL).values()) == 3
    copies = "\n".join([(tmp_path / "few.jsonl").read_text().splitlines()[0]] * 9)
    (tmp_path / "few.jsonl").write_text(copies)
    with pytest.raises(UserError, match="9 documents of 1 different text: too few"):
        load_splits(config, ALL)


def test_running_text_that_is_read_as_lines_is_told_from_too_few_documents(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("\n\n".join(f"Ann ran {n} miles. She was tired." for n in range(30)))
    with pytest.raises(UserError, match=r"data\.train: none of the 30 documents has .* data.text_layout=paragraphs"):
        load_splits(DataConfig(Source.text, train=str(tmp_path / "x.txt")), ALL)


def test_no_evaluation_tests_on_training_documents(tmp_path: Path) -> None:
    """A run that had a validation file, evaluated without it: the test documents are the same ones."""
    whole, other = write(tmp_path / "all.jsonl", 0, 50), write(tmp_path / "validation.jsonl", 90, 5)
    run = load_splits(DataConfig(Source.jsonl, train=whole, validation=other), ALL)
    evaluation = load_splits(DataConfig(Source.jsonl, train=whole), ["test"])
    assert evaluation["test"]["id"] == run["test"]["id"]
    assert not set(evaluation["test"]["id"]) & set(run["train"]["id"])


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    config = DataConfig(Source.jsonl, test=write(path, 0, 3))
    assert load_splits(config, ["test"])["test"]["id"] == ["d0", "d1", "d2"]
    write(path, 5, 3)
    os.utime(path, ns=(1, 1))
    assert load_splits(config, ["test"])["test"]["id"] == ["d5", "d6", "d7"]


def test_synthetic_stories_are_generated_by_seed() -> None:
    assert [len(load_splits(DataConfig(Source.synthetic), [name])[name]) for name in ALL] == [800, 100, 300]
    config = DataConfig(Source.synthetic, limit_train=5, limit_validation=3, limit_test=2)
    splits = load_splits(config, ALL)
    assert [len(splits[name]) for name in ALL] == [5, 3, 2]
    assert load_splits(config, ["train"])["train"][:] == splits["train"][:]
    others = dataclasses.replace(config, split_seed=1)
    assert load_splits(others, ["train"])["train"][0] != splits["train"][0]


def test_a_hub_data_set_may_have_a_row_per_sentence(tmp_path: Path) -> None:
    rows = [{"doc": n // 3, "place": -n, "text": f"It was {n}."} for n in range(12)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = DataConfig(Source.hub, hub_id=str(tmp_path), train="train", validation="train", test="train")
    config.document_column, config.position_column, config.text_column, config.limit_train = "doc", "place", "text", 2
    split = load_splits(config, ["train"])["train"]
    assert split["id"] == ["0", "1"]
    assert split[0]["sentences"] == ["It was 2.", "It was 1.", "It was 0."]


def test_a_hub_data_set_may_be_a_folder(tmp_path: Path) -> None:
    """`load_dataset` takes a folder as it takes a hub id."""
    lines = [json.dumps({"storyid": f"x{n}", "text": f"Ann ran {n} miles. She was tired.", "n": n}) for n in range(4)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    config = DataConfig(
        Source.hub, hub_id=str(tmp_path), validation="train", test="train", id_column="storyid", text_column="text"
    )
    config.train = "train"
    split = load_splits(config, ["train"])["train"]
    assert (split[3]["id"], split[3]["sentences"]) == ("x3", ["Ann ran 3 miles.", "She was tired."])
    (tmp_path / "train.jsonl").write_text("\n".join(lines).replace("Ann", "Bob"))  # of the same size
    os.utime(tmp_path / "train.jsonl", (0, 0))
    assert load_splits(config, ["train"])["train"][3]["sentences"][0] == "Bob ran 3 miles."
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    os.utime(tmp_path / "train.jsonl", (0, 0))
    assert load_splits(config, ["train"])["train"][3]["sentences"][0] == "Ann ran 3 miles."
    config.train = "train[1:3]"
    assert load_splits(config, ["train"])["train"]["id"] == ["x1", "x2"]
    config.train = "dev"
    with pytest.raises(UserError, match=r"data\.hub_id: .* could not be loaded"):
        load_splits(config, ["train"])
    config.train, config.text_column = "train", "story"
    with pytest.raises(UserError, match="no field 'story'"):
        load_splits(config, ["train"])


def test_configurations_of_a_folder_are_told_apart_and_nothing_is_decoded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A recording, which could not be decoded here, and a gold order beside the text."""
    columns = {"sentences": List(Value("string")), "position": List(Value("int64")), "recording": Audio()}
    for name in ("de", "en"):
        rows = [{"sentences": [name, "x"], "position": [1, 0], "recording": {"bytes": b"-", "path": None}}] * 3
        (tmp_path / name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows, Features(columns).arrow_schema), tmp_path / name / "train.parquet")
    names = "".join(f"\n- config_name: {name}\n  data_files: {name}/*.parquet" for name in ("de", "en"))
    (tmp_path / "README.md").write_text(f"---\nconfigs:{names}\n---\n")
    config = DataConfig(Source.hub, hub_id=str(tmp_path), train="train", validation="train", test="train")
    for name in ("de", "en", "de"):
        caplog.clear()
        split = load_splits(dataclasses.replace(config, hub_config=name), ["train"])["train"]
        assert split[0]["sentences"] == [name, "x"]
        assert "position has a permutation" in caplog.text, "also from the cache"


def test_files_of_a_folder_may_be_renamed_or_lie_elsewhere(tmp_path: Path) -> None:
    folder, other = tmp_path / "corpus", tmp_path / "elsewhere.jsonl"
    folder.mkdir()
    for name, file in (("a", folder / "train.jsonl"), ("b", folder / "test.jsonl"), ("c", other)):
        file.write_text(json.dumps({"sentences": [name, "x"]}))
    config = DataConfig(Source.hub, hub_id=str(folder), train="train", validation="train", test="test")

    def first(split: str) -> str:
        return str(load_splits(config, [split])[split][0]["sentences"][0])

    assert (first("train"), first("test")) == ("a", "b")
    (folder / "train.jsonl").rename(folder / "x")
    (folder / "test.jsonl").rename(folder / "train.jsonl")
    (folder / "x").rename(folder / "test.jsonl")
    assert (first("train"), first("test")) == ("b", "a")
    listed = "".join(f"\n  - split: {split}\n    path: ../elsewhere.jsonl" for split in ("train", "test"))
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:{listed}\n---\n")
    assert first("test") == "c"
    other.write_text(json.dumps({"sentences": ["d", "x"]}))
    os.utime(other, (0, 0))
    assert first("test") == "d"


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_packed_file_that_is_cut_is_named(tmp_path: Path, suffix: str) -> None:
    lines = ["sentences", *['"[""x"", ""y""]"'] * 99] if suffix == "csv" else ['{"sentences": ["x", "y"]}'] * 99
    path = tmp_path / f"cut.{suffix}.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode())[:-9])
    config = DataConfig(Source(suffix), train=str(path), validation=str(path), test=str(path))
    with pytest.raises(UserError, match=rf"cut\.{suffix}\.gz: cannot be read"):
        load_splits(config, ["train"])


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (DataConfig(Source.jsonl), "data.train"),
        (DataConfig(Source.jsonl, train="{}/nothing-*.jsonl"), "nothing-*.jsonl"),
        (DataConfig(Source.jsonl, train="{}"), "folder"),
        (DataConfig(Source.jsonl, train="{}/pi*"), "pipe"),
        (DataConfig(Source.jsonl, train="{}/**x"), "**x"),
        (DataConfig(Source.jsonl, train="{}/two.jsonl"), "2 documents"),
        (DataConfig(Source.jsonl, train="{}/bad.jsonl"), "bad.jsonl:1"),
        (DataConfig(Source.hub, hub_id="{}/nowhere", train="train"), "data.hub_id"),
    ],
)
def test_mistakes_name_the_key_or_the_file(tmp_path: Path, config: DataConfig, named: str) -> None:
    write(tmp_path / "two.jsonl", 0, 2)
    (tmp_path / "bad.jsonl").write_text("no json\n")
    os.mkfifo(tmp_path / "pipe")
    config.train = config.train and config.train.format(tmp_path)
    config.hub_id = config.hub_id and config.hub_id.format(tmp_path)
    with pytest.raises(UserError) as caught:
        load_splits(config, ALL)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
