"""Nothing that is read runs code, names other files to read, or makes a run write beside its folder."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from sentence_order.checkpoints import load_checkpoint
from sentence_order.config import DataConfig, Source, TrainConfig
from sentence_order.data.sources import load_splits
from sentence_order.errors import UserError
from sentence_order.model.encoder import load_encoder, load_tokenizer
from sentence_order.sweep import MOST_CHARACTERS, job_name
from sentence_order.training.folder import read_config
from sentence_order.training.state import STATE_FILE, read_state

Command = Callable[..., CompletedProcess[str]]
EVIL_NAME = "../../../evil"
TEMPLATES = [{"name": "default", "template": "x"}, {"name": EVIL_NAME, "template": "y"}]


class Evil:
    """A pickle that makes a file where it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What code that must not run would make."""
    return tmp_path / "code_has_run"


@pytest.fixture
def checkpoint(tiny_model, tmp_path: Path) -> Path:
    """A whole checkpoint, without a manifest."""
    folder = tmp_path / "checkpoint"
    tiny_model.save_pretrained(folder)
    return folder


def change(file: Path, **values: Any) -> None:
    """Sets values of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def put_code(folder: Path, mark: Path) -> None:
    """A module that makes the mark where it is imported."""
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Evil: ...\n")


ASKED_FOR = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}


@pytest.mark.parametrize("where", ["config", "encoder", "tokenizer", "tokenizer as a list"])
def test_code_of_a_checkpoint_is_not_run(checkpoint: Path, mark: Path, where: str) -> None:
    put_code(checkpoint, mark)
    config, tokenizer = checkpoint / "config.json", checkpoint / "tokenizer_config.json"
    if where == "config":
        change(config, auto_map=ASKED_FOR)
    elif where == "encoder":
        change(config, encoder={**json.loads(config.read_text())["encoder"], "auto_map": ASKED_FOR})
    else:
        change(tokenizer, auto_map=ASKED_FOR if where == "tokenizer" else ASKED_FOR["AutoTokenizer"])
    assert sorted(load_checkpoint(str(checkpoint)).order(["One.", "Two."])) == [0, 1]
    assert not mark.exists()


def test_code_of_an_encoder_is_not_run(tiny_model, tmp_path: Path, mark: Path, monkeypatch) -> None:
    def ask(_: str) -> str:
        raise AssertionError("a prompt")

    monkeypatch.setattr("builtins.input", ask)
    folder = tmp_path / "encoder"
    tiny_model.encoder.save_pretrained(folder)
    tiny_model.tokenizer.save_pretrained(folder)
    put_code(folder, mark)
    change(folder / "config.json", auto_map=ASKED_FOR)
    change(folder / "tokenizer_config.json", auto_map=ASKED_FOR)
    assert "auto_map" not in load_encoder(str(folder)).config.to_dict()
    load_tokenizer(str(folder))
    change(folder / "config.json", model_type="evil")  # no type that transformers knows: it would ask
    with pytest.raises(UserError, match=r"encoder\.name: .* could not be loaded"):
        load_encoder(str(folder))
    assert not mark.exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_no_kernel_is_fetched(checkpoint: Path, monkeypatch, key: str) -> None:
    import transformers.modeling_utils as modeling

    def fetch(*_: Any, **__: Any) -> None:
        raise AssertionError("a kernel")

    monkeypatch.setattr(modeling, "lazy_import_flash_attention", fetch)
    change(checkpoint / "config.json", **{key: "kernels-community/evil"})
    encoder = json.loads((checkpoint / "config.json").read_text())["encoder"]
    change(checkpoint / "config.json", encoder={**encoder, key: "kernels-community/evil"})
    load_checkpoint(str(checkpoint))


def test_other_weights_are_not_read(checkpoint: Path, mark: Path) -> None:
    expected = load_checkpoint(str(checkpoint)).state_dict()
    evil = pickle.dumps(Evil(mark))
    (checkpoint / "pytorch_model.bin").write_bytes(evil)
    (checkpoint / "adapter_model.bin").write_bytes(evil)
    (checkpoint / "other.safetensors").write_bytes(b"")
    for name in ("adapter_model.bin", "other.safetensors"):
        change(checkpoint / "config.json", transformers_weights=name, quantization_config={"quant_method": "evil"})
        with pytest.raises(UserError, match=r"holds adapter_model\.bin, which is no part of a checkpoint"):
            load_checkpoint(str(checkpoint))
    (checkpoint / "adapter_model.bin").unlink()
    found = load_checkpoint(str(checkpoint)).state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"not a whole checkpoint: no model\.safetensors"):
        load_checkpoint(str(checkpoint))
    assert not mark.exists()


def test_pickled_encoders_are_refused(tiny_model, tmp_path: Path, mark: Path) -> None:
    tiny_model.encoder.save_pretrained(tmp_path / "encoder")
    (tmp_path / "encoder" / "model.safetensors").unlink()
    (tmp_path / "encoder" / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(UserError, match="could not be loaded"):
        load_encoder(str(tmp_path / "encoder"))
    assert not mark.exists()


def test_chat_templates_are_not_carried_on(checkpoint: Path, tmp_path: Path) -> None:
    """Transformers saves each as a file of its name."""
    change(checkpoint / "tokenizer_config.json", chat_template=TEMPLATES, auto_map=ASKED_FOR)
    (checkpoint / "chat_template.jinja").write_text("x")
    model = load_checkpoint(str(checkpoint))
    before = set(tmp_path.rglob("*"))
    saved = tmp_path / "a" / "b" / "saved"
    model.save_pretrained(saved)
    files = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in set(tmp_path.rglob("*")) - before if path.is_file()} == files
    assert "evil" not in (saved / "tokenizer_config.json").read_text()
    assert load_tokenizer(str(checkpoint)).chat_template is None


@pytest.mark.parametrize("content", ["pickle", "module", "text", "nothing", "list"])
def test_hostile_training_state(checkpoint: Path, mark: Path, content: str) -> None:
    from sentence_order import files

    file = checkpoint / STATE_FILE
    if content == "pickle":
        file.write_bytes(pickle.dumps(Evil(mark)))
    elif content == "module":
        torch.save({"step": Evil(mark)}, file)
    elif content == "list":
        torch.save([1], file)
    else:
        file.write_bytes(b"no state" if content == "text" else b"")
    files._write_manifest(checkpoint)  # which anybody can write
    with pytest.raises(UserError, match="is damaged: ") as caught:
        read_state(checkpoint)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 0", "seed: ${oc.env:HOME}"),
        ("seed: 0", "seed: ${hydra:job.num}"),
        ("seed: 0", "seed: 0\n_target_: os.system"),
        ("optim:", "optim:\n  _target_: os.system"),
        ("seed: 0", "seed: !!python/object/apply:os.mkdir [{mark}]"),
        ("seed: 0", "a: &a [x, x]\nb: &b [*a, *a]\nseed: 0"),
        ("seed: 0", "\0"),
        ("seed: 0", "[" * 3000),
    ],
)
def test_hostile_config_of_a_run(tmp_path: Path, mark: Path, old: str, new: str) -> None:
    from omegaconf import OmegaConf

    config = TrainConfig(data=DataConfig(Source.synthetic), output_dir="../../elsewhere")
    config.encoder.name = "tiny"
    text = OmegaConf.to_yaml(OmegaConf.structured(config))
    (tmp_path / "config.yaml").write_text(text)
    assert read_config(tmp_path) == config
    assert old in text
    (tmp_path / "config.yaml").write_text(text.replace(old, new.replace("{mark}", str(mark))))
    with pytest.raises(UserError, match="is not the config of a run of this version") as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_swept_values_do_not_leave_the_folder() -> None:
    for value in ("../../x", "/etc/passwd", "..", ".", "", "a/../../b", "\\..\\x", "x" * 500, "é" * 500, "a\nb"):
        name = job_name([f"data.train={value}", "seed=0"], ["data.train", "seed"])
        assert Path("sweep", name).parent == Path("sweep")
        assert (Path("sweep") / name).resolve().parent == Path("sweep").resolve()
        assert len(name) < MOST_CHARACTERS + 10


def test_a_data_set_runs_no_script(tmp_path: Path, mark: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "corpus.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    with pytest.raises(UserError, match=r"data\.hub_id: .* could not be loaded"):
        load_splits(DataConfig(Source.hub, hub_id=str(folder), train="train"), ["train", "validation", "test"])
    assert not mark.exists()


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"decoder": "bogus"}, "decoder: one of exact"),
        ({"beam_width": -1}, "beam_width: a number from 1"),
        ({"position_ids": "bogus"}, "position_ids: one of per_sentence"),
        ({"pooling": None}, "pooling: one of mean, first"),
        ({"max_sentence_tokens": 10**9}, "max_sentence_tokens: a number from 3 to 512"),
        ({"max_sentence_tokens": True}, "max_sentence_tokens: a number"),
        ({"joint_from": "half"}, "joint_from: a number from 0 to 4"),
        ({"set_layers": 10**12}, "set_layers: a number"),
        ({"set_layers": 0}, "config.json tells of no set_layers.0"),
        ({"head_width": 12}, "and by config.json"),
        ({"heads": "pairs"}, "heads: some of pairs"),
        ({"heads": ["pairs"]}, "config.json tells of no neighbour_head"),
        ({"heads": ["pointer"]}, "no weights for pointer_head"),
        ({"frozen_blocks": [99]}, "frozen_blocks: some of 0 to 4"),
        ({"loss": {"bogus": 1}}, "loss: weights of"),
        ({"calibration": [float("nan"), 0.0]}, "calibration: a slope and an offset"),
        ({"calibration": [1.0]}, "calibration: a slope and an offset"),
        ({"encoder": None}, "its encoder must be one of bert"),
        ({"encoder": {"model_type": "sentence-orderer"}}, "its encoder must be one of bert"),
        ({"encoder": {"model_type": "bert", "hidden_size": "x"}}, "Field 'hidden_size' expected int"),
        ({"encoder": {"model_type": "bert", "num_hidden_layers": 10**9}}, "num_hidden_layers: from 0 to 1000"),
    ],
)
def test_settings_that_cannot_be(checkpoint: Path, values: dict[str, Any], complaint: str) -> None:
    change(checkpoint / "config.json", **values)
    with pytest.raises(UserError) as caught:
        load_checkpoint(str(checkpoint))
    assert str(caught.value).startswith(f"checkpoint: {checkpoint}")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (
            lambda weights: {name: weight * torch.nan for name, weight in weights.items()},
            "finite",
        ),
        (
            lambda weights: {name: (weight * 9).to(torch.int8) for name, weight in weights.items()},
            "no type of fractions",
        ),
        (lambda weights: {**weights, "more": torch.zeros(1)}, "config.json tells of no more"),
    ],
)
def test_weights_that_cannot_be(checkpoint: Path, make: Callable[..., dict[str, torch.Tensor]], complaint: str) -> None:
    file = checkpoint / "model.safetensors"
    save_file(make(load_file(file)), file, {"format": "pt"})
    with pytest.raises(UserError, match=complaint):
        load_checkpoint(str(checkpoint))


def test_tokenizer_that_does_not_fit(checkpoint: Path, tmp_path: Path) -> None:
    from sentence_order.model.tiny import tiny_tokenizer

    shutil.copytree(checkpoint, tmp_path / "other")
    words = (f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnopqrs" for c in "tuvwxyz")
    tiny_tokenizer([" ".join(words)], 600).save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="its tokenizer does not fit its weights: token 599, of 500 embeddings"):
        load_checkpoint(str(tmp_path / "other"))
    settings = json.loads((checkpoint / "tokenizer.json").read_text())
    (checkpoint / "tokenizer.json").write_text(json.dumps({**settings, "post_processor": None}))
    with pytest.raises(UserError, match="its tokenizer adds no special tokens"):
        load_checkpoint(str(checkpoint))


def test_scores_that_are_no_numbers(checkpoint: Path, tiny_model) -> None:
    encoder = json.loads((checkpoint / "config.json").read_text())["encoder"]
    change(checkpoint / "config.json", encoder={**encoder, "layer_norm_eps": -1.0})
    with pytest.raises(UserError, match="its scores are not numbers"):
        load_checkpoint(str(checkpoint)).order(["One.", "Two."])


def test_a_checkpoint_of_the_hub_is_checked_alike(checkpoint: Path, tmp_path: Path, monkeypatch) -> None:
    cache = tmp_path / "hub" / "models--owner--name"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    shutil.copytree(checkpoint, cache / "snapshots" / ("0" * 40))
    monkeypatch.setattr(
        "sentence_order.checkpoints.snapshot_download",
        partial(huggingface_hub.snapshot_download, cache_dir=tmp_path / "hub"),
    )
    assert sorted(load_checkpoint("owner/name").order(["One.", "Two."])) == [0, 1]
    weights = cache / "snapshots" / ("0" * 40) / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(UserError, match=r"not a whole checkpoint: no model\.safetensors"):
        load_checkpoint("owner/name")


def test_a_run_that_is_resumed_runs_no_pickle(command: Command, tmp_path: Path, mark: Path) -> None:
    """As users meet it: a folder from elsewhere, and the command that goes on with it."""
    run = ["debug=smoke", "output_dir=run", "trainer.max_steps=4", "trainer.save_every=2"]
    done = command("train", *run)
    assert done.returncode == 0, done.stderr
    (tmp_path / "run" / "results.json").unlink()
    last = tmp_path / "run" / "checkpoints" / "last"
    (last / STATE_FILE).write_bytes(pickle.dumps(Evil(mark)))
    (last / "SHA256SUMS").write_text("")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    done = command("train", *run, "resume=auto")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "is damaged" in done.stderr
    assert not mark.exists()
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before.get(path)} <= {"train.log", ".lock"}
