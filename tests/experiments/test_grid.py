"""The grid of a sweep: depths of freezing made from the encoder, and jobs that cannot exist."""

import json
import re
from pathlib import Path

import pytest

from sentence_order.config.schema import EncoderConfig
from sentence_order.errors import UserError
from sentence_order.experiments import grid
from sentence_order.experiments.grid import depths_of
from sentence_order.experiments.sweep import Sweep
from sentence_order.model.locations import find_depth

SWEEP = "sweep=frozen_vs_unfrozen"


def check_grid(words: list[str]) -> list[str] | None:
    """The depths that a command line's sweep leaves to the encoder."""
    sweep, words = Sweep.parse(words)
    assert sweep is not None
    return grid.check_grid(words, sweep.swept, sweep.fixed)


@pytest.mark.parametrize(
    ("layers", "depths"),
    [
        (1, []),
        (2, [1]),
        (4, [1, 2, 3]),
        (6, [1, 2, 3, 4, 5]),
        (7, [2, 4, 6]),
        (12, [2, 4, 6, 8, 10]),
        (24, [4, 8, 12, 16, 20]),
    ],
)
def test_depths_are_those_of_the_encoder(layers: int, depths: list[int]) -> None:
    """At most six steps from the embeddings to the whole encoder."""
    expected = ["none", "embeddings", *map(str, depths), "all"]
    assert depths_of(layers) == expected
    assert check_grid([SWEEP, "encoder=tiny", f"encoder.tiny_layers={layers}"]) == expected


def test_the_encoder_may_be_a_folder_or_swept_too(tmp_path: Path) -> None:
    """Encoders of several depths have those in common that are no numbers."""
    (tmp_path / "config.json").write_text(json.dumps({"n_layers": 3}))
    assert check_grid([SWEEP, f"encoder.name={tmp_path}"]) == ["none", "embeddings", "1", "2", "all"]
    assert check_grid([SWEEP, "debug=smoke", "encoder.tiny_layers=2,12"]) == ["none", "embeddings", "half", "all"]
    assert check_grid([SWEEP, "encoder=tiny", "encoder.tiny_width=48,96"]) == depths_of(4)


def test_layers_that_share_their_weights_are_frozen_together(tmp_path: Path) -> None:
    """Also if another encoder is swept beside them."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "albert", "num_hidden_layers": 12}))
    for names in (str(tmp_path), f"tiny,{tmp_path}"):
        assert check_grid([SWEEP, f"encoder.name={names}"]) == ["none", "embeddings", "all"]


def test_depths_that_are_typed_win() -> None:
    for typed in ("freeze.depth=none,2", "freeze.depth=2"):
        assert check_grid([SWEEP, "encoder=tiny", typed]) is None


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["freeze.depth=none,9"], "freeze.depth: 9 is not valid; .* in the job freeze.depth=9$"),
        (["freeze.depth=2,3", "encoder.tiny_layers=2,4"], "in the job freeze.depth=3 encoder.tiny_layers=2$"),
        (["freeze=none,bottom_half", "encoder.joint_from=2,5"], "encoder.joint_from: .*freeze=none enc"),
        (["seed=0,1", "freeze.layers=[7]"], "freeze.layers: there is no layer 7; [^;]*$"),
        (["freeze.schedule=[0:all],[0:9]"], "freeze.schedule: 0:9"),
        (["encoder.name=a/b,no/such/folder"], "encoder.name: no/such/folder: no such folder"),
    ],
)
def test_layers_that_do_not_exist_are_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(UserError) as error:
        check_grid(["-m", "encoder=tiny", *words])
    assert re.search(complaint, "; ".join([str(error.value), *getattr(error.value, "__notes__", [])]))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["sweep=encoders", "encoder.name=a/b"],
            "the jobs encoder=ettin_17m freeze=none and encoder=minilm freeze=none are the same run: encoder.name "
            "replaces what they differ in; sweep over it alone: -m encoder.name=A,B",
        ),
        (["sweep=encoders", "encoder.name=a/b,c/d", "freeze=none"], "are the same run: encoder.name replaces"),
    ],
)
def test_jobs_that_would_be_the_same_run_are_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=re.escape(complaint)):
        check_grid(words)


def test_mistakes_of_other_kinds_are_left_to_the_jobs() -> None:
    for words in (["encoder=nope,tiny"], ["freeze.depth=2,3", "typo=1"]):
        assert check_grid(["-m", *words]) is None


def test_an_encoder_that_was_never_loaded_has_no_known_depth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is loaded but its config.json, which a cache of the hub may have."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert find_depth(EncoderConfig("owner/name"), download=True) is None
    with pytest.raises(UserError, match=r"^freeze.depth: the number of layers of owner/name is not known"):
        check_grid([SWEEP, "encoder.name=owner/name"])
    folder = tmp_path / "models--owner--name"
    for path, text in (("refs/main", "abc"), ("snapshots/abc/config.json", '{"num_hidden_layers": 2}')):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    assert find_depth(EncoderConfig("owner/name")) == 2
