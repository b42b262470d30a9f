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
    """Where a component is defined, the scores that it provides (a head) or reads (a loss, a decoder), and its text."""

    path: str
    scores: tuple[str, ...]  # a loss or a decoder is called with these in this order, and needs one of them at least
    help: str = ""  # of a loss, for its config key: the weight

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
    "pairwise_logistic": Component("losses.pairwise_logistic:pairwise_logistic", ("logits",), "Likelihood of pairs."),
    "margin": Component("losses.margin:margin", ("logits",), "Hinge on the log-odds of each pair."),
    "ranknet": Component("losses.ranknet:ranknet", ("logits",), "As pairwise_logistic, far pairs weighing more."),
    "list_mle": Component(
        "losses.list_mle:list_mle", ("logits",), "Likelihood of the order by one score per sentence."
    ),
    "regression": Component("losses.regression:regression", ("logits",), "Squared error of each relative position."),
    "neighbours": Component("losses.neighbours:neighbours", ("next_log_probs",), "Likelihood of what follows what."),
    "order": Component("losses.order:order", ("logits", "next_log_probs"), "Likelihood of the order among all orders."),
    "position": Component("losses.positions:position", ("position_logits",), "Cross-entropy of sentences' positions."),
    "slot": Component("losses.positions:slot", ("position_logits",), "Cross-entropy of positions' sentences."),
    "pointer": Component("losses.pointer:pointer", ("pointer",), "Likelihood of each next sentence."),
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
