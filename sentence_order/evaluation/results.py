"""The record of an evaluation: metrics with intervals, versions, and per-document results to compare; its file, written
and read again. Without torch, so that reports are quick."""

import json
import os
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sentence_order import installed_version
from sentence_order.arrays import IntArray
from sentence_order.data.groups import rows_by_group
from sentence_order.data.streams import find_path_problem
from sentence_order.errors import UserError, first_line
from sentence_order.evaluation.metrics import MAIN_METRICS, RatioArray, metrics_of, select
from sentence_order.evaluation.statistics import with_intervals
from sentence_order.runtime.files import atomic_file

if TYPE_CHECKING:
    from sentence_order.data.tokenization import Corpus
    from sentence_order.evaluation.evaluator import Evaluation
    from sentence_order.inference.calibration import Calibration, Reliability

PACKAGES = ("sentence-order", "torch", "transformers", "datasets", "hydra-core", "numpy", "scipy")
# See `counts.document_counts`.
COUNTS = ("sentences", "correct", "first", "last", "inversions", "squared_displacement", "common")


def split_results(
    evaluation: "Evaluation", corpus: "Corpus", calibration: "Calibration", resamples: int, seed: int
) -> dict[str, Any]:
    """The entry of one split.

    The number of `documents`; the `loss`; every metric with its 95 % bootstrap interval; `calibration_error` of the
    confidence, and `pair_calibration_error` of the probabilities of pairs; `changed_by_reshuffling`, the share of
    documents, if there were several shuffles; `by_group`, metrics and calibration errors of each group of documents, if
    there are several; `reliability`, the curves of confidence and of pairs; `by_sentences`, the main metrics by number
    of sentences; `by_position`, the share of documents with the right sentence at each position (from 0); and
    `per_document`, lists from which most of this follows, to compare two results; `text` is a digest of each document's
    text.
    """
    intervals_of = partial(with_intervals, resamples=resamples, seed=seed)
    ratios, sentences_D = evaluation.ratios, evaluation.counts["sentences"]

    by_group = []
    for group, rows_R in rows_by_group(corpus.groups).items():
        errors = calibration_errors(evaluation.reliability(calibration, rows_R))
        own = {**intervals_of(select(ratios, rows_R)), **errors}
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

    changed_D, reliability = evaluation.changed_D, evaluation.reliability(calibration)
    return {
        "documents": len(evaluation.order),
        "loss": evaluation.loss,
        **intervals_of(ratios),
        **calibration_errors(reliability),
        **({} if changed_D is None else {"changed_by_reshuffling": float(changed_D.mean())}),
        **({"by_group": by_group} if by_group else {}),
        "reliability": {kind: found.as_rows() for kind, found in reliability.items()},
        "by_sentences": by_sentences,
        "by_position": by_position,
        "per_document": {
            "id": corpus.documents["id"][:],
            "text": [f"{key:016x}" for key in corpus.keys.tolist()],
            **({"group": corpus.groups} if by_group else {}),
            "confidence": evaluation.confidence(calibration).round(6).tolist(),
            **{name: count_D.tolist() for name, count_D in evaluation.counts.items()},
        },
    }


def calibration_errors(reliability: Mapping[str, "Reliability"]) -> dict[str, float]:
    """The expected calibration errors of orders and pairs, by the names that results have."""
    names = {"orders": "calibration_error", "pairs": "pair_calibration_error"}
    return {names[kind]: found.error for kind, found in reliability.items()}


def values_of(found: dict[str, Any]) -> dict[str, float]:
    """The single numbers of the entry of a split, by name: metrics without their intervals, and the loss."""
    values = {
        name: value["value"] if isinstance(value, dict) else value
        for name, value in found.items()
        if not isinstance(value, dict) or "value" in value
    }
    return {name: value for name, value in values.items() if isinstance(value, float)}


def decoder_results(evaluation: "Evaluation", resamples: int, seed: int) -> dict[str, Any]:
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


def read_results(path: str | Path, split: str) -> dict[str, Any]:
    """The entry of a split in a results file, or in that of a run's folder. Raises UserError if there is none."""
    file = Path(path) / "results.json" if os.path.isdir(path) else Path(path)
    if problem := find_path_problem(str(file)):
        raise UserError(f"{file}: cannot be read: {problem}")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))[split]
        if missing := {"text", *COUNTS} - set(found["per_document"]):
            raise ValueError(f"no {min(missing)!r}, which an earlier version did not record")
        lengths = {name: len(values) for name, values in found["per_document"].items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"its lists have different lengths: {lengths}")
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: no per-document results under {split!r}: {first_line(error)}") from error
    return dict(found)


def shared_documents(results: Sequence[dict[str, Any]]) -> tuple[list[str], list[dict[str, IntArray]]]:
    """The documents that several results of a split have in common, by their texts: the group of each, as the first of
    the results that have groups says, and the counts of each result.

    Where a text repeats, the first is paired with the first, and so on. Raises UserError if there are none.
    """
    lists = [found["per_document"] for found in results]
    rows_of = [_rows_by_text(own["text"]) for own in lists]
    shared = [text for text in rows_of[0] if all(text in rows for rows in rows_of)]
    if not shared:
        raise UserError("the results have no document in common, by its text")
    chosen = [[rows[text] for text in shared] for rows in rows_of]
    counts = [{name: np.array(own[name])[rows] for name in COUNTS} for own, rows in zip(lists, chosen, strict=True)]
    groups = ([own["group"][row] for row in rows] for own, rows in zip(lists, chosen, strict=True) if "group" in own)
    return next(groups, [""] * len(shared)), counts


def _rows_by_text(texts: Sequence[str]) -> dict[tuple[str, int], int]:
    """The row of each text and, if it repeats, of its second, third, ... occurrence."""
    seen: Counter[str] = Counter()
    rows = {}
    for row, text in enumerate(texts):
        rows[text, seen[text]] = row
        seen[text] += 1
    return rows


def as_json(content: dict[str, Any]) -> str:
    """Indented JSON, with each list of numbers or strings on one line."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\n\s+([^\[\]{}]*?)\n\s+\]", lambda found: "[" + re.sub(r",\n +", ", ", found[1]) + "]", text)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file, complete or not at all."""
    with atomic_file(path) as stream:
        stream.write(as_json(content) + "\n")
