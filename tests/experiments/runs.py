"""Folders of runs with made-up results."""

import json
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from sentence_order.config.cli import compose
from sentence_order.config.commands import override

# Of tau on the validation documents.
CURVE = [0.1, 0.3, 0.4]


def make_run(
    folder: Path,
    overrides: list[str],
    inversions: list[int],
    *,
    frozen: int = 0,
    seconds: float = 100.0,
    started: int = 0,
    curve: list[float] | None = None,
    groups: list[str] | None = None,
    parameters: int = 400,
) -> Path:
    """A finished run over documents of five sentences, of whose three blocks the lowest `frozen` are frozen.

    A document without inversions is entirely in order; another one has three sentences in their places.
    """
    folder.mkdir(parents=True)
    config: Any = compose(
        "train", ["encoder=tiny", "data.limit_train=9", override("output_dir", str(folder)), *overrides]
    )
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.structured(config)))
    count = len(inversions)
    per_document = {
        "id": [f"d{number}" for number in range(count)],
        "text": [f"{number:016x}" for number in range(count)],
        "confidence": [0.5] * count,
        "sentences": [5] * count,
        "correct": [3 if wrong else 5 for wrong in inversions],
        "first": [1] * count,
        "last": [1] * count,
        "inversions": inversions,
        "squared_displacement": [2 * wrong for wrong in inversions],
        "common": [5 - bool(wrong) for wrong in inversions],
        **({"group": groups} if groups else {}),
    }
    training = {
        "seconds_in_steps": seconds,
        "documents_per_second": 1000 / seconds,
        "peak_memory_gb": 1.0,
        "parameters": parameters,
        "parameters_trained": parameters - parameters * frozen // 4,
        "cached": frozen > 1,
        "seconds_in_cache": 5.0 * (frozen > 1),
        "frozen": ["embeddings", "layer_0", "layer_1"][:frozen],
    }
    date = f"2026-01-01T00:00:{started:02d}+00:00"
    validation = {"tau": {"value": (curve or CURVE)[-1]}}
    results = {"validation": validation, "test": {"per_document": per_document}, "train": training, "started": date}
    results |= {"wall_time_s": seconds}
    (folder / "results.json").write_text(json.dumps(results))
    records = [{"step": k, "epoch": k / 4, "validation/tau": tau} for k, tau in enumerate(curve or CURVE, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder
