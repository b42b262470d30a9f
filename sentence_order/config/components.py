"""The heads, losses and decoders, the scores by which they go together, and the metrics.

A head provides scores (fields of `decoding.scores.Scores`), a loss or a decoder reads them. The enums and loss weights
of the schema, the checks of a config and the model are made from these tables, and nothing else lists the components.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any


@dataclass(frozen=True)
class Component:
    """Where a component is defined, and the scores that it provides (a head) or reads (a loss, a decoder)."""

    path: str
    scores: tuple[str, ...]  # a loss or a decoder is called with these in this order, and needs one of them at least

    def load(self) -> Any:
        """Imports the class or function; not earlier, so that the tables need no torch."""
        return resolve_name(f"sentence_order.{self.path}")


HEADS = {
    "pairs": Component("model.heads:PairHead", ("logits",)),
    "scores": Component("model.heads:ScoreHead", ("logits",)),
    "neighbours": Component("model.heads:NeighbourHead", ("next_log_probs",)),
    "positions": Component("model.heads:PositionHead", ("logits", "position_logits")),
    "pointer": Component("model.pointer:PointerHead", ("pointer",)),
    "relational_pointer": Component("model.pointer:RelationalPointerHead", ("pointer",)),
}
LOSSES = {
    "pairwise_logistic": Component("losses.pairwise_logistic:pairwise_logistic", ("logits",)),
    "margin": Component("losses.margin:margin", ("logits",)),
    "ranknet": Component("losses.ranknet:ranknet", ("logits",)),
    "list_mle": Component("losses.list_mle:list_mle", ("logits",)),
    "regression": Component("losses.regression:regression", ("logits",)),
    "neighbours": Component("losses.neighbours:neighbours", ("next_log_probs",)),
    "order": Component("losses.order:order", ("logits", "next_log_probs")),
    "position": Component("losses.positions:position", ("position_logits",)),
    "slot": Component("losses.positions:slot", ("position_logits",)),
    "pointer": Component("losses.pointer:pointer", ("pointer",)),
}
DECODERS = {
    "exact": Component("decoding.exact:exact_order", ("logits", "next_log_probs")),
    "expected_tau": Component("decoding.expected_tau:expected_tau_order", ("logits", "next_log_probs")),
    "beam": Component("decoding.beam:beam_order", ("logits", "next_log_probs")),
    "borda": Component("decoding.borda:borda_order", ("logits",)),
    "topological": Component("decoding.topological:topological_order", ("logits",)),
    "assignment": Component("decoding.assignment:assignment_order", ("logits",)),
    "pointer": Component("decoding.pointer:pointer_order", ("pointer",)),
}

# What `trainer.metric` may be: the metrics of `evaluation/metrics.py` and the loss. 1: more is better, -1: less is.
METRICS = dict.fromkeys(("tau", "pmr", "accuracy", "accuracy_per_document", "spearman", "pairwise_accuracy"), 1)
METRICS |= {"first": 1, "last": 1, "lcs": 1, "loss": -1}


def heads_for(component: Component) -> set[str]:
    """The heads that provide a score which a loss or a decoder reads."""
    return {name for name, head in HEADS.items() if set(head.scores) & set(component.scores)}


def readers_of(heads: set[str], components: Mapping[str, Component]) -> list[str]:
    """The losses or decoders that read a score of these heads."""
    return [name for name, component in components.items() if heads_for(component) & heads]
