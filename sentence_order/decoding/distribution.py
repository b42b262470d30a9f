"""The distribution over the orders of a document: the probabilities of orders, of pairs and of neighbours.

Up to `MAX_EXACT_SENTENCES` sentences all are exact, from the sum over all orders (`decoding/likelihood.py`). For longer
documents that sum is estimated: the orders that a beam search finds are summed exactly, and all others by orders that
are drawn and weigh as much as they are likelier by the model than by the draw. Pairs and neighbours are estimated by
Gibbs sampling (`decoding/sampling.py`).
"""

from collections.abc import Iterator
from functools import cached_property
from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from sentence_order.decoding import decode_k_best, one_thread, order_objective
from sentence_order.decoding.exact import MAX_EXACT_SENTENCES
from sentence_order.decoding.likelihood import exact_marginals, log_partition
from sentence_order.decoding.pointer import pointer_log_prob
from sentence_order.decoding.sampling import draw_orders, sample_marginals
from sentence_order.decoding.scores import CleanScores, Scores

NUM_SUMMED = 5  # of the best orders of a long document
# Of documents at a time, so that what the sum over all orders keeps for its gradient fits into memory.
_CHUNK_BYTES = 2**26


class Marginals(NamedTuple):
    """Probabilities over all orders of each document, zero on diagonals and at padding."""

    before_BSS: Tensor  # that sentence i comes before sentence j
    next_BTT: Tensor  # that item j directly follows item i; item 0 is the document's boundary, 1 + i is sentence i


class OrderDistribution:
    """The distribution over the orders of each document of a batch, by the scores of a model."""

    def __init__(
        self, scores: Scores, mask_BS: Tensor, text_rank_BS: Tensor, *, beam_width: int = 64, num_summed: int = 0
    ) -> None:
        """Args:
        text_rank_BS: integer ranks of the sentences' texts, equal only for identical ones.
        num_summed: the most orders that are asked for, if more than `NUM_SUMMED`; of a long document they are summed.
        """
        self.scores, self.mask_BS, self.text_rank_BS = scores, mask_BS.cpu(), text_rank_BS.cpu()
        self.beam_width, self.num_summed = beam_width, max(num_summed, NUM_SUMMED)
        # Identical sentences have identical scores, so each of the orders of the same texts is as likely.
        same_BSS = (text_rank_BS[:, :, None] == text_rank_BS[:, None]) & mask_BS[:, :, None] & mask_BS[:, None]
        self.log_choices_B1 = same_BSS.tril().sum(2).clamp(min=1).double().log().sum(1, keepdim=True)

    def log_probs(self, order_BKS: Tensor) -> Tensor:
        """The log-probabilities of K orders of each document: (B, K), float64, in nats.

        Orders that differ only by swapping identical sentences count as one. A row of -1 is no order and has the
        probability 0.
        """
        is_order_BK = (order_BKS >= 0).all(2)
        order_BKS = order_BKS.clamp(min=0)
        if self.scores.pointer is not None:
            orders = order_BKS.unbind(1)
            log_probs = [pointer_log_prob(self.scores.pointer, order_BS, self.mask_BS) for order_BS in orders]
            log_prob_BK = torch.stack(log_probs, dim=1).double()
        else:
            log_prob_BK = torch.zeros(order_BKS.shape[:2], dtype=torch.float64)
            with one_thread():
                for rows_G, pairs_GSS, next_GTT in self._groups():
                    log_prob_BK[rows_G] = _objectives(pairs_GSS, next_GTT, order_BKS[rows_G, :, : pairs_GSS.shape[1]])
                log_prob_BK -= self._log_total[:, None]
        return (log_prob_BK + self.log_choices_B1).masked_fill(~is_order_BK, -torch.inf).clamp(max=0)

    @one_thread()
    def marginals(self, max_sentences: int | None = None) -> Marginals:
        """The probabilities of all pairs and neighbours in float64, zeros for documents of more sentences."""
        documents, sentences = self.mask_BS.shape
        before_BSS = torch.zeros(documents, sentences, sentences, dtype=torch.float64)
        next_BTT = torch.zeros(documents, 1 + sentences, 1 + sentences, dtype=torch.float64)
        for rows_G, pairs_GSS, next_GTT in self._groups():
            size = pairs_GSS.shape[1]
            if max_sentences is not None and size > max_sentences:
                continue
            if size <= MAX_EXACT_SENTENCES:
                before_GSS, following_GTT = exact_marginals(pairs_GSS, next_GTT)
            else:
                ranks_GS, best_GS = self.text_rank_BS[rows_G, :size], self._summed_orders[rows_G, 0, :size]
                each = map(sample_marginals, pairs_GSS, next_GTT, ranks_GS, best_GS)
                before_GSS, following_GTT = map(torch.stack, zip(*each, strict=True))
            before_BSS[rows_G, :size, :size] = before_GSS
            next_BTT[rows_G, : 1 + size, : 1 + size] = following_GTT
        return Marginals(before_BSS, next_BTT)

    def best_orders(self, count: int) -> Tensor:
        """The likeliest orders of each document, see `decode_k_best`: (B, count, S)."""
        if self.scores.pointer is not None:
            return decode_k_best(self.scores, self.mask_BS, self.text_rank_BS, count, beam_width=self.beam_width)
        assert count <= self.num_summed, "those of long documents are the ones that are summed"
        best_BKS = self._summed_orders[:, :count].clone()
        is_short_B = self.mask_BS.sum(1) <= MAX_EXACT_SENTENCES
        best_BKS[is_short_B] = self._decode_k_best(is_short_B.nonzero()[:, 0], count)
        return best_BKS

    @cached_property
    def _log_total(self) -> Tensor:
        """The logarithm of the sum over all orders, or an estimate of it."""
        total_B = torch.zeros(len(self.mask_BS), dtype=torch.float64)
        for rows_G, pairs_GSS, next_GTT in self._groups():
            if pairs_GSS.shape[1] <= MAX_EXACT_SENTENCES:
                total_B[rows_G] = log_partition(pairs_GSS.permute(1, 2, 0), next_GTT.permute(1, 2, 0))
            else:
                total_B[rows_G] = self._estimate_log_total(rows_G, pairs_GSS, next_GTT)
        return total_B

    def _estimate_log_total(self, rows_G: Tensor, pairs_GSS: Tensor, next_GTT: Tensor) -> Tensor:
        size = pairs_GSS.shape[1]
        rank_GS, best_GJS = self.text_rank_BS[rows_G, :size], self._summed_orders[rows_G, :, :size]
        is_order_GJ = best_GJS[:, :, 0] >= 0
        best_GJS = best_GJS.clamp(min=0)
        known_GJ = _objectives(pairs_GSS, next_GTT, best_GJS) + self.log_choices_B1[rows_G]
        known_G = known_GJ.masked_fill(~is_order_GJ, -torch.inf).logsumexp(1)

        drawn = draw_orders(pairs_GSS, next_GTT, rank_GS)
        texts_GJS, texts_GKS = (rank_GS[:, None].expand_as(o).gather(2, o) for o in (best_GJS, drawn.order_GKS))
        is_known_GK = ((texts_GKS[:, :, None] == texts_GJS[:, None]).all(3) & is_order_GJ[:, None]).any(2)
        others_G = drawn.log_weight_GK.masked_fill(is_known_GK, -torch.inf).logsumexp(1)
        return torch.logaddexp(known_G, others_G - log(drawn.log_weight_GK.shape[1]))

    @cached_property
    def _summed_orders(self) -> Tensor:
        """The best orders of long documents, and -1 for others."""
        documents, sentences = self.mask_BS.shape
        best_BKS = torch.full((documents, self.num_summed, sentences), -1)
        is_long_B = self.mask_BS.sum(1) > MAX_EXACT_SENTENCES
        best_BKS[is_long_B] = self._decode_k_best(is_long_B.nonzero()[:, 0], self.num_summed)
        return best_BKS

    def _decode_k_best(self, rows_G: Tensor, count: int) -> Tensor:
        inputs = self.scores.select(rows_G), self.mask_BS[rows_G], self.text_rank_BS[rows_G]
        return decode_k_best(*inputs, count, beam_width=self.beam_width)

    def _groups(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Rows of documents of one length, of at least two sentences, with half the log-odds of their pairs and the
        log-probabilities of their neighbours in float64; zeros where a model has none."""
        documents, sentences = self.mask_BS.shape
        pairs_BSS, next_BTT = self.scores.logits, self.scores.next_log_probs
        pairs_BSS = torch.zeros(documents, sentences, sentences) if pairs_BSS is None else pairs_BSS.cpu()
        next_BTT = torch.zeros(documents, 1 + sentences, 1 + sentences) if next_BTT is None else next_BTT.cpu()
        size_B = self.mask_BS.sum(1)
        for size in sorted(set(size_B.tolist()) - {0, 1}):
            summed = min(size, MAX_EXACT_SENTENCES)
            chunk = max(1, _CHUNK_BYTES // (256 * summed * 2**summed))
            for rows_G in (size_B == size).nonzero()[:, 0].split(chunk):
                pairs_GSS = pairs_BSS[rows_G, :size, :size].double() / 2
                yield rows_G, pairs_GSS, next_BTT[rows_G, : 1 + size, : 1 + size].double()


def _objectives(pairs_GSS: Tensor, next_GTT: Tensor, order_GKS: Tensor) -> Tensor:
    """What orders of documents of one length earn: (G, K)."""
    scores = CleanScores(pairs_GSS, next_GTT)
    # One by one: all pairs of a long document are many.
    return torch.stack([order_objective(scores, order_GS) for order_GS in order_GKS.unbind(1)], dim=1)
