"""Measures how fast batches of ROC stories are made on one core: what a training step must not wait for.

    python -m benchmarks.examples --data ROC

ROC is a folder with `train.jsonl`, a story per line. Stories per second, in one thread, of the fastest of several turns
over the same batches; cached states are random numbers of MiniLM's width, in memory.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.compose import compose, stop
from sentence_order.config.schema import Precision
from sentence_order.data.batching import load_batches, make_batches
from sentence_order.data.examples import CachedHiddenStates
from sentence_order.data.sources import load_splits
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.errors import UserError
from sentence_order.model.tokenizer import load_tokenizer
from sentence_order.runtime.device import choose_runtime

BUDGETS, TURNS, STORIES_PER_TURN, WIDTH, SHARDS = (4096, 512), 20, 10_000, 384, 4


def load_corpus(data: Path) -> Corpus:
    """The training stories, tokenised as by default."""
    config = compose(["data=jsonl", f"data.train={data / 'train.jsonl'}"])
    raw = load_splits(config.data, ["train"], config.cache)["train"]
    return tokenize_corpus(raw, load_tokenizer(config.encoder.name), config.data, "train", config.cache)


def add_states(corpus: Corpus, dtype: np.dtype, by_token: bool) -> Corpus:
    """The corpus with states for each token or sentence; sentences far apart share their rows, to need less memory."""
    count = corpus.lengths if by_token else np.ones_like(corpus.lengths)
    start, shard = (count.cumsum() - count) % 50_000, np.arange(len(count)) % SHARDS
    states = np.random.default_rng(0).standard_normal((SHARDS, 51_000, WIDTH), dtype=np.float32).astype(dtype)
    return replace(corpus, states=CachedHiddenStates([*states], shard, start, count))


def measure(corpus: Corpus, batch_tokens: int) -> float:
    """Stories per second of the fastest turn."""
    batches, count = [], 0
    for rows in make_batches(corpus.tokens, batch_tokens, seed=0, epoch=0):
        batches.append(rows)
        if (count := count + len(rows)) >= STORIES_PER_TURN:
            break
    seconds = []
    for _ in range(TURNS):
        started = time.perf_counter()
        for _ in load_batches(corpus, batches, 0, 0):
            pass
        seconds.append(time.perf_counter() - started)
    return count / min(seconds)


def measure_all(corpus: Corpus) -> Iterator[list[str]]:
    """The rows of the table."""
    cases = {
        "token ids": corpus,
        "cached states, float32": add_states(corpus, np.dtype(np.float32), by_token=True),
        "cached states, float16": add_states(corpus, np.dtype(np.float16), by_token=True),
        "cached vectors of sentences": add_states(corpus, np.dtype(np.float32), by_token=False),
    }
    for name, case in cases.items():
        yield [name, *(f"{measure(case, batch_tokens):,.0f}" for batch_tokens in BUDGETS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="ROC", help="a folder with train.jsonl")
    arguments = parser.parse_args()
    choose_runtime("cpu", Precision.fp32)  # keeps freed memory, as the commands do
    try:
        corpus = load_corpus(arguments.data)
    except UserError as error:
        stop(error)
    table = Table("stories/s", *(f"batches of {batch_tokens:,} tokens" for batch_tokens in BUDGETS))
    for row in measure_all(corpus):
        table.add_row(*row)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
