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
# (decoder, sentences of a document, documents of a batch)
CASES = [
    *(("exact", 5, 20_000), ("exact", 10, 500), ("exact", 12, 50)),
    *(("expected_tau", 5, 20_000), ("expected_tau", 10, 500), ("expected_tau", 12, 50)),
    *(("beam", 10, 500), ("beam", 20, 100)),
]


def main() -> None:
    choose_runtime("cpu", Precision.fp32)  # keeps freed memory, as the commands do
    print(f"documents per second, in one thread: median, slowest and fastest of {TURNS} turns\n")
    print("| decoder | sentences | median | slowest | fastest |\n|---|---|---|---|---|")
    generator = torch.Generator().manual_seed(0)
    for name, size, count in CASES:
        decoder = DECODERS[name].load()
        half = torch.randn(count, size, size, generator=generator)
        logits = half - half.transpose(1, 2)
        following = torch.randn(count, size + 1, size + 1, generator=generator)
        mask = torch.ones(count, size, dtype=torch.bool)
        text_rank = torch.arange(size).expand(count, size)
        rates = []
        for _ in range(TURNS + 1):
            started = time.perf_counter()
            decode(decoder, Scores(logits=logits, next_log_probs=following), mask, text_rank)
            rates.append(count / (time.perf_counter() - started))
        rates = rates[1:]  # the first one warms up
        median = statistics.median(rates)
        print(f"| `{name}` | {size} | {median:,.0f} | {min(rates):,.0f} | {max(rates):,.0f} |", flush=True)


if __name__ == "__main__":
    main()
