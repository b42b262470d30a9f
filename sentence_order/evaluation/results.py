"""The record of an evaluation: metrics with intervals, versions, and per-document results to compare."""

import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sentence_order import installed_version
from sentence_order.data.groups import rows_by_group
from sentence_order.data.tokenization import Corpus
from sentence_order.evaluation.evaluator import Evaluation
from sentence_order.evaluation.metrics import MAIN_METRICS, RatioArray, metrics_of, select
from sentence_order.evaluation.statistics import with_intervals
from sentence_order.inference.calibration import measure_reliability

PACKAGES = ("sentence-order", "torch", "transformers", "datasets", "hydra-core", "numpy", "scipy")


def split_results(
    evaluation: Evaluation, corpus: Corpus, calibration: Sequence[float] | None, resamples: int, seed: int
) -> dict[str, Any]:
    """The entry of one split.

    The number of `documents`; the `loss`; every metric with its 95 % bootstrap interval; `calibration_error` of the
    confidence; `changed_by_reshuffling`, the share of documents, if there were several shuffles; `by_group`, metrics
    and calibration error of each group of documents, if there are several; `by_sentences`, the main metrics by number
    of sentences; `by_position`, the share of documents with the right sentence at each position (from 0); and
    `per_document`, lists from which all of this follows, to compare two results; `text` is a digest of each document's
    text.
    """
    intervals_of = partial(with_intervals, resamples=resamples, seed=seed)
    ratios, sentences_D = evaluation.ratios, evaluation.counts["sentences"]
    confidence_D, perfect_D = evaluation.confidence(calibration), evaluation.perfect

    by_group = []
    for group, rows_R in rows_by_group(corpus.groups).items():
        error = measure_reliability(confidence_D[rows_R], perfect_D[rows_R]).error
        own = {**intervals_of(select(ratios, rows_R)), "calibration_error": error}
        by_group.append({"group": group, "documents": len(rows_R), **own})
    by_sentences = []
    for size in np.unique(sentences_D):
        rows_R = np.flatnonzero(sentences_D == size)
        main = select({name: ratios[name] for name in MAIN_METRICS}, rows_R)
        by_sentences.append({"sentences": int(size), "documents": len(rows_R), **intervals_of(main)})
    by_position = []
    for position in range(sentences_D.max()):
        right_D = np.array([slots[position] for slots in evaluation.right if len(slots) > position], dtype=float)
        accuracy = {"accuracy": RatioArray(right_D, np.ones_like(right_D))}
        by_position.append({"position": position, "documents": len(right_D), **intervals_of(accuracy)})

    changed_D = evaluation.changed_D
    return {
        "documents": len(evaluation.order),
        "loss": evaluation.loss,
        **intervals_of(ratios),
        "calibration_error": evaluation.reliability(calibration).error,
        **({} if changed_D is None else {"changed_by_reshuffling": float(changed_D.mean())}),
        **({"by_group": by_group} if by_group else {}),
        "by_sentences": by_sentences,
        "by_position": by_position,
        "per_document": {
            "id": corpus.documents["id"][:],
            "text": [f"{key:016x}" for key in corpus.keys.tolist()],
            **({"group": corpus.groups} if by_group else {}),
            "confidence": confidence_D.round(6).tolist(),
            **{name: count_D.tolist() for name, count_D in evaluation.counts.items()},
        },
    }


def decoder_results(evaluation: Evaluation, resamples: int, seed: int) -> dict[str, Any]:
    """The entry of every decoder that was compared: metrics with intervals, mean objective in nats, seconds."""
    return {
        name: {
            "documents": len(found.objective_D),
            "seconds": round(found.seconds, 4),
            "objective": float(found.objective_D.mean()),
            **with_intervals(metrics_of(found.counts), resamples=resamples, seed=seed),
        }
        for name, found in evaluation.decoders.items()
    }


def provenance() -> dict[str, Any]:
    """Versions of the packages, and the git revision of the source tree."""
    versions = {name: installed_version(name) for name in PACKAGES}
    return {"versions": {"python": platform.python_version(), **versions}, "git_revision": git_revision()}


def git_revision() -> str | None:
    """The revision of the source tree, with `-dirty` if it was changed; None in an installed package."""
    root = Path(__file__).resolve().parents[2]
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    with suppress(OSError, subprocess.CalledProcessError):
        if (root / ".git").exists():
            return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    return None
