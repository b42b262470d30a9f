"""What predicting in bulk costs: documents per second, and memory of each process, by one and by two processes.

    python -m benchmarks.bulk [--documents 1000000] [--shard-documents 20000] [--processes 1,2] [overrides of predict]
    python -m benchmarks.bulk --train "encoder.tiny_layers=1 encoder.tiny_width=24 model.set_layers=0"    # less to do

Generates documents of five sentences into a temporary folder, or into `--folder DIR`, where all stays; trains the tiny
encoder for three steps; and runs the real `predict`, under torchrun if there are several processes, each with one
thread. Then the same command is given again, when all parts are there: what reading and passing over costs. Checks that
the parts hold every document of the input once, in its order, and are the same bytes for any number of processes.
Linux only. Prints Markdown.

"Own memory" is that of a process itself (RssAnon): the most seen until a fifth of the parts was there, and until the
end. Documents per second are of the whole command, the imports and the checkpoint's loading included.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.large import POLL_SECONDS, read_memory, write_corpus

TRAINING = ("encoder=tiny", "trainer.max_steps=3", "data.limit_train=200", "data.limit_validation=20")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")


@dataclass
class BulkStats:
    """A run of `predict` as seen from outside.

    Attributes:
        seconds: of the whole command.
        at_fifth, at_end: peak bytes of each process's own memory.
    """

    seconds: float = 0.0
    at_fifth: list[int] = field(default_factory=list)
    at_end: list[int] = field(default_factory=list)


def watch(command: list[str], processes: int, output: Path, parts: int) -> BulkStats:
    """Runs `predict` in so many processes, until all parts are written."""
    launcher = [*TORCHRUN, str(processes)] if processes > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started, seen, peaks = time.perf_counter(), BulkStats(), dict[int, int]()
    process = subprocess.Popen([sys.executable, *launcher, *command, f"output={output}/"], env=environment)
    while process.poll() is None:
        for worker in _children(process.pid) if processes > 1 else [process.pid]:
            peaks[worker] = max(peaks.get(worker, 0), read_memory(worker)[0])
        if not seen.at_fifth and len([*output.glob("part-*")]) >= parts / 5:
            seen.at_fifth = [*peaks.values()]
        time.sleep(POLL_SECONDS)
    seen.seconds, seen.at_end = time.perf_counter() - started, [*peaks.values()]
    if process.returncode:
        sys.exit(process.returncode)
    return seen


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:  # it has ended
        return []


def check_parts(corpus: Path, output: Path) -> str:
    """Checks that all parts together hold the input's documents in its order; returns a digest of their bytes."""
    digest = hashlib.sha256()
    with corpus.open("rb") as stream:
        for part in sorted(output.glob("part-*")):
            for line in part.open("rb"):
                digest.update(line)
                found, expected = json.loads(line)["id"], json.loads(next(stream))["id"]
                assert found == expected, f"{part}: {found} in place of {expected}"
        assert not stream.read(1), "documents are missing"
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bulk", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--shard-documents", type=int, default=20_000)
    parser.add_argument("--processes", default="1,2", help="numbers of processes, one after the other")
    parser.add_argument("--train", default="", help="overrides of the training, between spaces")
    parser.add_argument("--folder", type=Path, help="for the documents, the run and the parts, which then stay there")
    arguments, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        run, corpus = folder / "run", folder / f"documents-{arguments.documents}.jsonl"
        if not run.exists():
            train = ["-m", "sentence_order.train", *TRAINING, *arguments.train.split(), f"output_dir={run}"]
            subprocess.run([sys.executable, *train], check=True, stdout=subprocess.DEVNULL)
        write_corpus(corpus, arguments.documents)

        command = ["-m", "sentence_order.predict", f"checkpoint={run}", f"input={corpus}", *overrides]
        command.append(f"shard_documents={arguments.shard_documents}")
        parts = -(-arguments.documents // arguments.shard_documents)
        rows = ["| processes | start | seconds | documents/s | own memory at a fifth | at the end |"]
        rows.append("|---|---|---|---|---|---|")
        digests = set()
        for processes in map(int, arguments.processes.split(",")):
            output = Path(tempfile.mkdtemp(prefix=f"parts-{processes}-", dir=folder))
            for start in ("first", "all parts are there"):
                seen = watch(command, processes, output, parts)
                fifth, end = (", ".join(f"{own / 1e6:.0f}" for own in each) for each in (seen.at_fifth, seen.at_end))
                rate = arguments.documents / seen.seconds
                rows.append(f"| {processes} | {start} | {seen.seconds:.1f} | {rate:,.0f} | {fifth} MB | {end} MB |")
                print(rows[-1], flush=True)
            digests.add(check_parts(corpus, output))
        size = f"{arguments.documents:,} documents, {corpus.stat().st_size / 1e9:.2f} GB of JSON, {parts} parts"
        assert len(digests) == 1, "other numbers of processes write other bytes"
        same = "all documents once and in order, the same bytes by any number of processes"
        print("\n".join(["", f"{size}: {same}", "", *rows]), flush=True)


if __name__ == "__main__":
    main()
