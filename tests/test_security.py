"""No file that is read can run code, make the program read other files, or make a run write outside its folder."""

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
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from sentence_order.config.schema import DataConfig, Source, TrainConfig
from sentence_order.data.sources import load_splits
from sentence_order.errors import UserError
from sentence_order.experiments.names import MAX_NAME, job_name
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.checkpoint import load_checkpoint
from sentence_order.model.encoder import load_encoder
from sentence_order.model.tiny import tiny_tokenizer
from sentence_order.model.tokenizer import load_tokenizer
from sentence_order.runtime.files import atomic_folder
from sentence_order.runtime.manifest import MANIFEST
from sentence_order.training.run_config import read_config, read_overrides
from sentence_order.training.state import STATE_FILE, read_state

Command = Callable[..., CompletedProcess[str]]
EVIL_NAME = "../../../evil"
TEMPLATES = [{"name": "default", "template": "x"}, {"name": EVIL_NAME, "template": "y"}]


class Evil:
    """A pickle that makes a folder when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The folder that code would make which must not run."""
    return tmp_path / "code_has_run"


@pytest.fixture
def checkpoint(tiny_model, tmp_path: Path) -> Path:
    """A complete checkpoint without a manifest."""
    folder = tmp_path / "checkpoint"
    tiny_model.save_pretrained(folder)
    return folder


def order(checkpoint: Path | str) -> list[int]:
    """The order of two sentences by a checkpoint."""
    return SentenceOrderer(load_checkpoint(str(checkpoint))).order(["One.", "Two."])


def change(file: Path, **values: Any) -> None:
    """Sets values of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def put_code(folder: Path, mark: Path) -> None:
    """Adds a module that makes the mark when it is imported."""
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
    assert sorted(order(checkpoint)) == [0, 1]
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
    with pytest.raises(UserError, match=r"encoder\.name: "):
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


def test_only_the_weights_of_model_safetensors_are_read(checkpoint: Path, mark: Path) -> None:
    expected = load_checkpoint(str(checkpoint)).state_dict()
    evil = pickle.dumps(Evil(mark))
    (checkpoint / "pytorch_model.bin").write_bytes(evil)
    (checkpoint / "adapter_model.bin").write_bytes(evil)
    (checkpoint / "other.safetensors").write_bytes(b"")
    for name in ("adapter_model.bin", "other.safetensors"):
        change(checkpoint / "config.json", transformers_weights=name, quantization_config={"quant_method": "evil"})
        with pytest.raises(UserError, match=r"adapter_model\.bin"):
            load_checkpoint(str(checkpoint))
    (checkpoint / "adapter_model.bin").unlink()
    found = load_checkpoint(str(checkpoint)).state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_checkpoint(str(checkpoint))
    assert not mark.exists()


def test_pickled_encoders_are_refused(tiny_model, tmp_path: Path, mark: Path) -> None:
    tiny_model.encoder.save_pretrained(tmp_path / "encoder")
    (tmp_path / "encoder" / "model.safetensors").unlink()
    (tmp_path / "encoder" / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(UserError, match=r"encoder\.name: "):
        load_encoder(str(tmp_path / "encoder"))
    assert not mark.exists()


def test_chat_templates_are_not_saved_again(checkpoint: Path, tmp_path: Path) -> None:
    """Transformers would save each as a file of its name."""
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
def test_hostile_training_states_are_refused(checkpoint: Path, mark: Path, content: str) -> None:
    hostile = checkpoint.parent / "hostile"
    with atomic_folder(hostile) as fresh:  # with a manifest, which anybody can write
        shutil.copytree(checkpoint, fresh, dirs_exist_ok=True)
        write_hostile_state(fresh / STATE_FILE, mark, content)
    assert (hostile / MANIFEST).exists()
    with pytest.raises(UserError, match=str(hostile)) as caught:
        read_state(hostile)
    assert str(caught.value).isprintable()
    assert not mark.exists()


def write_hostile_state(file: Path, mark: Path, content: str) -> None:
    """Writes what is not the state of a training."""
    if content == "pickle":
        file.write_bytes(pickle.dumps(Evil(mark)))
    elif content == "module":
        torch.save({"step": Evil(mark)}, file)
    elif content == "list":
        torch.save([1], file)
    else:
        file.write_bytes(b"no state" if content == "text" else b"")


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
def test_hostile_configs_of_runs_are_refused(tmp_path: Path, mark: Path, old: str, new: str) -> None:
    config = TrainConfig(data=DataConfig(Source.synthetic), output_dir="../../elsewhere")
    config.encoder.name = "tiny"
    text = OmegaConf.to_yaml(OmegaConf.structured(config))
    (tmp_path / "config.yaml").write_text(text)
    assert read_config(tmp_path) == config
    assert old in text
    (tmp_path / "config.yaml").write_text(text.replace(old, new.replace("{mark}", str(mark))))
    with pytest.raises(UserError, match=r"config\.yaml") as caught:
        read_config(tmp_path)
    assert str(caught.value).isprintable()
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    ["", "seed: 3", "- [seed=0]", "- a: &a [x]\n- *a", "- !!python/object/apply:os.mkdir [{mark}]", "[" * 3000],
)
def test_hostile_overrides_of_runs_are_ignored(
    tmp_path: Path, mark: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "overrides.yaml").write_text(content.replace("{mark}", str(mark)))
    assert read_overrides(tmp_path) == []
    assert "overrides.yaml" in caplog.text
    assert caplog.messages[0].isprintable()
    assert not mark.exists()


def test_folders_of_jobs_are_inside_that_of_the_sweep() -> None:
    for value in ("../../x", "/etc/passwd", "..", ".", "", "a/../../b", "\\..\\x", "x" * 500, "é" * 500, "a\nb"):
        name = job_name([f"data.train={value}", "seed=0"], {"data.train": None, "seed": None})
        assert Path("sweep", name).parent == Path("sweep")
        assert (Path("sweep") / name).resolve().parent == Path("sweep").resolve()
        assert len(name) < MAX_NAME + 10


def test_scripts_of_data_sets_are_not_run(tmp_path: Path, mark: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "corpus.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    with pytest.raises(UserError, match=r"data\.hub_id: "):
        load_splits(DataConfig(Source.hub, hub_id=str(folder), train="train"), ["train", "validation", "test"])
    assert not mark.exists()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"decoder": "bogus"}, "decoder: "),
        ({"beam_width": -1}, "beam_width: "),
        ({"position_ids": "bogus"}, "position_ids: "),
        ({"pooling": None}, "pooling: "),
        ({"max_sentence_tokens": 10**9}, "max_sentence_tokens: "),
        ({"max_sentence_tokens": True}, "max_sentence_tokens: "),
        ({"joint_from": "half"}, "joint_from: "),
        ({"set_layers": 10**12}, "set_layers: "),
        ({"set_layers": 0}, "set_layers.0"),
        ({"head_width": 12}, "config.json"),
        ({"heads": "pairs"}, "heads: "),
        ({"heads": ["pairs"]}, "heads.neighbours"),
        ({"heads": ["pointer"]}, "heads.pointer"),
        ({"frozen_blocks": [99]}, "frozen_blocks: "),
        ({"loss": {"bogus": 1}}, "loss: "),
        ({"calibration": [float("nan"), 0.0]}, "calibration: "),
        ({"calibration": [1.0]}, "calibration: "),
        ({"pair_calibration": [1.0]}, "pair_calibration: "),
        ({"pair_calibration": float("inf")}, "pair_calibration: "),
        ({"encoder": None}, "encoder"),
        ({"encoder": {"model_type": "sentence-orderer"}}, "encoder"),
        ({"encoder": {"model_type": "bert", "hidden_size": "x"}}, "hidden_size"),
        ({"encoder": {"model_type": "bert", "num_hidden_layers": 10**9}}, "num_hidden_layers: "),
        ({"encoder": {"model_type": "bert", "num_attention_heads": -1}}, "num_attention_heads -1"),
        ({"encoder": {"model_type": "bert", "vocab_size": 2**40}}, "config.json expects (1099511627776, 768)"),
        ({"encoder": {"model_type": "roberta", "pad_token_id": None}}, "pad_token_id None"),
    ],
)
def test_invalid_settings_of_a_checkpoint_are_refused(checkpoint: Path, values: dict[str, Any], named: str) -> None:
    change(checkpoint / "config.json", **values)
    with pytest.raises(UserError) as caught:
        load_checkpoint(str(checkpoint))
    assert str(caught.value).startswith(f"checkpoint: {checkpoint}")
    assert named in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda weights: {name: weight * torch.nan for name, weight in weights.items()}, "NaN"),
        (lambda weights: {name: (weight * 9).to(torch.int8) for name, weight in weights.items()}, "floating-point"),
        (lambda weights: {**weights, "more": torch.zeros(1)}, "more"),
    ],
)
def test_invalid_weights_are_refused(checkpoint: Path, make: Callable[..., dict[str, torch.Tensor]], word: str) -> None:
    file = checkpoint / "model.safetensors"
    save_file(make(load_file(file)), file, {"format": "pt"})
    with pytest.raises(UserError, match=word):
        load_checkpoint(str(checkpoint))


def test_a_tokenizer_that_does_not_fit_the_weights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "other")
    words = (f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnopqrs" for c in "tuvwxyz")
    tiny_tokenizer([" ".join(words)], 600).save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match=r"tokenizer.*599"):
        load_checkpoint(str(tmp_path / "other"))
    settings = json.loads((checkpoint / "tokenizer.json").read_text())
    (checkpoint / "tokenizer.json").write_text(json.dumps({**settings, "post_processor": None}))
    with pytest.raises(UserError, match="special tokens"):
        load_checkpoint(str(checkpoint))


def test_chunks_that_a_config_asks_for_change_nothing(checkpoint: Path) -> None:
    before = order(checkpoint)
    encoder = json.loads((checkpoint / "config.json").read_text())["encoder"]
    for size in (1, 3, "x"):
        change(checkpoint / "config.json", encoder={**encoder, "chunk_size_feed_forward": size})
        assert order(checkpoint) == before


def test_vectors_that_are_nan_are_refused(checkpoint: Path) -> None:
    encoder = json.loads((checkpoint / "config.json").read_text())["encoder"]
    change(checkpoint / "config.json", encoder={**encoder, "layer_norm_eps": -1.0})
    with pytest.raises(UserError, match="vectors are NaN"):
        order(checkpoint)


def test_a_checkpoint_of_the_hub_is_checked_too(checkpoint: Path, tmp_path: Path, monkeypatch) -> None:
    cache = tmp_path / "hub" / "models--owner--name"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    shutil.copytree(checkpoint, cache / "snapshots" / ("0" * 40))
    monkeypatch.setattr(
        "sentence_order.model.checkpoint.snapshot_download",
        partial(huggingface_hub.snapshot_download, cache_dir=tmp_path / "hub"),
    )
    assert sorted(order("owner/name")) == [0, 1]
    weights = cache / "snapshots" / ("0" * 40) / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_checkpoint("owner/name")


def test_resuming_a_run_reads_no_pickle(command: Command, tmp_path: Path, mark: Path) -> None:
    """As if the folder came from someone else, and were resumed by the command."""
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
    assert "run/checkpoints/last" in done.stderr.splitlines()[-1]
    assert not mark.exists()
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before.get(path)} <= {"train.log", ".lock"}
