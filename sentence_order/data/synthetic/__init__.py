"""Short made-up narratives in any number, for trying the trainer out and for its own tests.

Nothing has to be downloaded, and the order of a story can be told from what happens in it: from causes and effects,
from people and things that are introduced and then referred to, and only now and then from a word such as "then".
The plots lie in the modules of this package, one module a theme; `plot.py` says how to write one. A new plot goes
into the tuple `PLOTS` of a theme and is in the training split unless `HELD_OUT` names it.

Validation and test measure two things, which the group of a story tells apart: every other story is a new telling of a
plot that training tells too ("known plots"), the others tell plots that training never sees ("new plots").
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from . import animals, craft, home, kitchen, learning, outdoors, town, travel, work
from .plot import Plot, Step

__all__ = ["HELD_OUT", "NUM_STORIES", "PLOTS", "Plot", "Step", "generate"]

# Plots that training never sees: on them validation and test measure what has been learned about order and not about
# the plots. Both lists draw on all kinds of themes; changing them changes every published number.
HELD_OUT = {
    "validation": (
        "chilli contest",
        "painted room",
        "expired passport",
        "cat on the roof",
        "science fair",
        "misdelivered letter",
    ),
    "test": (
        "birthday cake",
        "leaking tap",
        "swapped suitcase",
        "lost dog",
        "server outage",
        "violin recital",
        "metal detector",
        "saved playground",
        "wedding dress",
    ),
}

# How many stories a split has, unless data.limit_SPLIT says otherwise.
NUM_STORIES = {"train": 800, "validation": 100, "test": 300}
# The groups.
KNOWN, NEW = "known plots", "new plots"

_THEMES = (kitchen, home, travel, animals, work, learning, outdoors, town, craft)
_PLOT_BY_NAME = {plot.name: plot for theme in _THEMES for plot in theme.PLOTS}
_HELD_OUT_NAMES = {name for names in HELD_OUT.values() for name in names}

PLOTS: dict[str, tuple[Plot, ...]] = {
    "train": tuple(plot for name, plot in _PLOT_BY_NAME.items() if name not in _HELD_OUT_NAMES),
    **{split: tuple(_PLOT_BY_NAME[name] for name in names) for split, names in HELD_OUT.items()},
}


def generate(split: str, seed: int, count: int) -> Iterator[tuple[str, list[str], str]]:
    """Yield `count` documents as (document id, sentences in gold order, group).

    The group is `known plots` for all training stories and, in validation and test, for those of an even index, which
    tell plots of the training; those of an odd index tell `new plots`, held out from it. A document is a pure function
    of (split, seed, index): the first ten of a thousand are the ten of a smaller call.

    Raises:
        ValueError: if `split` is none of train, validation and test.
    """
    # Not a generator itself: a misspelt split is told at the call and not at the first document.
    if split not in PLOTS:
        raise ValueError(f"unknown split '{split}' of the synthetic corpus, expected one of {', '.join(PLOTS)}")
    return (_document(split, seed, index) for index in range(count))


def _document(split: str, seed: int, index: int) -> tuple[str, list[str], str]:
    document_id = f"synthetic-{split}-{seed}-{index}"
    # A string seed is hashed by SHA-512 and so the same in every process, unlike what hash() would give.
    rng = random.Random(document_id)
    is_known = split == "train" or index % 2 == 0
    plots = PLOTS["train"] if is_known else PLOTS[split]
    return document_id, plots[int(rng.random() * len(plots))].write(rng), KNOWN if is_known else NEW
