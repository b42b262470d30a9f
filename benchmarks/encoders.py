"""Every family of encoders: how blind it is to the order of sentences, how equal to its library, and how fast.

    python -m benchmarks.encoders families|long [--only NAME ...] [--turns 10]

`families` prints a table of all: the largest change of a sentence vector when the sentences are given in another order,
and the largest difference of a token's state from the library's own for the sentence alone, both as a share of the
largest value and of tiny models with large random weights; and the time of a training step and of inference, as a
multiple of that of a BERT of the same width, depth and number of parameters in its layers (four layers of MiniLM's
width, random weights), by turns in one process.

`long` prints time and memory of a step on a document of 100 sentences, for families that differ in attention; each
runs in a process of its own.

Both use PyTorch's own kernels, in fp32, on the CPU.
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel

from benchmarks.families import draw_weights, make_settings
from sentence_order.model.build import DROPOUT
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.families import FAMILIES
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.segments import Layout

WIDTH, HEADS, LAYERS = 384, 12, 4
TINY = make_settings(layers=LAYERS)
MEDIUM = make_settings(WIDTH, HEADS, 4 * WIDTH, LAYERS, window=64)
DOCUMENTS, SENTENCES, TOKENS = 16, 5, 12
LONG = ("bert", "eurobert", "modernbert", "mpnet", "deberta-v2")
LENGTHS = (21, 13, 5)


def make_model(settings: dict[str, Any], joint_from: int, set_layers: int = 1) -> SentenceOrdererModel:
    """Without dropout, as the program trains by default."""
    settings = {name: 0.0 if name in DROPOUT else value for name, value in settings.items()}
    torch.manual_seed(0)
    return SentenceOrdererModel(
        SentenceOrdererConfig(encoder=settings, joint_from=joint_from, set_layers=set_layers)
    ).eval()


@torch.no_grad()
def measure_change(model: SentenceOrdererModel) -> float:
    """How much sentence vectors change if the sentences are given in another order."""
    draw_weights(model.encoder)
    sentences, order = draw_sentences(), [2, 0, 1]

    def read(given: Sequence[int]) -> Tensor:
        lengths = torch.tensor([[LENGTHS[i] for i in given]])
        return model.sentence_vectors(torch.cat([sentences[i] for i in given])[None], lengths)[0]

    return share(read([0, 1, 2])[order], read(order))


@torch.no_grad()
def measure_difference(settings: dict[str, Any]) -> float:
    """How much the states of single sentences differ from those of the library."""
    model = make_model(settings, LAYERS, 0)
    draw_weights(model.encoder)
    library = AutoModel.from_config(AutoConfig.for_model(**settings), dtype=torch.float32).eval()
    library = library.get_encoder() if getattr(library, "decoder", None) is not None else library
    library.load_state_dict(model.encoder.state_dict(), strict=False)
    sentences = draw_sentences()
    ours = model._run_stages(torch.cat(sentences), Layout(torch.tensor([LENGTHS])), 0, LAYERS + 1)
    theirs = [
        library(input_ids=sentence[None], attention_mask=torch.ones(1, len(sentence), dtype=torch.long))
        for sentence in sentences
    ]
    return share(torch.cat([output.last_hidden_state[0] for output in theirs]), ours)


def draw_sentences() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(5, 99, (length,), generator=generator) for length in LENGTHS]


def share(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((one - other).abs().max() / one.abs().max())


def measure_speed(settings: dict[str, Any], turns: int) -> tuple[float, float]:
    """The time of a training step and of inference, as multiples of BERT's."""
    model = make_model(settings, LAYERS // 2 if settings["model_type"] in FAMILIES else LAYERS)
    parameters = sum(weight.numel() for weight in model.layers[-1].parameters())
    wide = max(WIDTH, (parameters - 4 * WIDTH**2) // (2 * WIDTH))
    bert = AutoConfig.for_model("bert", **{**MEDIUM["bert"], "intermediate_size": wide}).to_dict()
    models = [make_model(bert, LAYERS // 2), model]
    lengths = torch.full((DOCUMENTS, SENTENCES), TOKENS)
    batch = {"input_ids": torch.randint(5, 99, (DOCUMENTS, SENTENCES * TOKENS)), "lengths": lengths}
    batch["positions"] = torch.arange(SENTENCES).expand(DOCUMENTS, -1)

    def infer(model: SentenceOrdererModel) -> None:
        with torch.no_grad():
            model.eval()(**batch)

    def compare(work: Callable[[SentenceOrdererModel], object]) -> float:
        ratios = []
        for turn in range(turns + 1):
            order = models if turn % 2 else models[::-1]  # what runs second finds other data in the processor's caches
            seconds = {model: measure_seconds(work, model) for model in order}
            ratios.append(seconds[models[1]] / seconds[models[0]])
        return statistics.median(ratios[1:])  # the first turn warms up

    return compare(lambda model: model.train()(**batch).loss.backward()), compare(infer)


def measure_seconds(work: Callable[[SentenceOrdererModel], object], model: SentenceOrdererModel) -> float:
    started = time.perf_counter()
    work(model)
    return time.perf_counter() - started


def print_families(names: Sequence[str], turns: int) -> None:
    print(
        "| type | class | run by | change by order | from the library | step | inference |", "|---" * 7 + "|", sep="\n"
    )
    for name in names:
        kind = name.split(",")[0]
        tiny, medium = (AutoConfig.for_model(kind, **settings[name]).to_dict() for settings in (TINY, MEDIUM))
        model = make_model(tiny, 0 if kind in FAMILIES else LAYERS)
        figures = measure_change(model), measure_difference(tiny)
        cells = [name, type(model.encoder).__name__, type(model.family).__name__]
        cells += [f"{figure:.0e}" for figure in figures]
        cells += [f"{ratio:.2f}" for ratio in measure_speed(medium, turns)]
        print(f"| {' | '.join(cells)} |", flush=True)


def measure_long(name: str) -> tuple[int, float, int]:
    """The tokens of a document of 100 sentences, and the seconds and bytes that a training step on it takes."""
    model = make_model(AutoConfig.for_model(name, **MEDIUM[name]).to_dict(), LAYERS // 2).train()
    lengths = torch.randint(8, 24, (1, 100), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": torch.randint(5, 99, (1, int(lengths.sum()))), "lengths": lengths}
    batch["positions"] = torch.arange(100)[None]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = [measure_seconds(lambda model: model(**batch).loss.backward(), model) for _ in range(4)]
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(lengths.sum()), statistics.median(seconds[1:]), 1024 * (most - before)


def print_long(names: Sequence[str]) -> None:
    print("| family | tokens | step | memory of a step |\n|---|---|---|---|")
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            tokens, seconds, memory = pool.apply(measure_long, (name,))
        print(f"| {name} | {tokens:,} | {seconds:.2f} s | {memory / 1e6:,.0f} MB |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.encoders", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("families", "long"))
    parser.add_argument("--only", nargs="+", help="names of families")
    parser.add_argument("--turns", type=int, default=10)
    options = parser.parse_args()
    if options.what == "families":
        print_families(options.only or [*TINY], options.turns)
    else:
        print_long(options.only or LONG)


if __name__ == "__main__":
    main()
