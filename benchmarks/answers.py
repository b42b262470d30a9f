"""How long an answer takes, and how near the estimates for long documents are to the sum over all orders.

    python -m benchmarks.answers RUN FILE [FILE ...]

Of a trained model (a run, a checkpoint or a hub id) and documents (files of JSONL). Prints Markdown:

- the time of an answer with everything that the page of `sentence_order.demo` shows, for documents of 5, 10, 12 and 30
  sentences, which are put together from the sentences of the files; and of the probability of an order of one's own;
- of the documents of 10 to 12 sentences, for which both can be computed: the error of the estimated log-probability of
  the predicted order, and of the estimated probabilities of pairs;
- of longer documents, put together as above: the error of the probabilities of pairs against chains of Gibbs sampling
  that are 40 times as long.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import chain, islice
from unittest.mock import patch

import numpy as np

from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_files
from sentence_order.decoding import distribution, sampling
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.inference.ordering import Prediction

SIZES, REPEATS = (5, 10, 12, 30), 20
EXACT_SIZES, MAX_DOCUMENTS = range(10, 13), 200
LONG_SIZES, NUM_LONG = (15, 30, 50), 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="RUN")
    parser.add_argument("files", metavar="FILE", nargs="+")
    parser.add_argument("--device", default="cpu", help="default: cpu")
    arguments = parser.parse_args()
    orderer = SentenceOrderer.from_pretrained(arguments.checkpoint).to(arguments.device)
    documents = [document.sentences for document in read_files([(path, "jsonl") for path in arguments.files], Layout())]

    print("| sentences | order alone | with likeliest orders, pairs, neighbours | probability of another order |")
    print("|---|---|---|---|")
    for size in SIZES:
        row = [f"{median_ms(answer):.0f} ms" for answer in answers(orderer, documents, size)]
        print(f"| {size} | {' | '.join(row)} |")
    print(f"\n- {describe_estimates(orderer, [d for d in documents if len(d) in EXACT_SIZES][:MAX_DOCUMENTS])}")
    for size in LONG_SIZES:
        print(f"- {describe_long_estimates(orderer, documents, size)}")


def answers(orderer: SentenceOrderer, documents: list[list[str]], size: int) -> list[Callable[[], object]]:
    """Three questions about documents of this size, a new one at each call."""
    flat = chain.from_iterable(documents)
    texts = iter([[*islice(flat, size)] for _ in range(3 * (REPEATS + 1))])
    own = [*reversed(range(size))]
    return [
        lambda: orderer.predict([next(texts)]),
        lambda: orderer.predict([next(texts)], top_k=3, pairs=True, neighbours=True),
        lambda: orderer.probability(next(texts), own),
    ]


def median_ms(answer: Callable[[], object]) -> float:
    answer()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        answer()
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.median(seconds)


def describe_estimates(orderer: SentenceOrderer, documents: list[list[str]]) -> str:
    """The errors of estimates for documents that are short enough for the sum over all orders."""
    exact = orderer.predict(documents, pairs=True)
    with patch.object(distribution, "MAX_EXACT_SENTENCES", 1):
        estimated = orderer.predict(documents, pairs=True)
    nats = np.log([e.probability for e in estimated]) - np.log([e.probability for e in exact])
    return (
        f"{len(documents)} documents of {min(EXACT_SIZES)} to {max(EXACT_SIZES)} sentences: the estimated "
        f"log-probability of an order is {np.sqrt(np.square(nats).mean()):.3f} nats off, root mean square, and at most "
        f"{abs(nats).max():.2f}; {describe_pairs(estimated, exact)}"
    )


def describe_long_estimates(orderer: SentenceOrderer, documents: list[list[str]], size: int) -> str:
    """The errors of pairs in a few documents of this size, which are put together."""
    flat = chain.from_iterable(documents)
    texts = [[*islice(flat, size)] for _ in range(NUM_LONG)]
    estimated = orderer.predict(texts, pairs=True)
    with patch.multiple(sampling, BURN_IN=40, SWEEPS=240):
        return f"{NUM_LONG} of {size} sentences: {describe_pairs(estimated, orderer.predict(texts, pairs=True))}"


def describe_pairs(found: list[Prediction], expected: list[Prediction]) -> str:
    errors = []
    for one, other in zip(found, expected, strict=True):
        assert one.pairs is not None
        errors.append(np.abs(np.subtract(one.pairs, other.pairs))[~np.eye(len(one.pairs), dtype=bool)])
    off = np.concatenate(errors)
    return f"the probability of a pair is {off.mean():.4f} off on average, and at most {off.max():.2f}."


if __name__ == "__main__":
    main()
