"""The commands as users type them: checkpoints between devices, runs that are stopped and resumed, every experiment."""

import itertools
import json
import math
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.checks.run import Report
from benchmarks.checks.setup import Setup
from benchmarks.checks.steps import STEPS, find_greatest_difference
from benchmarks.forks import fork_command, print_log, read_last_line, wait_for_exit
from benchmarks.records import get_losses, read_lines, read_lines_without_clock
from sentence_order.config.commands import override
from sentence_order.training.step import StepOutput, Stepper

# A run that is stopped in its eighth step, two after it was saved.
SAVE_EVERY, STOPPED_AT = 3, 8
RUN = ("trainer.max_steps=12", f"trainer.save_every={SAVE_EVERY}", "trainer.eval_every=12", "trainer.log_every=1")


def check_checkpoint(setup: Setup, report: Report) -> None:
    """A checkpoint of each device gives the same orders and metrics on both, whatever else is in a batch."""
    devices = list(dict.fromkeys([setup.device, "cpu"]))
    for device in devices:
        short = [f"device={device}", f"trainer.max_steps={STEPS}", f"trainer.eval_every={STEPS}"]
        _run(setup, report, {"train": setup.overrides(*short, override("output_dir", str(setup.folder / device)))})
    for saved_on in devices:
        orders, test = _test(setup, report, saved_on, setup.device, batch_tokens=4096)
        orders_on_cpu, test_on_cpu = _test(setup, report, saved_on, "cpu", batch_tokens=512)
        differ = sum(one != other for one, other in zip(orders, orders_on_cpu, strict=True))
        apart = abs(test["loss"] - test_on_cpu["loss"])
        report.note(
            f"saved on {saved_on}, tested on {setup.device} and the CPU: {differ} of {len(orders)} orders differ, "
            f"the loss by {apart:.1e}; tau {test['tau']['value']:.4f} and {test_on_cpu['tau']['value']:.4f}",
            **{f"orders_differ_saved_on_{saved_on}": differ, f"loss_difference_saved_on_{saved_on}": apart},
        )
        report.expect(differ == 0, f"saved on {saved_on}: {differ} orders differ from the CPU's")
        same = test["per_document"]["inversions"] == test_on_cpu["per_document"]["inversions"]
        report.expect(same, f"saved on {saved_on}: evaluate found other orders on the CPU")
        report.expect(apart <= 1e-3, f"saved on {saved_on}: the test losses differ by {apart:.1e}, over 1e-3")


def _test(
    setup: Setup, report: Report, saved_on: str, device: str, batch_tokens: int
) -> tuple[list[list[int]], dict[str, Any]]:
    """The orders that `predict` gives with a checkpoint, and the metrics of `evaluate`."""
    own = [override("checkpoint", str(setup.folder / saved_on)), f"device={device}", "precision=fp32"]
    more = {
        "predict": [override("input", str(setup.stories["test"])), "format=jsonl"],
        "evaluate": [*setup.data, "bootstrap_resamples=10"],
    }
    files = {name: setup.folder / f"{name} {saved_on} {device} {batch_tokens}.json" for name in more}
    outputs = {name: [f"batch_tokens={batch_tokens}", override("output", str(file))] for name, file in files.items()}
    _run(setup, report, {name: [*own, *outputs[name], *more[name]] for name in more})
    found = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    return [json.loads(line)["order"] for line in found["predict"].splitlines()], json.loads(found["evaluate"])["test"]


def check_resume(anomaly: bool, setup: Setup, report: Report) -> None:
    """A run that was stopped by SIGTERM or SIGKILL and resumed, and an equal run, against an unbroken one.

    Args:
        anomaly: with `debug=anomaly` they are equal to the last bit; otherwise losses may differ by 1e-4.
    """
    own = [*RUN, "model.dropout=0.1", "optim.ema=0.9", "resume=auto"]
    if anomaly:  # in the device's own precision
        own += ["debug=anomaly", "freeze=bottom_half"]
    else:  # rounding, which need not repeat, grows to more than the limit in bf16
        own += ["precision=fp32", "freeze.schedule=[0:half,0.004:none]", "trainer.accumulate=2"]
    stops = {"unbroken": None, "repeat": None, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
    expected = {None: [0], signal.SIGTERM: [128 + signal.SIGTERM, 0], signal.SIGKILL: [-signal.SIGKILL, 0]}

    for start in (0, 1):  # the second time, those that were stopped resume
        running = {}
        for name, stop in stops.items():
            if start < len(expected[stop]):
                overrides = setup.overrides(*own, override("output_dir", str(setup.folder / name)))
                before = partial(_stop_at, STOPPED_AT, stop) if stop and start == 0 else lambda: None
                running[name] = fork_command("train", overrides, setup.folder / f"{name}.log", before)
        for name, process in running.items():
            code = wait_for_exit(process)
            wanted = expected[stops[name]][start]
            if code != wanted:
                print_log(setup.folder / f"{name}.log")
                report.fault(f"{name}: exit code {code}, not {wanted}: {read_last_line(setup.folder / f'{name}.log')}")
            report.progress()

    for name, stop in stops.items():
        if stop:
            output = (setup.folder / f"{name}.log").read_text(encoding="utf-8")
            step = STOPPED_AT if stop == signal.SIGTERM else STOPPED_AT - STOPPED_AT % SAVE_EVERY
            report.expect(f"resuming from step {step}," in output, f"{name}: it did not resume from step {step}")
        if name != "unbroken":
            _compare_runs(setup.folder / "unbroken", setup.folder / name, anomaly, report)


def _stop_at(step: int, number: int) -> None:
    """Makes a run send itself a signal right after that step of its optimizer, before anything else is done."""
    plain, steps = Stepper.training_step, itertools.count(1)

    def training_step(self: Stepper, *arguments: Any, **options: Any) -> StepOutput:
        output = plain(self, *arguments, **options)
        if next(steps) == step:
            os.kill(os.getpid(), number)
        return output

    Stepper.training_step = training_step  # type: ignore[method-assign]


def _compare_runs(unbroken: Path, other: Path, to_the_bit: bool, report: Report) -> None:
    apart = find_greatest_difference(get_losses(read_lines(unbroken)), get_losses(read_lines(other)))
    checkpoints = [f"checkpoints/{name}/model.safetensors" for name in ("best", "last")]
    same = all((unbroken / file).read_bytes() == (other / file).read_bytes() for file in checkpoints)
    same = same and read_lines_without_clock(unbroken) == read_lines_without_clock(other)
    report.note(
        f"{other.name}: losses differ by {apart:.1e} at most; all is equal to the last bit: {same}",
        **{f"difference_{other.name}": apart, f"equal_to_the_bit_{other.name}": same},
    )
    if to_the_bit:
        report.expect(same, f"{other.name}: not equal to the unbroken run to the last bit")
    report.expect(apart <= 1e-4, f"{other.name}: losses differ by {apart:.1e} from the unbroken run, over 1e-4")


def check_experiment(name: str, setup: Setup, report: Report) -> None:
    """A method of the literature trains for five steps and is tested."""
    run = setup.folder / "run"
    own = [f"experiment={name}", *(f"trainer.{key}" for key in ("max_steps=5", "eval_every=5", "log_every=1"))]
    _run(setup, report, {"train": setup.overrides(*own, override("output_dir", str(run)))})
    losses, results = get_losses(read_lines(run)), json.loads((run / "results.json").read_text(encoding="utf-8"))
    training, tau = results["train"], results["test"]["tau"]["value"]
    report.note(
        f"loss {losses[0]:.4f} to {losses[-1]:.4f}, test tau {tau:.3f}; {training['peak_memory_gb']:.2f} GB",
        losses=losses,
        peak_memory_gb=training["peak_memory_gb"],
    )
    report.expect(len(losses) == 5 and all(map(math.isfinite, losses)), f"the losses are {losses}")
    report.expect(results["device"].startswith(setup.device), f"it ran on {results['device']}")


def _run(setup: Setup, report: Report, commands: dict[str, list[str]]) -> None:
    """Runs commands with their overrides, side by side; all must succeed."""
    logs = {name: setup.folder / f"{name}.log" for name in commands}
    running = {name: fork_command(name, overrides, logs[name]) for name, overrides in commands.items()}
    codes = {name: wait_for_exit(process) for name, process in running.items()}
    for name, code in codes.items():
        if code:
            print_log(logs[name])
        assert code == 0, f"{name} ended with exit code {code}: {read_last_line(logs[name])}"
    report.progress()
