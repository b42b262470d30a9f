"""Measures how many documents per second each decoder orders, on random scores: `python -m benchmarks.decode`."""

import statistics
import time

import torch

from sentence_order.config.components import DECODERS
from sentence_order.config.schema import Precision
from sentence_order.decoding import decode
from sentence_order.decoding.scores import Scores
from sentence_order.runtime.device import choose_runtime

TURNS = 7
# (decoder, sentences of a document, documents of a batch, batches): those of an evaluation have about 64 documents.
CASES = [
    *(("exact", size, 64, batches) for size, batches in enumerate((100, 60, 40, 30, 20, 10, 5, 2), start=5)),
    *(("exact", 5, 20_000, 1), ("exact", 10, 500, 1), ("exact", 12, 50, 1)),
    *(("expected_tau", 5, 20_000, 1), ("expected_tau", 10, 500, 1), ("expected_tau", 12, 50, 1)),
    *(("beam", 10, 500, 1), ("beam", 20, 100, 1)),
]


def main() -> None:
    choose_runtime("cpu", Precision.fp32)  # keeps freed memory, as the commands do
    print(f"documents per second, in one thread: median, slowest and fastest of {TURNS} turns\n")
    print("| decoder | sentences | documents at a time | median | slowest | fastest | ms a document |")
    print("|---|---|---|---|---|---|---|")
    generator = torch.Generator().manual_seed(0)
    for name, size, count, batches in CASES:
        decoder = DECODERS[name].load()
        half = torch.randn(count, size, size, generator=generator)
        logits = half - half.transpose(1, 2)
        following = torch.randn(count, size + 1, size + 1, generator=generator)
        mask = torch.ones(count, size, dtype=torch.bool)
        text_rank = torch.arange(size).expand(count, size)
        rates = []
        for _ in range(TURNS + 1):
            started = time.perf_counter()
            for _ in range(batches):
                decode(decoder, Scores(logits=logits, next_log_probs=following), mask, text_rank)
            rates.append(batches * count / (time.perf_counter() - started))
        rates = rates[1:]  # the first one warms up
        median = statistics.median(rates)
        figures = f"{median:,.0f} | {min(rates):,.0f} | {max(rates):,.0f} | {1000 / median:.4f}"
        print(f"| `{name}` | {size} | {count:,} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
