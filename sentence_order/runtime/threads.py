"""The threads that compute: how many there are, and how long they wait for each other. Importing it is cheap."""

import logging
import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

# OpenMP threads that wait for each other, dozens of times a step, spin: by default for 3 ms (libgomp, which PyTorch's
# CPU wheels bring) or 200 ms (LLVM's and Intel's library), in which those they wait for may need that very core.
# libgomp counts turns of a loop, the other two milliseconds, and each ignores what is the other's. Alone, sleeping
# sooner than this costs a sixth of the speed and more; in company it is spinning that costs (benchmarks/speed.md).
SPIN_ALONE = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
SPIN_IN_COMPANY = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}
SPIN_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def spin_briefly() -> None:
    """Makes waiting threads spin for a short time before they sleep, in this process and all that it starts.

    It is shorter if other programs compute at this moment. What the user has set stays. PyTorch reads it when it is
    imported: later, this does nothing.
    """
    if "torch" not in sys.modules and not _find_set(SPIN_VARIABLES):
        os.environ |= SPIN_IN_COMPANY if has_company() else SPIN_ALONE


def has_company(load: Path = Path("/proc/loadavg")) -> bool:
    """True if other programs compute at this moment and leave fewer CPUs than this process may use."""
    others = []
    with suppress(OSError):  # no Linux
        for _ in range(5):
            time.sleep(0.002)
            # "0.20 0.18 0.12 3/80 11206": three run or wait for a CPU, this process is one of them
            others.append(int(load.read_text().split()[3].split("/")[0]) - 1)
        return sorted(others)[2] + count_cpus() > (os.cpu_count() or 1)
    return False


def limit_threads() -> None:
    """Lets PyTorch use no more threads than there are CPUs for this process, unless the user has set their number."""
    import torch

    threads, cpus = torch.get_num_threads(), count_cpus()
    if found := _find_set(THREAD_VARIABLES):
        reason = f"as set: {_format(found)}"
    elif cpus < threads:
        torch.set_num_threads(cpus)
        reason = f"auto: {threads} without the CPU quota or affinity of this process"
    else:
        reason = "auto: as PyTorch chooses"
    spin = _find_set(SPIN_VARIABLES)
    if not spin:
        waiting = "spin as long as is the default of OpenMP (PyTorch was imported before a shorter time could be set)"
    elif spin == SPIN_ALONE:
        waiting = f"spin briefly (auto: {_format(spin)}, nothing else ran when the program started)"
    elif spin == SPIN_IN_COMPANY:
        waiting = f"hardly spin (auto: {_format(spin)}, other programs ran when the program started)"
    else:
        waiting = f"as set: {_format(spin)}"
    log.debug("threads: %d (%s)", torch.get_num_threads(), reason)
    log.debug("waiting threads: %s", waiting)


def count_cpus() -> int:
    """The CPUs that this process may use at a time, by its affinity and its container's quota; 1.5 are 2."""
    # os.process_cpu_count() does the first, from Python 3.13 on
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(cpus, read_quota()))


def read_quota(root: Path = Path("/")) -> float:
    """The CPUs that the control groups of this process are limited to, such as 1.5; infinite without a limit.

    Args:
        root: holds `proc` and `sys`.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return math.inf
    quota = math.inf
    for line in lines:
        _, controllers, path = line.split(":", 2)
        base = root / "sys/fs/cgroup" / ("cpu" if controllers else "")  # version 2 names no controllers
        if controllers and "cpu" not in controllers.split(","):
            continue
        # A group's limit holds for those within it. In a container, the path may be that on the host: its parents are
        # tried up to the container's own group, which stands at the top there.
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            quota = min(quota, _read_limit(folder))
            if folder == base:
                break
    return quota


def _read_limit(folder: Path) -> float:
    """The limit of one control group in CPUs; infinite without one, or without such a group."""
    files = ["cpu.max"] if (folder / "cpu.max").exists() else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
    with suppress(OSError, ValueError):  # ValueError: "max 100000", which is no limit
        quota, period = map(int, " ".join((folder / name).read_text() for name in files).split())
        if quota > 0 and period > 0:  # -1 is no limit
            return quota / period
    return math.inf


def _find_set(names: tuple[str, ...]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def _format(variables: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in variables.items())
