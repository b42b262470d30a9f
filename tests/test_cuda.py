"""`scripts/check_cuda` in its small form on a CPU: every line passes, and fails where something is broken."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import cuda
from sentence_order.config.schema import DecoderName, HeadName, LossConfig
from tests.forks import Server

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "check_cuda"
# All lines, in parts that take about as long.
PARTS = (
    "device,fp32,bf16,fp16,attention,anomaly,memory,batch_tokens,parts,families,speed,profile",
    "checkpoint,resume,freezing",
    "experiment",
)
Check = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def check(forks: Server, tmp_path: Path) -> Check:
    """Runs `scripts/check_cuda --device cpu --encoder tiny`, with a fault planted or none."""

    def run(*options: str, fault: str | None = None) -> subprocess.CompletedProcess[str]:
        module = ["benchmarks.cuda"] if fault is None else ["tests.faulty_cuda", fault]
        return forks.run(module[0], [*module[1:], "--device", "cpu", "--encoder", "tiny", *options], tmp_path, None, {})

    return run


def test_parts_are_all_lines() -> None:
    chosen = [line for part in PARTS for line in cuda.choose_lines(part)]
    assert sorted(chosen) == sorted(cuda.choose_lines(None))
    assert list(dict.fromkeys(line.partition("/")[0] for line in cuda.choose_lines(None))) == cuda.GROUPS.split(", ")


# The planted faults below run some lines of every part as well.
@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_line_passes(check: Check, part: str, tmp_path: Path) -> None:
    done = check("--only", part, "--json", "found.json")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = json.loads((tmp_path / "found.json").read_text())["lines"]
    assert [line["name"] for line in lines] == list(cuda.choose_lines(part))
    assert {line["status"] for line in lines} == {"passed"}
    assert all(line["notes"] for line in lines)
    if "parts" in part:
        names = {*LossConfig.__dataclass_fields__} - {"margin_width"}
        names |= {name.value for name in (*HeadName, *DecoderName)}
        notes = " ".join(note for line in lines if line["name"].startswith("parts/") for note in line["notes"])
        assert names <= set(re.split(r"[ ,;.]+", notes))
    assert done.stdout.endswith(f"{len(lines)} passed, 0 failed, 0 not run\n")


@pytest.mark.parametrize(
    ("fault", "line", "message"),
    [
        ("keep_frozen_dropout", "fp32", "frozen blocks are in training mode"),
        pytest.param(*("move_frozen_weights", "fp32", "frozen weights have changed: encoder."), marks=pytest.mark.slow),
        pytest.param(*("skip_steps", "fp32", "weights that train have not moved: "), marks=pytest.mark.slow),
        ("quarter_scale", "fp16", "the scale is 274877906944.0, not 2^39"),
        ("name_no_block", "anomaly", "a NaN in the weights of layer_1 was not named: step 1: "),
        pytest.param(
            *("reverse_orders", "checkpoint", "saved on cpu: 20 orders differ from the CPU's"), marks=pytest.mark.slow
        ),
        pytest.param(
            *("forget_random_state", "resume/anomaly", "SIGKILL: not equal to the unbroken run to the last bit"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("spoil_cache", "freezing", "freeze.depth=half: with the cache losses differ by "), marks=pytest.mark.slow
        ),
        ("fail_to_decode", "experiment/ranktxnet", "AssertionError: train ended with exit code 1: "),
        ("lose_half", "memory", "the gradient of the split batch differs by "),
        ("make_nan", "parts/scores", "loss.ranknet: loss and gradient are (nan, nan), on the CPU (nan, nan)"),
        pytest.param(
            *("break_gradients", "parts/scores", "loss.ranknet: loss and gradient are ("), marks=pytest.mark.slow
        ),
        pytest.param(
            *("leave_out_autocast", "fp16", "a linear layer of the encoder computed in {torch.float32}"),
            marks=pytest.mark.slow,
        ),
        pytest.param(*("repeat_sentences", "parts/scores", "decoder=borda: not a permutation"), marks=pytest.mark.slow),
        ("die", "device", "its process died (SIGKILL)"),
        ("hang", "device", "no progress for 1 s; killed\n         | --- train.log\n         | waiting\n"),
    ],
)
def test_what_is_broken_fails(check: Check, fault: str, line: str, message: str, tmp_path: Path) -> None:
    done = check("--only", line, "--json", "found.json", fault=fault)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAULT: {message}" in done.stdout
    (found,) = json.loads((tmp_path / "found.json").read_text())["lines"]
    assert (found["name"], found["status"]) == (line, "failed")
    assert done.stdout.endswith("0 passed, 1 failed, 0 not run\n")


def test_a_failed_line_does_not_stop_the_next(check: Check) -> None:
    done = check("--only", "device,parts/scores", fault="die")
    assert done.returncode == 1
    assert done.stdout.endswith("1 passed, 1 failed, 0 not run\n")


def test_lines_without_time_are_not_run(check: Check) -> None:
    done = check("--minutes", "1e-9")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"0 passed, 0 failed, {len(cuda.choose_lines(None))} not run\n")


def test_a_line_that_is_stopped_when_time_is_up_has_not_failed(check: Check) -> None:
    done = check("--only", "device", fault="stall")
    assert done.returncode == 0, done.stderr
    assert "stopped: out of time" in done.stdout
    assert done.stdout.endswith("0 passed, 0 failed, 1 not run\n")


def test_a_signal_ends_what_was_started(check: Check, tmp_path: Path) -> None:
    done = check("--only", "device", fault="stop_all")
    assert done.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_stories_and_encoder_from_folders(check: Check, story_files: dict[str, Path], tmp_path: Path) -> None:
    done = check("--only", "device", "--data", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"encoder=tiny, stories: {tmp_path}\n" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device", "cuda"), "--device: "),
        (("--minutes", "-1"), "--minutes: must be above zero, not -1.0"),
        (("--only", "fp23"), "--only: no line 'fp23'; did you mean 'fp32'? (lines: device, fp32, "),
        (("--encoder", "nowhere"), "--encoder: nowhere is neither minilm, tiny nor a folder with a config.json"),
        (("--data", "nowhere"), "--data: nowhere: no such folder"),
        (("--data", "."), "--data: . has no train.jsonl and no train.jsonl.gz"),
        (("--json", "."), "--json: . is a folder; name a file"),
    ],
)
def test_mistakes_of_users_are_one_line(check: Check, options: tuple[str, ...], message: str) -> None:
    done = check(*options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("interpreter", "before"), [(".venv/bin/python", None), ("bin/python3", "somewhere")])
def test_script_chooses_an_interpreter_and_adds_the_tree(tmp_path: Path, interpreter: str, before: str | None) -> None:
    """That of `.venv` or, if there is none, the one on the path; the tree precedes the rest of PYTHONPATH."""
    for place, text in (
        (interpreter, '#!/bin/sh\n[ "$1" = -c ] || echo "$PYTHONPATH" "$@"\n'),
        ("scripts/check_cuda", SCRIPT.read_text()),
    ):
        file = tmp_path / place
        file.parent.mkdir(parents=True)
        file.write_text(text)
        file.chmod(0o755)
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", **({"PYTHONPATH": before} if before else {})}
    line = [tmp_path / "scripts" / "check_cuda", "--device", "cpu"]
    printed = subprocess.run(line, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    assert printed == f"{':'.join(filter(None, [str(tmp_path), before]))} -P -m benchmarks.cuda --device cpu\n"


def test_encoder_and_stories_are_loaded_before_the_first_line(check: Check, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text('{"id": "one", "sentences": ["Alone."]}\n')
    for options in (("--encoder", str(tmp_path)), ("--data", str(tmp_path))):
        done = check(*options)
        assert done.returncode == 2
        assert done.stderr.startswith("error: --encoder or --data: ")
        assert done.stderr.count("\n") == 1


def test_script_explains_itself() -> None:
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert "--encoder FOLDER|tiny" in done.stdout
