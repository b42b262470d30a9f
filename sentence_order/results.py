"""The record of an evaluation: metrics with intervals, and what it takes to trust and repeat them."""

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sentence_order.files import atomic_file
from sentence_order.statistics import with_intervals
from sentence_order.training.evaluation import Evaluation

PACKAGES = ("sentence-order", "torch", "transformers", "datasets", "hydra-core", "numpy", "scipy")


def split_results(evaluation: Evaluation, resamples: int, seed: int) -> dict[str, Any]:
    """The entry of one split: the number of documents, the loss, every metric with its 95 % bootstrap interval."""
    metrics = with_intervals(evaluation.parts, resamples=resamples, seed=seed)
    return {"documents": len(evaluation.order), "loss": evaluation.loss, **metrics}


def provenance() -> dict[str, Any]:
    """Versions of what computes, and the git revision of the source tree."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "git_revision": _git_revision(),
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a whole file or none."""
    with atomic_file(path) as stream:
        json.dump(content, stream, indent=2, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def _git_revision() -> str | None:
    """The revision of the source tree that this package runs from, `-dirty` where it was changed; None in a wheel."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match="],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
