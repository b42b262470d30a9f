"""The commands that `survival.py` kills, in small, and what must be equal at the end of each."""

from dataclasses import dataclass

STEPS = 24
SMALL = (
    *("debug=smoke", "data.limit_train=100", f"trainer.max_steps={STEPS}", "trainer.save_every=3"),
    *("encoder.tiny_width=48", "resume=auto"),
)
# What some of them read.
DOCUMENTS, RUNS = "documents.jsonl", "runs"


@dataclass(frozen=True)
class Program:
    """A command, and what must be equal at its end.

    It is given in a folder of its own, beside those of the unbroken commands, which have the names of the table, and
    beside what it reads.
    """

    command: tuple[str, ...]
    run: str = ""  # the folder of a run
    sweep: str = ""  # the folder of a sweep
    cache: str = ""  # the folder of a prefix cache
    files: tuple[str, ...] = ()  # patterns of files that are complete or absent at any time, and equal at the end
    disks: tuple[str, ...] = ()  # the sizes of disks that are too small


# All that a training state holds is used by one of the first two or the other.
PROGRAMS = {
    "train": Program(
        (
            *("train", *SMALL, "output_dir=run", "model.dropout=0.1", "optim.ema=0.9"),
            *("freeze.schedule=[0:all,1:half,1.5:none]", "trainer.accumulate=2"),
        ),
        run="run",
        disks=("9m", "1m"),
    ),
    "train from the cache": Program(
        ("train", *SMALL, "output_dir=run", "freeze=bottom_half", "cache.dir=cache"), run="run", cache="cache"
    ),
    "sweep": Program(
        (
            *("train", "-m", "seed=0,1", *SMALL[:-1], "data.limit_test=20", "trainer.max_steps=6"),
            *("trainer.eval_every=3", "trainer.save_every=2", "output_dir=sweep"),
        ),
        sweep="sweep",
    ),
    "fill the cache": Program(
        ("evaluate", "checkpoint=../train from the cache/run", "cache.dir=cache", "output=results.json"),
        cache="cache",
        files=("*results.json*", "cache/corpora/*.arrow"),
        disks=("60k",),
    ),
    "evaluate": Program(
        (
            *("evaluate", "checkpoint=../train from the cache/run", "cache.dir=../fill the cache/cache"),
            "output=results.json",
        ),
        files=("*results.json*",),
        disks=("4k",),
    ),
    "predict": Program(
        ("predict", "checkpoint=../train/run", f"input=../{DOCUMENTS}", "output=out.jsonl", "batch_tokens=2000"),
        files=("*out.jsonl*",),
        disks=("8k",),
    ),
    "predict in parts": Program(
        (
            *("predict", "checkpoint=../train/run", f"input=../{DOCUMENTS}", "output=parts/", "batch_tokens=2000"),
            "shard_documents=30",
        ),
        files=("parts/*",),
        disks=("8k",),
    ),
    "report": Program(("report", f"../{RUNS}", "--output", "report"), files=("report/*",), disks=("100k",)),
}
SMALL_DISKS = [(name, size) for name, program in PROGRAMS.items() for size in program.disks]
# A command, and a point: at the second call there the cache is removed.
CACHE_REMOVED = [
    (name, point)
    for name in ("train from the cache", "fill the cache")
    for point in ("arrow", "prefix", "cache", "replace", "forward", "decoding")
]
