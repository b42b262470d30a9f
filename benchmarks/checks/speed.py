"""How fast a device trains, how much of its bf16 products that is, and where the time of a step goes."""

import itertools
import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.checks.run import Report
from benchmarks.checks.setup import Setup, wait_for_device
from benchmarks.checks.steps import STEPS, make_loop
from sentence_order.config.commands import override
from sentence_order.runtime.kernels import onednn_available
from sentence_order.training.loop import TrainingLoop
from sentence_order.training.plan import StepInput

RunStep = Callable[[], StepInput]
FREEZES = ("none", "bottom_half", "encoder")
ROWS = 10  # of a profile, and of the places that synchronise


def check_speed(setup: Setup, report: Report) -> None:
    """Stories per second of training: nothing, half and all of the encoder frozen, in bf16 and in fp32."""
    product = _measure_product(setup)
    size = 1024 if setup.small else 8192
    report.note(f"a bf16 product of {size:,} x {size:,}: {product / 1e12:.3g} TFLOP/s", product_flops=product)
    # Batches that fill a GPU, then those of the default size, which is a CPU's.
    cases = [("bf16", 128), ("fp32", 128)] if setup.small else [("bf16", 4096), ("fp32", 4096), ("bf16", 512)]
    for (precision, batch_tokens), freeze in itertools.product(cases, FREEZES):
        own = [f"precision={precision}", f"freeze={freeze}", f"trainer.batch_tokens={batch_tokens}"]
        own += ["cache=auto" if freeze == "encoder" else "cache=off"]  # caching all tokens would take long
        loop, run_step = _make_steps(setup, override("data.train", str(setup.stories["many"])), *own)
        rate, flops = _measure_training(setup, run_step)
        cached = ", from the prefix cache" if loop.train_corpus.states is not None else ""
        name = f"{freeze}_{precision}_{batch_tokens}"
        report.note(
            f"freeze={freeze:<11} {precision}, batches of {batch_tokens:,} tokens: {rate:,.0f} stories/s, "
            f"{flops / product:.1%} of the product{cached}",
            **{f"stories_per_second_{name}": rate, f"flops_{name}": flops},
        )


def check_profile(setup: Setup, report: Report) -> None:
    """The longest rows of a profile of training steps in `precision=auto`, and what synchronises within a step."""
    _, run_step = _make_steps(setup, "freeze=none", *([] if setup.small else ["trainer.batch_tokens=4096"]))
    for _ in range(3):  # what is done once is left out
        run_step()
    activities = [ProfilerActivity.CPU, *([] if setup.small else [ProfilerActivity.CUDA])]
    number = 5 if setup.small else STEPS
    with profile(activities=activities) as profiler:
        started = time.perf_counter()
        for _ in range(number):
            run_step()
        wait_for_device(setup)
        wall = time.perf_counter() - started
    averages = profiler.key_averages()
    rows = [(seconds, row.count, row.key) for row in averages if (seconds := _get_own_seconds(row, setup))]
    total = sum(seconds for seconds, _, _ in rows)
    report.note(
        f"{number} steps, profiled: {wall / number * 1e3:.1f} ms a step, {total / number * 1e3:.1f} ms of them on the "
        f"{'CPU' if setup.small else 'GPU'}; the longest operations there:",
        seconds_per_step=wall / number,
        device_seconds_per_step=total / number,
    )
    for seconds, count, key in sorted(rows, reverse=True)[:ROWS]:
        report.note(
            f"  {seconds / number * 1e3:8.2f} ms {seconds / total:6.1%} {count / number:6.0f} calls  {key[:80]}",
            **{f"seconds_{key}": seconds / number},
        )
    report.expect(total > 0, "the profiler saw nothing on the device")
    if setup.small:
        report.note("synchronisations in a step: there are none to count on a CPU")
        return
    places = _find_synchronisations(run_step)
    report.note(f"synchronisations in a step: {places.total()}", synchronisations=places.total())
    for place, count in places.most_common(ROWS):
        report.note(f"  {count:3} {place}")
    report.expect(not places, f"a step waits for the GPU {places.total()} times")


def _get_own_seconds(row: Any, setup: Setup) -> float:
    """The time of an operation itself, without those that it calls; on CUDA, of the kernels that it starts."""
    if row.device_type != DeviceType.CPU:  # a kernel, which is counted where it was started
        return 0.0
    return float(row.self_cpu_time_total if setup.small else row.self_device_time_total) / 1e6


def _find_synchronisations(run_step: RunStep) -> Counter[str]:
    """Where a step makes the CPU wait for CUDA, and how often: lines of our code, or of a library's."""
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        run_step()
        torch.cuda.set_sync_debug_mode("default")
    root = Path(__file__).resolve().parent.parent.parent
    waits = [warning for warning in caught if "called a synchronizing CUDA operation" in str(warning.message)]
    return Counter(f"{_shorten(Path(warning.filename), root)}:{warning.lineno}" for warning in waits)


def _shorten(file: Path, root: Path) -> str:
    return str(file.relative_to(root)) if file.is_relative_to(root) else "/".join(file.parts[-3:])


def _make_steps(setup: Setup, *own: str) -> tuple[TrainingLoop, RunStep]:
    """A loop that does not log, and a function that runs its next step."""
    loop = make_loop(setup, "trainer.max_steps=100000", *own)
    loop.model.train()
    inputs = loop.plan.batches(start=0)

    def run_step() -> StepInput:
        step_input = next(inputs)
        loop.training_step(step_input)
        if loop.should_read():
            loop.read_steps()
        return step_input

    return loop, run_step


def _measure_training(setup: Setup, run_step: RunStep) -> tuple[float, float]:
    """Documents, and floating-point operations in matrix products, per second of training."""
    for _ in range(2 if setup.small else 10):  # warms up
        run_step()
    with FlopCounterMode(display=False, custom_mapping=_map_onednn_products()) as counter:
        step_input = run_step()
    flops_per_token = counter.get_total_flops() / step_input.num_tokens
    wait_for_device(setup)
    documents, tokens, started = 0, 0, time.perf_counter()
    while time.perf_counter() - started < (0.3 if setup.small else 1.5):
        step_input = run_step()
        documents += step_input.num_documents
        tokens += step_input.num_tokens
    wait_for_device(setup)
    seconds = time.perf_counter() - started
    return documents / seconds, tokens / seconds * flops_per_token


def _measure_product(setup: Setup) -> float:
    """Floating-point operations per second in products of large bf16 matrices: what a device can reach at best."""
    size, times = (1024, 2) if setup.small else (8192, 20)
    one, other = (torch.randn(size, size, device=setup.device, dtype=torch.bfloat16) for _ in range(2))
    torch.mm(one, other)
    wait_for_device(setup)
    started = time.perf_counter()
    for _ in range(times):
        torch.mm(one, other)
    wait_for_device(setup)
    return times * 2 * size**3 / (time.perf_counter() - started)


def _map_onednn_products() -> dict[Any, Any]:
    """Counts the operations of our linear layers on a CPU, which torch does not."""
    if not onednn_available():
        return {}

    def count_flops(x_shape: Sequence[int], weight_shape: Sequence[int], *_: Any, **__: Any) -> int:
        return 2 * math.prod(x_shape) * weight_shape[0]

    return {torch.ops.mkldnn._linear_pointwise: count_flops}
