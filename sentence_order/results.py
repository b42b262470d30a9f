"""The record of an evaluation: metrics with intervals, and what it takes to trust and repeat them."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from sentence_order.data.readers import no_file
from sentence_order.errors import UserError, first_line
from sentence_order.files import atomic_file
from sentence_order.metrics import MAIN_METRICS, IntArray, RatioArray
from sentence_order.statistics import with_intervals
from sentence_order.training.evaluation import Evaluation

# What the metrics of a document follow from: see `metrics.document_counts`.
COUNTS = ("sentences", "correct", "first", "last", "inversions", "squared_displacement", "common")
PACKAGES = ("sentence-order", "torch", "transformers", "datasets", "hydra-core", "numpy", "scipy")


def split_results(
    evaluation: Evaluation, ids: Sequence[str], calibration: Sequence[float] | None, resamples: int, seed: int
) -> dict[str, Any]:
    """The entry of one split.

    Returns:
        The number of `documents`; the `loss`; every metric with its 95 % bootstrap interval; `calibration_error` of the
        confidence; `changed_by_reshuffling`, the share of documents, where several shuffles were read;
        `by_sentences`, the main metrics of the documents of each number of sentences; `by_position`, the share of
        positions (from the first, 0) that have the right sentence; and `per_document`, lists from which all of it
        follows, and by which two files are compared.
    """
    parts = evaluation.parts
    found: dict[str, Any] = {
        "documents": len(evaluation.order),
        "loss": evaluation.loss,
        **with_intervals(parts, resamples=resamples, seed=seed),
        "calibration_error": evaluation.reliability(calibration).error,
    }
    if evaluation.changed_D is not None:
        found["changed_by_reshuffling"] = float(evaluation.changed_D.mean())
    counts = {name: values.tolist() for name, values in evaluation.counts.items()}
    return found | {
        "by_sentences": _by_sentences(parts, evaluation.counts["sentences"], resamples, seed),
        "by_position": _by_position(evaluation.right, resamples, seed),
        "per_document": {"id": list(ids), "confidence": evaluation.confidence(calibration).round(6).tolist(), **counts},
    }


def _by_sentences(
    parts: Mapping[str, RatioArray], sentences_D: IntArray, resamples: int, seed: int
) -> list[dict[str, Any]]:
    rows = []
    for size in np.unique(sentences_D):
        alike = sentences_D == size
        own = {name: RatioArray(*(values[alike] for values in parts[name])) for name in MAIN_METRICS}
        metrics = with_intervals(own, resamples=resamples, seed=seed)
        rows.append({"sentences": int(size), "documents": int(alike.sum()), **metrics})
    return rows


def _by_position(right: Sequence[Sequence[bool]], resamples: int, seed: int) -> list[dict[str, Any]]:
    rows = []
    for position in range(max(map(len, right))):
        right_D = np.array([slots[position] for slots in right if len(slots) > position], dtype=np.float64)
        accuracy = with_intervals(
            {"accuracy": RatioArray(right_D, np.ones_like(right_D))}, resamples=resamples, seed=seed
        )
        rows.append({"position": position, "documents": len(right_D), **accuracy})
    return rows


def read_results(path: str | Path, split: str) -> dict[str, Any]:
    """The entry of a split in a results file, or in that of a run's folder.

    Raises:
        UserError: it cannot be read, or what it tells of its documents cannot be.
    """
    file = Path(path) / "results.json" if os.path.isdir(path) else Path(path)
    if problem := no_file(str(file)):
        raise UserError(f"{file}: cannot be read: {problem}")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))[split]
        own = found["per_document"]
        ids, columns = own["id"], {name: own[name] for name in COUNTS}
        if not isinstance(ids, list) or not all(isinstance(identity, str) for identity in ids):
            raise ValueError("the ids are no list of texts")
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: no results of documents under {split!r}: {first_line(error)}") from error
    _check_counts(ids, columns, file)
    return dict(found)


def _check_counts(ids: list[str], columns: dict[str, Any], file: Path) -> None:
    """Raises UserError where the counts of a document cannot be those of any order of its sentences."""
    for name, column in columns.items():
        if not isinstance(column, list) or len(column) != len(ids) or not all(type(count) is int for count in column):
            raise UserError(f"{file}: '{name}' must be a list of {len(ids):,} whole numbers, one a document")
    for row, n in enumerate(columns["sentences"]):
        most = {"sentences": 2**31, "correct": n, "first": 1, "last": 1, "common": n}
        most |= {"inversions": n * (n - 1) // 2, "squared_displacement": n * (n * n - 1) // 3}
        for name, limit in most.items():
            least = 2 if name == "sentences" else 0
            if not least <= (count := columns[name][row]) <= limit:
                raise UserError(
                    f"{file}: document {ids[row]}: '{name}' is {count}, and must be from {least} to {limit}"
                )


def shared_documents(results: Sequence[dict[str, Any]]) -> tuple[list[str], list[dict[str, IntArray]]]:
    """The documents that several results of a split share, with the counts of each.

    Raises:
        UserError: there are none, an id is that of several, or one has another number of sentences elsewhere.
    """
    rows = [{identity: row for row, identity in enumerate(found["per_document"]["id"])} for found in results]
    for found, row_of in zip(results, rows, strict=True):
        if len(row_of) < (count := len(found["per_document"]["id"])):
            raise UserError(f"{count - len(row_of):,} documents of a result have an id that another one has: no pairs")
    ids = [identity for identity in rows[0] if all(identity in row_of for row_of in rows)]
    if not ids:
        raise UserError("the results have no document in common, by its id")
    counts = []
    for found, row_of in zip(results, rows, strict=True):
        chosen = np.array([row_of[identity] for identity in ids])
        own = found["per_document"]
        counts.append({name: np.array(own[name])[chosen] for name in COUNTS})
    for other in counts[1:]:
        if len(differ := np.flatnonzero(counts[0]["sentences"] != other["sentences"])):
            raise UserError(f"document {ids[differ[0]]} has another number of sentences in one of the results")
    return ids, counts


def provenance() -> dict[str, Any]:
    """Versions of what computes, and the git revision of the source tree."""
    return {
        "versions": {"python": platform.python_version(), **{name: package_version(name) for name in PACKAGES}},
        "git_revision": git_revision(),
    }


def package_version(name: str) -> str:
    """A package's version; "unknown" where it is not installed: this one need not be, to run from its source tree."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def as_json(content: dict[str, Any]) -> str:
    """Indented JSON, but for lists of numbers and texts, which stand on one line each."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\n\s+([^\[\]{}]*?)\n\s+\]", lambda found: "[" + re.sub(r",\n +", ", ", found[1]) + "]", text)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a whole file or none."""
    with atomic_file(path) as stream:
        stream.write(as_json(content) + "\n")


def put_out(content: dict[str, Any], output: str | Path | None) -> None:
    """Writes to a file, or to standard output where none is named."""
    if output is None:
        print(as_json(content))
    else:
        write_json(Path(output), content)


def git_revision() -> str | None:
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
