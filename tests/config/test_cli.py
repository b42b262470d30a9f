"""Every mistake on the command line is one line that names the key and what is accepted; help is fast.

The wording of messages is checked here, and nowhere else.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sentence_order.config.cli import compose
from sentence_order.config.schema import SCHEMAS
from sentence_order.errors import UserError

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("train", ["+typo=1"], "unknown key 'typo'"),
        ("train", ["trainer.epoch=2"], "unknown key 'trainer.epoch'; did you mean 'trainer.epochs'?"),
        ("train", ["+trainer.epoch=2"], "unknown key 'trainer.epoch'; did you mean 'trainer.epochs'?"),
        ("train", ["epochs=2"], "unknown key 'epochs'; use trainer.epochs=2"),
        ("train", ["epoch=2"], "unknown key 'epoch'; did you mean 'trainer.epochs'?"),
        ("train", ["encodr=minilm"], "unknown key 'encodr'; did you mean 'encoder'?"),
        ("train", ["loss.lst_mle=1"], "unknown key 'loss.lst_mle'; did you mean 'loss.list_mle'?"),
        ("train", ["batch=some"], "unknown key 'batch'"),
        ("train", ["--help", "epoch"], "--help epoch: no such group or key; did you mean 'trainer.epochs'?"),
        ("train", ["--help", "nosuch"], "--help nosuch: no such group or key; groups: data, encoder, freeze, "),
        ("train", ["--help", "encoder=minlm"], "unknown encoder 'minlm'; did you mean 'minilm'?"),
        ("train", ["encoder=minlm"], "unknown encoder 'minlm'; did you mean 'minilm'? Available: bart_base, "),
        ("train", ["debug=replay"], "unknown debug 'replay'. Available: anomaly, overfit, smoke\n"),
        ("train", ["cache=kept"], "unknown cache 'kept'. Available: auto, off; to name a folder: cache=./kept\n"),
        ("predict", ["decoder=" + "x" * 5000], "unknown decoder 'xxx"),
        ("train", ["-m", "hydra/launcher=" + "x" * 5000], "the name of an option is too long"),
        ("train", ["decoder=all"], "unknown decoder 'all'. Available: assignment, "),
        ("train", ["data.train=a=b"], "cannot parse data.train=a=b;"),
        ("train", ["a\x1b[31m=1"], "cannot parse a\\x1b[31m=1;"),
        ("train", ["\r=1"], "cannot parse \\r=1;"),
        ("train", ['device="a\x1b[31m\r"'], "device: 'a\\x1b[31m\\r' is not a device; accepted are auto, cpu, cuda"),
        ("train", ["trainer.epochs=many"], "trainer.epochs: many is not valid; accepted: integer greater than 0"),
        ("train", ["optim.betas=[a,b]"], "optim.betas: a is not valid; accepted: list of number"),
        ("train", ["on_nonfinite=go"], "on_nonfinite: go is not valid; accepted: stop, skip"),
        ("train", ["precision=fp7"], "precision: fp7 is not valid; accepted: auto, fp32, bf16, fp16"),
        ("train", ["init_from=${oc.env:NOT_SET}"], "init_from: "),
        ("train", ["trainer.epochs=0"], "trainer.epochs: must be greater than 0, not 0"),
        ("train", ["trainer.patience=0"], "trainer.patience: must be greater than 0, not 0"),
        ("train", ["max_nonfinite=-1"], "max_nonfinite: must be at least 0, not -1"),
        ("train", ["loss.order=-1"], "loss.order: must be at least 0, not -1.0"),
        ("train", [f"seed={10**30}"], "seed: must be at most "),
        ("train", ["optim.lr=inf"], "optim.lr: must be at most "),
        ("train", ["cache.dtype=int8"], "cache.dtype: int8 is not valid; accepted: float32, float16"),
        ("train", ["cache.max_gb=nan"], "cache.max_gb: must be greater than 0, not nan"),
        ("train", ["model.set_layers=100000"], "model.set_layers: must be at least 0 and at most 1000, not 100000"),
        ("train", ["optim.ema=1"], "optim.ema: must be at least 0 and less than 1, not 1.0"),
        ("train", ["model.dropout=2"], "model.dropout: must be at least 0 and less than 1, not 2.0"),
        ("predict", ["checkpoint=x", "input=y", "threshold=2"], "threshold: must be at least 0 and at most 1, not 2.0"),
        (
            "evaluate",
            ["checkpoint=x", "data=synthetic", "bootstrap_resamples=1000000000"],
            "bootstrap_resamples: must be greater than 0 and at most 100000, not 1000000000",
        ),
        ("evaluate", ["checkpoint=x", "data=synthetic", "shuffles=0"], "shuffles: must be greater than 0, not 0"),
        ("train", ["encoder.tiny_width=100"], "encoder.tiny_width: a multiple of 24, not 100"),
        ("train", ["resume=nowhere"], "resume: nowhere is not a run's folder (no config.yaml); accepted are off, auto"),
        ("train", ["data=hub"], "data.hub_id: data=hub needs the id of a data set"),
        ("train", ["data.train=mine.jsonl"], "data.train: data=synthetic reads no files; add data=jsonl, csv"),
        ("train", ["data=jsonl", "data.train='a\u2028b'", "trainer.epochs=0"], "trainer.epochs: must be"),
        ("train", ["freeze.depth=2", "freeze.layers=1"], "freeze.depth: cannot be combined with freeze.layers; leave"),
        ("train", ["model.heads=[[]]"], "model.heads: a list of single values, not [[]]"),
        ("train", ["model.heads=[]"], "model.heads: none; available: pairs, scores, neighbours, "),
        ("train", ["model.heads=[pairs,scores]"], "model.heads: pairs and scores predict the same; choose one of them"),
        ("train", ["model.heads=[pairs,pointer]"], "model.heads: pointer cannot be combined with other heads"),
        (
            "train",
            ["model.heads=[pairs]", "loss=margin"],
            "loss.neighbours: needs the head neighbours, and model.heads is [pairs]; add loss.neighbours=0, or"
            " the head\n",
        ),
        ("train", ["loss=regression"], "loss: nothing trains the head neighbours; give a weight to loss.neighbours or"),
        (
            "train",
            ["decoder=pointer"],
            "decoder=pointer: needs the head pointer or relational_pointer, and the model's heads are "
            "[neighbours,pairs]; choose one of exact, expected_tau, beam, ",
        ),
        ("predict", ["checkpoint=x", "input=x", "output=."], "output: . is a folder; name a file"),
        ("predict", ["checkpoint=x", "input=x", f"output={'x' * 250}"], f"output: the name of {'x' * 250} is too long"),
        (
            "evaluate",
            ["checkpoint=."],
            "checkpoint: . is not a complete checkpoint: no config.json, model.safetensors, ",
        ),
        (
            "evaluate",
            ["checkpoint=owner/name"],
            "checkpoint: owner/name is no folder here; for one of the hub add data=",
        ),
        ("evaluate", ["data=text"], "checkpoint: no value; give it on the command line: checkpoint=VALUE"),
        ("predict", ["checkpoint=x"], "input: no value; give it on the command line: input=VALUE"),
    ],
)
def test_mistakes_are_one_line_that_names_the_key(
    command: Command, name: str, arguments: list[str], complaint: str
) -> None:
    done = command(name, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {complaint}")
    assert done.stderr.count("\n") == 1
    assert done.stderr.rstrip("\n").isprintable()


def test_options_of_ones_own_config_folder_are_offered(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "recipes.yaml").touch()
    done = command("train", "--config-dir", "mine", "data=recipe")
    assert done.stderr.startswith("error: unknown data 'recipe'; did you mean 'recipes'? Available: arxiv_abstracts, ")


@pytest.mark.parametrize(
    ("redirection", "code", "complaint"),
    [
        (">/dev/full", 1, "No space left on device"),
        (">&-", 1, "error: standard output: it is closed"),
        ("<&-", 1, "error: standard input: it is closed"),
        ("2>&-", 0, ""),
        ("2>/dev/full", 1, ""),
        ("", 0, ""),
    ],
)
@pytest.mark.parametrize("size", [1, 10**6])  # of what waits to be written, and of what does not
def test_streams_that_fail_are_one_line(redirection: str, code: int, complaint: str, size: int) -> None:
    """Whatever the locale."""
    program = f"""
import sys
from sentence_order.config import cli
with cli.one_line_errors():
    cli.check_open(sys.stdin, "standard input")
    cli.check_open(sys.stdout, "standard output")
    print("\u65e5" * {size}, end="")
    print("word", file=sys.stderr)
"""
    line = ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, program]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(line, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode == code
    assert complaint in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert "Exception ignored" not in done.stderr.decode()
    if code == 0:
        assert done.stdout.decode() == "\u65e5" * size


@pytest.mark.parametrize(("ending", "code"), [("print('result')", 0), ("raise UserError('mistake')", 2)])
@pytest.mark.parametrize("same", [False, True])
def test_work_goes_on_when_nobody_reads_standard_error(ending: str, code: int, same: bool) -> None:
    """As after `2>&1 >/dev/null | head`; a standard output that is broken too ends the command when it is used."""
    program = f"""
import logging, sys
from rich.console import Console
from sentence_order.config import cli
from sentence_order.errors import UserError
with cli.one_line_errors():
    for _ in range(2):
        print("word" * 10**5, file=sys.stderr)
        Console(stderr=True).print("word")
        logging.warning("word")
    print("waits for its end", end="", file=sys.stderr)
    {ending}
"""
    reader, writer = os.pipe()
    os.close(reader)
    stdout = writer if same else subprocess.PIPE
    done = subprocess.run([sys.executable, "-c", program], stdout=stdout, stderr=writer, text=True, timeout=60)
    os.close(writer)
    assert done.returncode == (141 if same and code == 0 else code)
    assert same or done.stdout == ("result\n" if code == 0 else "")


@pytest.mark.parametrize("name", ["evaluate", "predict", "report", "cache"])
def test_output_that_is_closed_is_refused_before_the_work(name: str) -> None:
    arguments = {"evaluate": "checkpoint=x data=synthetic", "predict": "checkpoint=x input=y", "report": "x"}
    command = f'exec "$0" -m sentence_order.{name} {arguments.get(name, "")} >&-'
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "error: standard output: it is closed\n")


def test_compose_refuses_what_the_command_line_would() -> None:
    for overrides in (["encoder=minlm"], ["trainer.epoch=2"], ["a=b=c"], ["-m", "seed=0,1"]):
        with pytest.raises(UserError):
            compose("train", overrides)


def test_help_of_groups_and_keys(command: Command) -> None:
    done = command("train", "--help", "encoder", "optim.warmup", "debug=smoke")
    assert done.returncode == 0, done.stderr
    assert "Options (now encoder=tiny):" in done.stdout
    assert "optim.warmup=0" in done.stdout


@pytest.mark.parametrize("name", SCHEMAS)
def test_help_loads_nothing_heavy(name: str) -> None:
    line = [sys.executable, "-X", "importtime", "-m", f"sentence_order.{name}", "--help"]
    done = subprocess.run(line, env=dict(os.environ), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    verbs = {"train": "Trains", "evaluate": "Evaluates", "predict": "Orders", "demo": "Serves"}
    assert done.stdout.startswith(verbs[name])
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "hydra" in imported
    assert not imported & {
        "torch",
        "transformers",
        "datasets",
        "numpy",
        "scipy",
        "matplotlib",
        "pyarrow",
        "huggingface_hub.utils",
    }
