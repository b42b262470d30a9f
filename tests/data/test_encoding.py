"""A tokenizer from anyone neither fills the memory nor ends in a traceback."""

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sentence_order.data.encoding import describe_tokenizer, encode
from sentence_order.errors import UserError
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.tokenizer import load_tokenizer

LONG = {"type": "Replace", "pattern": {"String": "q"}, "content": "r" * 50}
LONGER = {"type": "Replace", "pattern": {"Regex": "(?=.)"}, "content": "s" * 50}
PRECOMPILED = base64.b64encode(b"\0\0\0\0" + b"x" * 1000 + b"\0").decode()


@pytest.fixture
def folder(tiny_model: SentenceOrdererModel, tmp_path: Path) -> Path:
    """An encoder with its tokenizer."""
    tiny_model.encoder.save_pretrained(tmp_path)
    assert tiny_model.tokenizer is not None
    tiny_model.tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_where_a_tokenizer_was_loaded_from_does_not_matter(folder: Path, tmp_path: Path) -> None:
    """By this the tokens of a corpus are cached."""
    other = tmp_path / "other"
    load_tokenizer(str(folder)).save_pretrained(other)
    (other / "config.json").write_bytes((folder / "config.json").read_bytes())
    (other / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    again = describe_tokenizer(load_tokenizer(str(other)))
    assert again == describe_tokenizer(load_tokenizer(str(folder)))
    change(other, normalizer=LONG)
    assert describe_tokenizer(load_tokenizer(str(other))) != again


def change(folder: Path, **values: Any) -> None:
    file = folder / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(
    ("normalizer", "growth"),
    [
        (LONG, None),
        ({"type": "Sequence", "normalizers": [LONG, LONGER]}, "2,500"),
        ({"type": "Replace", "pattern": {"String": "qq"}, "content": "r" * 2000}, "1,000"),
        ({"type": "Prepend", "prepend": "x" * 999}, "1,000"),
        ({"type": "Precompiled", "precompiled_charsmap": PRECOMPILED}, "1,000"),
        ({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}, None),
    ],
)
def test_a_normaliser_that_multiplies_the_text_is_refused(
    folder: Path, normalizer: dict[str, Any], growth: str | None
) -> None:
    change(folder, normalizer=normalizer)
    if growth is None:
        load_tokenizer(str(folder))
    else:
        with pytest.raises(UserError, match=f"makes a text {growth} times as long"):
            load_tokenizer(str(folder))


def test_a_pattern_that_runs_out_of_steps_is_one_line(folder: Path) -> None:
    regex = {"type": "Split", "pattern": {"Regex": "(x+x+)+y"}, "behavior": "Isolated", "invert": False}
    change(folder, pre_tokenizer=regex)
    tokenizer = load_tokenizer(str(folder))
    with pytest.raises(UserError, match=rf"^the tokenizer of {folder} fails on this text: ") as caught:
        encode(tokenizer, ["x" * 40_000])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("split_special_tokens", [False, True])
def test_token_ids_are_those_of_the_tokenizers_own_call(tiny_model, split_special_tokens: bool) -> None:
    tokenizer = copy.deepcopy(tiny_model.tokenizer)
    tokenizer.split_special_tokens = split_special_tokens
    texts = ["Tom got up late.", "He [SEP] missed [CLS] the bus!", "", "a" * 500, "naïve café, 東京"]
    for truncates in (False, True):
        if truncates:  # as a tokenizer.json may
            tokenizer.backend_tokenizer.enable_truncation(3)
            tokenizer.backend_tokenizer.enable_padding()
        ids = encode(tokenizer, texts)
        assert ids == tokenizer(texts, verbose=False)["input_ids"]
    assert len(ids[1]) > 3
