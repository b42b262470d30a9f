"""The schema is strict, the YAML files fit it, and every mistake is one line that says what was meant."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields

import pytest
import yaml
from hydra import compose, initialize_config_dir

from sentence_order.checks import DECODER_HEADS, LOSS_HEADS, check_data, check_train
from sentence_order.cli import options_of
from sentence_order.config import (
    SCHEMAS,
    DataConfig,
    DecoderName,
    LossConfig,
    Source,
    TrainConfig,
    config_dir,
    parse_config,
    register_schemas,
)
from sentence_order.decoding import DECODERS, POINTER
from sentence_order.errors import UserError
from sentence_order.losses import LOSSES

Command = Callable[..., subprocess.CompletedProcess[str]]


POINTER_MODEL = ["model.heads=[pointer]", "loss=pointer", "decoder=pointer"]
NEEDED = {
    "data=hub": ["data.hub_id=owner/name"],
    "loss=regression": ["model.heads=[scores]"],
    "loss=assignment": ["model.heads=[positions]"],
    "loss=pointer": POINTER_MODEL,
    "decoder=pointer": POINTER_MODEL,
    "debug=replay": ["batch=some"],
}


def composed(*overrides: str) -> TrainConfig:
    register_schemas()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return parse_config(compose("train", list(overrides)), TrainConfig)


@pytest.mark.parametrize(
    "path", sorted(config_dir().glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}={path.stem}"
)
def test_every_option_composes_and_opens_with_its_command(path) -> None:
    group, option = path.parent.name, path.stem
    check_train(composed(f"{group}={option}", *NEEDED.get(f"{group}={option}", [])))
    lines = [line for line in path.read_text().splitlines() if "@package" not in line]
    assert lines[0].startswith("# python -m sentence_order.")
    assert f"{group}={option}" in lines[0] or group in ("model", "optim", "trainer")
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_every_loss_and_decoder_can_be_chosen() -> None:
    weights = {item.name for item in fields(LossConfig)} - {"margin_width"}
    assert weights == set(LOSSES) == set(LOSS_HEADS)
    assert (
        {name.value for name in DecoderName} == {*DECODERS, POINTER} == set(options_of("decoder")) == set(DECODER_HEADS)
    )


def test_overlays_win_over_groups_and_the_command_line_wins_over_overlays() -> None:
    config = composed("debug=smoke")
    assert config.encoder.name == "tiny"
    assert config.trainer.max_steps == 20
    assert composed("debug=smoke", "trainer.max_steps=7").trainer.max_steps == 7
    assert composed("debug=anomaly").debug.anomaly


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("train", ["+typo=1"], "typo: there is no such key"),
        ("train", ["trainer.epoch=2"], "trainer.epoch: there is no such key; did you mean 'trainer.epochs'?"),
        ("train", ["+trainer.epoch=2"], "trainer.epoch: there is no such key; did you mean 'trainer.epochs'?"),
        ("train", ["epochs=2"], "did you mean 'trainer.epochs'?"),
        ("train", ["trainer.epochs=many"], "trainer.epochs: Value 'many'"),
        ("train", ["trainer.patience=0"], "trainer.patience: must be above zero"),
        ("train", ["on_nonfinite=go"], "on_nonfinite: Invalid value 'go', expected one of [stop, skip]"),
        ("train", ["max_nonfinite=-1"], "max_nonfinite: must be zero or more"),
        ("train", ["batch=some"], "debug=replay and batch=FILE: one looks into the other"),
        ("train", ["debug=replay"], "debug=replay and batch=FILE: one looks into the other"),
        ("train", ["resume=nowhere"], "resume: nowhere holds no run (no config.yaml); accepted are off, auto and the"),
        ("train", ["precision=fp7"], "precision: Invalid value 'fp7', expected one of [auto, fp32, bf16, fp16]"),
        ("train", ["encoder=minlm"], "encoder=minlm: there is no such option; did you mean 'minilm'?"),
        ("train", ["encodr=minilm"], "did you mean 'encoder'?"),
        ("train", ["data.train=a=b"], "data.train=a=b: not understood"),
        ("train", ["trainer.epochs=0"], "trainer.epochs: must be above zero, not 0"),
        ("train", ["data=hub"], "data.hub_id"),
        ("predict", ["decoder=" + "x" * 5000], "the name of an option is too long"),
        ("train", ["init_from=${oc.env:NOT_SET}"], "init_from: "),
        ("train", ["data=jsonl", "data.train='a\u2028b'", "trainer.epochs=0"], "trainer.epochs: must be above zero"),
        ("train", ["model.heads=[[]]"], "model.heads: "),
        ("train", [f"seed={10**30}"], "seed: at most"),
        ("train", ["model.set_layers=100000"], "model.set_layers: at most 1000"),
        ("train", ["optim.lr=inf"], "optim.lr: at most"),
        ("train", ["data.train=mine.jsonl"], "data.train: data=synthetic reads no files; add data=jsonl"),
        ("train", ["optim.betas=[a,b]"], "optim.betas: Value 'a'"),
        ("train", ["encoder.tiny_width=100"], "encoder.tiny_width: a multiple of 24"),
        ("train", ["model.heads=[]"], "model.heads: none; there are pairs, scores"),
        (
            "train",
            ["model.heads=[pairs]", "loss=margin"],
            "loss.neighbours: 2.0 is for the head neighbours, and model.heads is [pairs]",
        ),
        (
            "train",
            ["model.heads=[pairs,scores]"],
            "model.heads: one of pairs, scores, not several",
        ),
        ("train", ["model.heads=[pairs,pointer]"], "model.heads: a pointer stands alone; without pairs"),
        ("train", ["loss=regression"], "loss: nothing trains the head neighbours; give a weight to loss.neighbours or"),
        ("train", ["loss.lst_mle=1"], "loss.lst_mle: there is no such key; did you mean 'loss.list_mle'?"),
        ("train", ["loss.order=-1"], "loss.order: must be zero or more"),
        ("train", ["decoder=pointer"], "decoder=pointer: reads pointer or relational_pointer, and the model's heads"),
        ("train", ["optim.ema=1"], "optim.ema: from 0 (no average) to below 1"),
        ("predict", ["checkpoint=x", "input=y", "threshold=2"], "threshold: a probability between 0 and 1"),
        ("evaluate", ["checkpoint=x", "data=synthetic", "shuffles=0"], "shuffles: must be above zero"),
        ("decode", ["scores=nothing.scores"], "scores: nothing.scores could not be read"),
        ("train", ["model.dropout=2"], "model.dropout: a rate"),
        ("predict", ["checkpoint=x", "input=x", "output=."], "output: . is a folder"),
        ("evaluate", ["checkpoint=x"], "data: no option chosen; add data="),
        ("evaluate", ["data=text"], "checkpoint: no value"),
        ("predict", ["checkpoint=x"], "input: no value"),
    ],
)
def test_mistakes_on_the_command_line(command: Command, name: str, arguments: list[str], complaint: str) -> None:
    done = command(name, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", SCHEMAS)
def test_help_loads_nothing_heavy(name: str) -> None:
    line = [sys.executable, "-X", "importtime", "-m", f"sentence_order.{name}", "--help"]
    done = subprocess.run(line, env=dict(os.environ), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "Groups:" in done.stdout
    assert "decoder=assignment|beam|borda|exact|expected_tau|pointer|topological" in done.stdout
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "transformers", "datasets", "numpy", "scipy", "matplotlib", "pyarrow"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer.max_steps", 0),
        ("trainer.accumulate", -1),
        ("optim.lr", -1e-4),
        ("optim.warmup", 1.5),
        ("optim.betas", [0.9]),
        ("data.limit_test", 0),
        ("seed", -1),
    ],
)
def test_values_out_of_range(key: str, value: object) -> None:
    config = composed()
    group, _, name = key.rpartition(".")
    setattr(getattr(config, group) if group else config, name, value)
    with pytest.raises(UserError, match=key.replace(".", r"\.")):
        check_train(config)


def test_data_out_of_range() -> None:
    for changed in ({"validation_share": 0.0}, {"max_sentences": 1}, {"max_sentence_tokens": 2}):
        with pytest.raises(UserError, match=next(iter(changed))):
            check_data(DataConfig(Source.text, **changed))
