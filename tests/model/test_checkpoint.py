"""Checkpoints load by folder, run or hub id; those of earlier versions too, by the former names of their weights."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from sentence_order.config.cli import compose
from sentence_order.config.schema import HeadName
from sentence_order.errors import UserError
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.checkpoint import find_checkpoint, load_checkpoint
from sentence_order.model.locations import REQUIRED_FILES, find_local_checkpoint
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.manifest import MANIFEST, find_corruption
from sentence_order.training.run_config import read_config
from tests.hub import hub
from tests.permissions import no_permission

# The names of the heads' modules in revision 5905ae2.
FORMER_NAMES = {
    "pairs": "pair_head",
    "scores": "score_head",
    "neighbours": "neighbour_head",
    "positions": "position_head",
    "pointer": "pointer_head",
    "relational_pointer": "pointer_head",
}
# And those of DistilBERT's set layers in revision 59106b2.
FORMER_SET_LAYER = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}
HEADS = {
    "pairs and neighbours": (["pairs", "neighbours"], {"order": 1.0}, "exact"),
    "scores": (["scores"], {"list_mle": 1.0}, "borda"),
    "positions": (["positions"], {"position": 1.0}, "assignment"),
    "pointer": (["pointer"], {"pointer": 1.0}, "pointer"),
    "relational pointer": (["relational_pointer"], {"pointer": 1.0}, "pointer"),
}


def same_weights(a: SentenceOrdererModel, b: SentenceOrdererModel) -> bool:
    """True if two models have the same weights, under the same names."""
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("name", HEADS)
def test_a_checkpoint_with_former_names_loads(
    make_model: Callable[..., SentenceOrdererModel], tmp_path: Path, name: str
) -> None:
    heads, loss, decoder = HEADS[name]
    model = make_model(heads=[HeadName(head) for head in heads], loss=loss, decoder=decoder)
    model.save_pretrained(tmp_path / "old")
    file = tmp_path / "old" / "model.safetensors"
    weights = load_file(file)
    former = {re.sub(r"^heads\.(\w+)", lambda found: FORMER_NAMES[found[1]], key): weights[key] for key in weights}
    assert {key.split(".")[0] for key in former} > {FORMER_NAMES[head] for head in heads}
    assert not any(key.startswith("heads.") for key in former)
    save_file(former, file, {"format": "pt"})

    loaded = load_checkpoint(str(tmp_path / "old"))
    assert same_weights(loaded, model)
    assert same_weights(AutoModel.from_pretrained(tmp_path / "old"), model)
    loaded.save_pretrained(tmp_path / "new")
    assert load_file(tmp_path / "new" / "model.safetensors").keys() == weights.keys()
    assert same_weights(load_checkpoint(str(tmp_path / "new")), model)


def test_set_layers_of_distilbert_with_former_names_load(
    make_model: Callable[..., SentenceOrdererModel], tmp_path: Path
) -> None:
    model = make_model(encoder="distilbert", set_layers=2)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    former = {
        re.sub(
            r"^(set_layers\.\d\.)(.+)(\.\w+)$", lambda found: found[1] + FORMER_SET_LAYER[found[2]] + found[3], key
        ): w
        for key, w in weights.items()
    }
    assert len(former.keys() - weights.keys()) == 2 * 2 * len(FORMER_SET_LAYER)
    save_file(former, tmp_path / "model.safetensors", {"format": "pt"})
    assert same_weights(load_checkpoint(str(tmp_path)), model)


def test_the_config_of_an_earlier_versions_run_is_read(tmp_path: Path) -> None:
    """It has the keys `batch` and `debug.replay`, which are gone."""
    config = compose("train", ["debug=smoke", "output_dir=run"])
    content = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    content |= {"batch": None, "debug": {**content["debug"], "replay": False}}
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(content))
    assert read_config(tmp_path) == config
    content["debug"]["other"] = True
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(content))
    with pytest.raises(UserError, match=r"config\.yaml"):
        read_config(tmp_path)


def test_save_pretrained_keeps_the_card_and_writes_checksums(
    tiny_model: SentenceOrdererModel, stories: list[list[str]], tmp_path: Path
) -> None:
    SentenceOrderer(tiny_model, "# A card").save_pretrained(tmp_path / "first")
    loaded = SentenceOrderer.from_pretrained(tmp_path / "first")
    assert loaded.card == "# A card"
    assert loaded.predict(stories[:9]) == SentenceOrderer(tiny_model).predict(stories[:9])

    loaded.save_pretrained(tmp_path / "second")
    assert (tmp_path / "second" / "README.md").read_text() == "# A card"
    files = {path.name for path in (tmp_path / "second").iterdir()}
    assert files == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
        MANIFEST,
        "README.md",
    }
    assert find_corruption(tmp_path / "second") is None
    (tmp_path / "second" / "config.json").write_text("{}")
    assert "config.json" in (find_corruption(tmp_path / "second") or "")


def test_push_to_hub_uploads_a_saved_checkpoint(
    tiny_model: SentenceOrdererModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orderer = SentenceOrderer(tiny_model, "---\nlibrary_name: sentence_order\n---\n# A card")
    with hub() as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        address = orderer.push_to_hub("name", private=True, token="secret", commit_message="First")
    assert address.startswith(f"{server.url}/owner/name")
    assert server.created[0]["name"] == "name"
    assert "private" in str(server.created[0])
    assert server.messages == ["First"]

    orderer.save_pretrained(tmp_path / "saved")
    assert server.files == {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}
    assert {"README.md", MANIFEST} < server.files.keys()


def test_a_runs_folder_stands_for_its_best_checkpoint(tiny_model: SentenceOrdererModel, tmp_path: Path) -> None:
    best = tmp_path / "run" / "checkpoints" / "best"
    SentenceOrderer(tiny_model).save_pretrained(best)
    for path in (tmp_path / "run", best):
        assert find_checkpoint(str(path)) == best
    assert same_weights(load_checkpoint(str(tmp_path / "run")), tiny_model)


def test_folders_that_are_not_checkpoints_are_refused(tiny_model: SentenceOrdererModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^init_from: \./nowhere"):
        find_checkpoint("./nowhere", "init_from")
    SentenceOrderer(tiny_model).save_pretrained(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"^checkpoint: .*tokenizer\.json"):
        find_checkpoint(str(tmp_path / "checkpoint"))
    (tmp_path / "checkpoint" / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"^checkpoint: .*tokenizer\.json"):
        find_checkpoint(str(tmp_path / "checkpoint"))


def test_missing_permission_is_named(
    tiny_model: SentenceOrdererModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    SentenceOrderer(tiny_model).save_pretrained("private/run")
    weights = Path("private/run/model.safetensors")
    with no_permission(Path("private")), pytest.raises(UserError, match=r"^init_from: private/run: Permission denied"):
        find_checkpoint("private/run", "init_from")
    for _ in range(2):
        with no_permission(weights), pytest.raises(UserError, match=r"^checkpoint: .*safetensors: Permission denied$"):
            load_checkpoint("private/run")
        Path("private/run", MANIFEST).unlink(missing_ok=True)


def test_runs_of_a_folder_that_is_no_checkpoint_are_listed(tmp_path: Path) -> None:
    """Of a sweep, the best run is named."""
    for name, tau in (("a", 0.1), ("o'b", 0.3), ("c", 0.2)):
        best = tmp_path / "sweep" / name / "checkpoints" / "best"
        best.mkdir(parents=True)
        (best / "validation.json").write_text(json.dumps({"tau": {"value": tau}}))

    def complaint(folder: str) -> str:
        with pytest.raises(UserError) as error:
            find_local_checkpoint(str(tmp_path / folder), "checkpoint")
        return str(error.value).replace(str(tmp_path), "")

    assert complaint("sweep").endswith("/sweep holds 3 runs: a, c, o'b; name one, such as checkpoint=/sweep/a")
    assert "holds 3 runs: sweep/a, sweep/c, sweep/o'b; " in complaint(".")
    (tmp_path / "sweep" / "multirun.yaml").touch()
    assert complaint("sweep").endswith("""such as 'checkpoint="/sweep/o'"'"'b"', the best by validation tau""")


def test_a_complete_checkpoint_may_have_runs_beside_its_files(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints" / "best").mkdir(parents=True)
    for name in REQUIRED_FILES:
        (tmp_path / name).touch()
    assert find_local_checkpoint(str(tmp_path), "checkpoint") == tmp_path
