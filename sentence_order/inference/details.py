"""What can be asked for beside an order: the likeliest orders, and the probabilities of pairs and neighbours.

All are by the model's own distribution over the orders of a document (`decoding/distribution.py`), or by its pointer.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, starmap
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sentence_order.config.schema import PredictConfig
from sentence_order.decoding.distribution import OrderDistribution
from sentence_order.decoding.exact import MAX_EXACT_SENTENCES
from sentence_order.decoding.scores import Scores
from sentence_order.inference.calibration import calibrate_pairs, pair_log_odds
from sentence_order.model.configuration import SentenceOrdererConfig

log = logging.getLogger(__name__)

# `[i][j]` by the indices of the input; None in the rows and columns of empty sentences.
Matrix = list[list[float | None]]


@dataclass(frozen=True)
class Details:
    """What is asked for: this number of likeliest orders, and the matrices of pairs and of neighbours."""

    top_k: int = 0
    pairs: bool = False
    neighbours: bool = False

    @classmethod
    def of(cls, config: PredictConfig) -> "Details":
        return cls(config.top_k, config.pairs, config.neighbours)

    def log_missing(self, model_config: SentenceOrdererConfig) -> None:
        """Logs a line about what is asked for and a model does not have."""
        if model_config.has_pointer and (self.pairs or self.neighbours):
            log.info("pairs, neighbours: a pointer network has no such probabilities; they are left out")
        elif self.pairs and model_config.pair_calibration is None:
            log.info("pairs: this checkpoint has no calibration of pairs; pairs_calibrated is left out")


class Places(NamedTuple):
    """The indices, in the input, of a document's sentences that are not empty, and the number of all."""

    kept: Sequence[int]
    num_sentences: int


@dataclass(frozen=True)
class RankedOrder:
    """One of the likeliest orders of a document, and its probability by the model, which is not calibrated."""

    order: list[int]
    probability: float


@dataclass(frozen=True)
class DoubtedPair:
    """Two sentences, by their indices in the input, that the model would rather have the other way round.

    `probability` is the model's own, that `first` comes before `second`, as it does in the order in question.
    """

    first: int
    second: int
    probability: float


@dataclass(frozen=True)
class OrderProbability:
    """How likely an order is.

    Attributes:
        probability: the model's own of the whole order; it is not calibrated.
        approximate: True for more than 12 sentences, whose probabilities are approximate.
        doubted_pairs: pairs whose order has a probability below 0.5, the least likely first; None for a pointer
            network, which has no probabilities of pairs.
    """

    probability: float
    approximate: bool
    doubted_pairs: list[DoubtedPair] | None


def find_details(
    wanted: Details, distribution: OrderDistribution, places: Sequence[Places], pair_calibration: float | None
) -> list[dict[str, Any]]:
    """The fields of `Prediction` that are asked for, of each document of a batch, by the indices of the input."""
    fields: list[dict[str, Any]] = [{} for _ in places]
    if wanted.top_k:
        order_BKS = distribution.best_orders(wanted.top_k)
        is_found_BK = order_BKS[:, :, 0] >= 0
        probability_BK = distribution.log_probs(order_BKS).exp()
        for b, (kept, _) in enumerate(places):
            orders = [[kept[k] for k in order[: len(kept)]] for order in order_BKS[b, is_found_BK[b]].tolist()]
            ranked = zip(orders, probability_BK[b, is_found_BK[b]].tolist(), strict=True)
            fields[b]["top_k"] = [*starmap(RankedOrder, ranked)]

    if (wanted.pairs or wanted.neighbours) and distribution.scores.pointer is None:
        found = distribution.marginals()
        matrices: dict[str, Tensor] = {}
        if wanted.pairs:
            matrices["pairs"] = found.before_BSS
        if wanted.pairs and pair_calibration is not None:
            matrices["pairs_calibrated"] = _calibrate(found.before_BSS, pair_calibration)
        if wanted.neighbours:
            matrices["neighbours"] = found.next_BTT[:, 1:, 1:]
        for name, matrix_BSS in matrices.items():
            for b, (kept, num_sentences) in enumerate(places):
                values = matrix_BSS[b, : len(kept), : len(kept)].tolist()
                fields[b][name] = _with_empty_sentences(values, kept, num_sentences)
    return fields


def find_doubted_pairs(distribution: OrderDistribution, order: Sequence[int], kept: Sequence[int]) -> list[DoubtedPair]:
    """The pairs of an order of one document that are likelier the other way round: the worst first."""
    before_SS = distribution.marginals().before_BSS[0]
    rank = dict(zip(kept, distribution.text_rank_BS[0].tolist(), strict=True))
    before = dict(zip(kept, (dict(zip(kept, row, strict=True)) for row in before_SS.tolist()), strict=True))
    pairs = [DoubtedPair(i, j, before[i][j]) for i, j in combinations(order, 2) if rank[i] != rank[j]]
    return sorted((pair for pair in pairs if pair.probability < 0.5), key=lambda pair: pair.probability)


def is_approximate(scores: Scores, num_sentences: int) -> bool:
    """True if the probabilities of a document of so many sentences are approximate."""
    return scores.pointer is None and num_sentences > MAX_EXACT_SENTENCES


def _calibrate(before_BSS: Tensor, slope: float) -> Tensor:
    """The probabilities of pairs (see `OrderDistribution.marginals`), calibrated; zero on diagonals."""
    calibrated_BSS = torch.from_numpy(calibrate_pairs(pair_log_odds(before_BSS).numpy(), slope))
    return calibrated_BSS - torch.diag_embed(calibrated_BSS.diagonal(dim1=1, dim2=2))


def _with_empty_sentences(matrix: Matrix, kept: Sequence[int], num_sentences: int) -> Matrix:
    full: Matrix = [[None] * num_sentences for _ in range(num_sentences)]
    for i, row in zip(kept, matrix, strict=True):
        for j, value in zip(kept, row, strict=True):
            full[i][j] = value
    return full
