"""What a large corpus and a long run cost: seconds to the first step, and memory of the training process.

    python -m benchmarks.large start|flat [options] [overrides]

Both run the real `train` command on documents that are generated into a temporary folder, or into `--folder DIR`, where
they stay. Linux only. Prints Markdown.

`start`: training on `--documents` documents of five sentences, from the command to the first step and to the end of
`--steps` steps, twice: the first start reads and tokenises the file, the second finds that done. "Own memory" is that
of the process itself (RssAnon), the other column is files that it has mapped (RssFile), which the system can reclaim;
both are peaks.

`flat`: `--steps` steps on few documents, over many epochs, with validation and checkpoints on the way: the process's
own memory, at every twentieth of the steps, without and with the prefix cache.

    python -m benchmarks.large start encoder=minilm
    python -m benchmarks.large flat --steps 2000
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compose import compose, stop
from sentence_order.data.synthetic import generate
from sentence_order.errors import UserError

SENTENCES = 5
POLL_SECONDS = 0.1


@dataclass
class RunStats:
    """A run of `train` as seen from outside.

    Attributes:
        first_step, whole: seconds from the command to its first step, and to its end.
        own, mapped: peak bytes of its own memory, and of mapped files.
        at_step: bytes of its own memory when each step was logged.
    """

    first_step: float = 0.0
    whole: float = 0.0
    own: int = 0
    mapped: int = 0
    at_step: dict[int, int] = field(default_factory=dict)


def watch(overrides: list[str], folder: Path) -> RunStats:
    """Runs `train` into `folder/run`, with the caches of `datasets` under `folder`."""
    run = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    seen, num_lines, metrics = RunStats(), 0, run / "metrics.jsonl"
    environment = {**os.environ, "HF_DATASETS_CACHE": str(folder / "datasets")}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sentence_order.train", *overrides, f"output_dir={run}"], env=environment
    )
    while process.poll() is None:
        own, mapped = read_memory(process.pid)
        seen.own, seen.mapped = max(seen.own, own), max(seen.mapped, mapped)
        for line in (metrics.read_text().splitlines() if metrics.exists() else [])[num_lines:]:
            if not line.endswith("}"):  # half written
                break
            num_lines += 1
            record = json.loads(line)
            if "train/loss" in record:
                seen.at_step[record["step"]] = own
        if seen.at_step and not seen.first_step:
            seen.first_step = time.perf_counter() - started
        time.sleep(POLL_SECONDS)
    seen.whole = time.perf_counter() - started
    if process.returncode:
        sys.exit(process.returncode)
    return seen


def read_memory(process: int) -> tuple[int, int]:
    """The bytes of a process's own memory, and of mapped files; zeros once it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in status.splitlines())
    own, mapped = (1024 * int(fields.get(name, "0 kB").split()[0]) for name in ("RssAnon", "RssFile"))
    return own, mapped


def write_corpus(file: Path, documents: int) -> None:
    """Writes documents of the first sentences of synthetic stories, a JSON object per line, unless the file exists."""
    if file.exists():
        return
    stories = ((i, sentences[:SENTENCES]) for i, sentences, _ in generate("train", 0, 2 * documents))
    enough = ((i, sentences) for i, sentences in stories if len(sentences) == SENTENCES)
    with file.open("w", encoding="utf-8") as stream:
        for identity, sentences in itertools.islice(enough, documents):
            stream.write(json.dumps({"id": identity, "sentences": sentences}) + "\n")


def measure_start(folder: Path, documents: int, steps: int, overrides: list[str]) -> None:
    corpus = folder / f"documents-{documents}.jsonl"
    write_corpus(corpus, documents)
    shares = ["data.validation_share=0.001", "data.test_share=0.001"]
    settings = ["data=jsonl", f"data.train={corpus}", *shares, f"trainer.max_steps={steps}", *overrides]
    print(f"{documents:,} documents, {corpus.stat().st_size / 1e9:.2f} GB of JSON\n", flush=True)
    rows = ["| start | first step | whole run | own memory | mapped files |", "|---|---|---|---|---|"]
    for name in ("first", "second"):
        seen = watch(settings, folder)
        gigabytes = " | ".join(f"{most / 1e9:.2f} GB" for most in (seen.own, seen.mapped))
        rows.append(f"| {name} | {seen.first_step:.1f} s | {seen.whole:.1f} s | {gigabytes} |")
    print("\n".join(["", *rows]), flush=True)


def measure_flat(folder: Path, documents: int, steps: int, overrides: list[str]) -> None:
    corpus = folder / f"documents-{documents}.jsonl"
    write_corpus(corpus, documents)
    every = max(1, steps // 20)
    settings = [
        *("encoder=tiny", "data=jsonl", f"data.train={corpus}", f"trainer.max_steps={steps}"),
        *(f"trainer.eval_every={5 * every}", f"trainer.save_every={2 * every}", f"trainer.log_every={every}"),
        *overrides,
    ]
    arms = {
        "freeze=none": watch([*settings, "freeze=none"], folder),
        "freeze=encoder, cached": watch([*settings, "freeze=encoder", f"cache={folder}/states"], folder),
    }
    print("\n| MB of its own at step |", " | ".join(arms), "|\n|---|", "---|" * len(arms), sep="")
    for step in sorted(set.intersection(*(set(seen.at_step) for seen in arms.values()))):
        print(f"| {step} | {' | '.join(f'{seen.at_step[step] / 1e6:.0f}' for seen in arms.values())} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.large", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["start", "flat"])
    parser.add_argument("--documents", type=int, help="1,000,000 by default, for flat 2,000")
    parser.add_argument("--steps", type=int, help="20 by default, for flat 2,000")
    parser.add_argument("--folder", type=Path, help="for the documents, caches and runs, which then stay there")
    arguments, overrides = parser.parse_known_args()
    measure, documents, steps = {"start": (measure_start, 1_000_000, 20), "flat": (measure_flat, 2000, 2000)}[
        arguments.what
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            compose([*overrides, "data=jsonl", f"data.train={folder}"])
        except UserError as error:
            stop(error)
        measure(folder, arguments.documents or documents, arguments.steps or steps, overrides)


if __name__ == "__main__":
    main()
