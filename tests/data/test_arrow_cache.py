"""Corpora are read once, read again when their files change, and a damaged or large cache does no harm."""

import os
import shutil
from pathlib import Path

import pytest

from sentence_order.config.schema import CacheConfig, DataConfig, Source
from sentence_order.data.arrow_cache import ArrowCache
from sentence_order.data.sources import load_splits
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.errors import UserError
from sentence_order.model.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer(["a b c d e f g"], 50)


def load(tmp_path: Path, max_gb: float = 1.0) -> Corpus:
    cache = CacheConfig(dir=str(tmp_path / "cache"), max_gb=max_gb)
    config = DataConfig(Source.text, train=str(tmp_path / "stories.txt"), validation="x", test="x")
    return tokenize_corpus(load_splits(config, ["train"], cache)["train"], TOKENIZER, config, "train", cache)


def files(tmp_path: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (tmp_path / "cache" / "corpora").iterdir()}


def test_a_corpus_is_read_once_and_again_if_its_bytes_change(tmp_path: Path) -> None:
    """Not by time and size, which `cp -p`, `rsync -t` and a coarse clock keep."""
    file = tmp_path / "stories.txt"
    file.write_text("a\nb\n")
    os.utime(file, (0, 0))
    assert load(tmp_path).documents["sentences"] == [["a", "b"]]
    once = files(tmp_path)
    assert load(tmp_path).documents["sentences"] == [["a", "b"]]
    assert files(tmp_path) == once
    assert len(once) == 2, "the documents and their tokens"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "cache" / "corpora").iterdir()} == {0o644}

    file.write_text("a\nc\n")
    os.utime(file, (0, 0))
    assert load(tmp_path).documents["sentences"] == [["a", "c"]]


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.999])
def test_a_damaged_file_is_made_anew(tmp_path: Path, keep: float) -> None:
    (tmp_path / "stories.txt").write_text("a\nb\n\nc\nd\n")
    whole = load(tmp_path)
    for path in (tmp_path / "cache" / "corpora").iterdir():
        content = path.read_bytes()
        size = int(keep * len(content)) if keep < 1 else int(keep)
        path.unlink()  # the corpus above still reads the old one
        path.write_bytes(content[:size] if keep != 0.5 else content[:size] + b"x" + content[size + 1 :])
    again = load(tmp_path)
    assert again.documents["sentences"] == whole.documents["sentences"] == [["a", "b"], ["c", "d"]]
    assert again.input_ids.tolist() == whole.input_ids.tolist()
    assert len(files(tmp_path)) == 2


def test_a_cache_that_is_removed_does_not_disturb_who_reads_it(tmp_path: Path) -> None:
    (tmp_path / "stories.txt").write_text("a\nb\n")
    corpus = load(tmp_path)
    shutil.rmtree(tmp_path / "cache")
    assert corpus.documents["sentences"] == [["a", "b"]]
    assert load(tmp_path).keys.tolist() == corpus.keys.tolist()


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "stories.txt").write_text(f"a\n{number}\n")
        load(tmp_path)
        for path, _, used in ArrowCache(tmp_path / "cache" / "corpora", 0).files():
            os.utime(path, (used - 100, used - 100))
    two = files(tmp_path)
    assert len(two) == 8
    (tmp_path / "stories.txt").write_text("a\nlast\n")
    load(tmp_path, max_gb=1e-9)
    assert len(files(tmp_path)) == 1, "the one that was written last; the one that was read before is still mapped"
    assert not two.keys() & files(tmp_path).keys()


def test_mistakes_in_a_file_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "stories.txt").write_bytes(b"a\nb\n\nc\xc3\xa9\xff\n")
    with pytest.raises(UserError, match=r"stories\.txt:4: not UTF-8"):
        load(tmp_path)
    assert files(tmp_path) == {}
    (tmp_path / "stories.txt").chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(UserError, match=r"data\.train: .*Permission denied"):
            load(tmp_path)


def test_files_of_other_programs_are_neither_listed_nor_removed(tmp_path: Path) -> None:
    cache = ArrowCache(tmp_path / "corpora", 0)
    cache.folder.mkdir()
    others = [cache.folder / name for name in ("notes.txt", "mine.arrow", f"{'0' * 32}-{'1' * 32}.arrow")]
    for path in others:
        path.write_text("mine")
    assert cache.files() == []
    cache.clear()
    assert all(path.read_text() == "mine" for path in others)


def test_a_folder_that_cannot_be_made_is_one_line_with_a_way_out() -> None:
    with pytest.raises(OSError, match=r"cache\.dir: /dev/null/x/corpora .* SENTENCE_ORDER_CACHE"):
        load_splits(DataConfig(Source.synthetic, limit_train=2), ["train"], CacheConfig(dir="/dev/null/x"))
