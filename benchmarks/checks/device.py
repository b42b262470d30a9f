"""What the device is, and what the program chooses on it by itself."""

import logging
import os
import platform
import shutil
import subprocess

import torch
import transformers

from benchmarks.checks.run import Report
from benchmarks.checks.setup import Setup
from sentence_order.config.schema import Precision
from sentence_order.runtime.device import choose_runtime
from sentence_order.runtime.kernels import processor_name


def check_device(setup: Setup, report: Report) -> None:
    """Names the device and the versions; `device=auto` must choose it."""
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    name = _describe_cpu() if setup.small else _describe_gpu()
    report.note(f"python {platform.python_version()}, {text}")
    report.note(name, device=name, **versions)

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            report.note(record.getMessage())

    log = logging.getLogger("sentence_order")
    log.setLevel(logging.INFO)
    log.addHandler(Notes())
    runtime = choose_runtime("auto", Precision.auto)
    report.expect(runtime.device.type == setup.device, f"device=auto chooses {runtime.device}, not {setup.device}")
    if not setup.small:
        expected = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
        report.expect(runtime.precision is expected, f"precision=auto chooses {runtime.precision}, not {expected}")


def _describe_gpu() -> str:
    device = torch.cuda.get_device_properties(0)
    driver = "unknown"
    if program := shutil.which("nvidia-smi"):
        query = [program, "--query-gpu=driver_version,compute_mode", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, check=False)
        driver = done.stdout.partition("\n")[0].strip() or driver
    return (
        f"{device.name}, {device.total_memory / 2**30:.0f} GiB, capability {device.major}.{device.minor}, "
        f"{device.multi_processor_count} multiprocessors, driver and compute mode {driver}, CUDA {torch.version.cuda}"
    )


def _describe_cpu() -> str:
    return f"{processor_name()}, {os.cpu_count()} cores, threads: {torch.get_num_threads()}"
