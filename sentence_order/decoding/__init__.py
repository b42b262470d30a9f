"""From a model's scores to an order: the decoders, and the one function that calls them.

    order_BS, objective_B = decode(exact_order, scores, mask_BS, tie_break_BS)

The objective of an order is its log-likelihood, up to a constant of the document: the sum of half the log-odds of every
pair of sentences in its order, and of the log-probability of every two neighbours.

Scores are checked, cleaned and grouped by length here, and sentences numbered by their content instead of their place
in the input. A decoder reads clean float64 scores, computes exact sums, and breaks a tie in favour of the lower index;
so reshuffling the sentences cannot change the result, not even on ties.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.functional import pad

from sentence_order.decoding.k_best import k_best_orders
from sentence_order.decoding.pointer import pointer_log_prob, pointer_orders
from sentence_order.decoding.scores import MATRICES, CleanScores, Scores, quantise

# Every score becomes a multiple of 2**-16 of at most 2**14. A float64 holds 53 bits, so sums over the 2**23 pairs of
# up to `MAX_SENTENCES` are exact, and do not depend on the order in which they are taken. 2**-16 is finer than
# float32 resolves above 256 and than bfloat16 resolves above 0.004; no model is as sure as exp(2**14).
_MAX_SCORE = 2.0**14
MAX_SENTENCES = 4096
# Documents are decoded so many at a time that each of their arrays holds this many scores and stays in the cache: fresh
# memory for a large batch takes longer than all arithmetic, and too few documents are slowed down by each operation.
_CHUNK_SCORES = 2**16

# From clean scores of documents of one length and a beam width to `order_GS`, long; the pointer's reads the pointer.
Decoder = Callable[..., Tensor]


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block, PyTorch computes in one thread.

    Decoders take thousands of small steps: more threads gain nothing, and wait for each other on a busy machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def decode(
    decoder: Decoder, scores: Scores, mask_BS: Tensor, tie_break_BS: Tensor, *, beam_width: int = 64
) -> tuple[Tensor, Tensor]:
    """Finds the best order of each document's sentences by the scores of a model, and its objective.

    Runs on the CPU, in float64 and one thread, wherever its inputs are; a pointer's network runs on its own device.

    Args:
        decoder: one of the functions of this package, which can read these scores (see `config/components.py`).
        mask_BS: True for sentences, False for the padding after them.
        tie_break_BS: integer ranks that depend on the content of the sentences and not on the input order, equal only
            for identical sentences. Of equally good orders, the one that is first in these ranks is preferred.
        beam_width: partial orders that a beam search keeps, also that of "exact" for a long document.

    Returns `order_BS`, where `order[b, k]` is the index of the k-th sentence and padding stays in its own places; and
    `objective_B` in nats, of a pointer the log-probability of the order. Raises ValueError if a score is NaN.
    """
    if beam_width < 1:
        raise ValueError(f"beam_width is {beam_width}, and must be at least 1")
    mask_BS, tie_break_BS = mask_BS.detach().cpu().bool(), tie_break_BS.detach().cpu()
    assert tie_break_BS.shape == mask_BS.shape
    assert not (mask_BS[:, 1:] & ~mask_BS[:, :-1]).any(), "padding must follow the sentences"
    if scores.pointer is not None:
        order_BS = decoder(scores.pointer, mask_BS, tie_break_BS, beam_width)
        return order_BS, pointer_log_prob(scores.pointer, order_BS, mask_BS).double()

    documents, sentences = mask_BS.shape
    order_BS = torch.arange(sentences).repeat(documents, 1)
    objective_B = torch.zeros(documents, dtype=torch.float64)
    for rows_G, rank_order_GS, clean in _documents_by_size(scores, mask_BS, tie_break_BS):
        order_GS = decoder(clean, beam_width)
        order_BS[rows_G, : order_GS.shape[1]] = rank_order_GS.gather(1, order_GS)
        objective_B[rows_G] = order_objective(clean, order_GS)
    return order_BS, objective_B


@one_thread()
def decode_k_best(scores: Scores, mask_BS: Tensor, tie_break_BS: Tensor, count: int, *, beam_width: int = 64) -> Tensor:
    """The orders of greatest objective, or, of a pointer, of greatest probability, best first: (B, count, S).

    Exact up to 12 sentences, and above, as that of a pointer, by a beam search. Of orders that differ only by swapping
    identical sentences (of one rank) there is one. Padding stays in its own places. If there are fewer orders than
    `count`, the last rows are -1. See `decode` for the arguments.
    """
    mask_BS, tie_break_BS = mask_BS.detach().cpu().bool(), tie_break_BS.detach().cpu()
    if scores.pointer is not None:
        return pointer_orders(scores.pointer, mask_BS, tie_break_BS, beam_width, count)

    documents, sentences = mask_BS.shape
    order_BKS = torch.arange(sentences).repeat(documents, count, 1)
    order_BKS[~mask_BS.any(1), 1:] = -1  # without sentences there is one order
    for rows_G, rank_order_GS, clean in _documents_by_size(scores, mask_BS, tie_break_BS):
        order_GKS, size = k_best_orders(clean, beam_width, count), rank_order_GS.shape[1]
        position_GKS = order_GKS.argsort(2)
        assert clean.same_GSS is not None
        is_swapped_GKSS = clean.same_GSS[:, None] & (position_GKS[..., None] > position_GKS[:, :, None])
        is_missing_GK = (order_GKS[:, :, 0] < 0) | is_swapped_GKSS.any(3).any(2)
        found_GKS = rank_order_GS[:, None].expand_as(order_GKS).gather(2, order_GKS.clamp(min=0))
        order_BKS[rows_G, :, :size] = found_GKS
        order_BKS[rows_G] = order_BKS[rows_G].masked_fill(is_missing_GK[:, :, None], -1)
    return order_BKS


def _documents_by_size(
    scores: Scores, mask_BS: Tensor, tie_break_BS: Tensor
) -> Iterator[tuple[Tensor, Tensor, CleanScores]]:
    """Rows of documents of one length; their sentences by rank, (G, S); their scores, by which sentence k is the k-th
    of its document by rank."""
    matrices = {name: scores[name].detach().cpu().contiguous() for name in MATRICES if name in scores}
    documents, sentences = mask_BS.shape
    for name, matrix in matrices.items():
        width = sentences + (name == "next_log_probs")  # with the boundary
        assert matrix.shape == (documents, width, width), f"{name}: {tuple(matrix.shape)}"
    size_B = mask_BS.sum(1)
    for size in sorted(set(size_B.tolist()) - {0}):
        for rows_G in (size_B == size).nonzero()[:, 0].split(max(1, _CHUNK_SCORES // (1 + size) ** 2)):
            rank_order_GS = tie_break_BS[rows_G, :size].argsort(dim=1, stable=True)
            rank_GS = tie_break_BS[rows_G[:, None], rank_order_GS]
            same_GSS = (rank_GS[:, :, None] == rank_GS[:, None]).triu(1)
            yield rows_G, rank_order_GS, _clean_scores(matrices, rows_G, rank_order_GS)._replace(same_GSS=same_GSS)


def _clean_scores(matrices: dict[str, Tensor], rows_G: Tensor, order_GS: Tensor) -> CleanScores:
    """Scores of some documents between the k-th and the l-th sentence of an order, zero if a model has none."""
    order_SG = order_GS.T.contiguous()
    item_TG = pad(order_SG + 1, (0, 0, 1, 0))  # the boundary, then the sentences
    # Of half the log-odds, the antisymmetric part.
    logits_SSG = _clean(matrices.get("logits"), rows_G, order_SG, order_SG, limit=2 * _MAX_SCORE)
    pairs_SSG = quantise((logits_SSG - logits_SSG.transpose(0, 1)).div_(4))
    next_TTG = quantise(_clean(matrices.get("next_log_probs"), rows_G, item_TG, item_TG))
    position_GSS = None
    if "position_logits" in matrices:
        # The mean of two log-probabilities, normalised over the sentences and over the positions of the document.
        position_S1 = torch.arange(len(order_SG))[:, None]
        logits_SSG = _clean(matrices["position_logits"], rows_G, order_SG, position_S1, diagonal=True)
        position_SSG = (logits_SSG.log_softmax(0) + logits_SSG.log_softmax(1)) / 2
        position_GSS = quantise(position_SSG.clamp_(min=-_MAX_SCORE)).permute(2, 0, 1)
    return CleanScores(pairs_SSG.permute(2, 0, 1), next_TTG.permute(2, 0, 1), position_GSS)


def _clean(
    scores_BSS: Tensor | None,
    rows_G: Tensor,
    row_XG: Tensor,
    column_YG: Tensor,
    limit: float = _MAX_SCORE,
    diagonal: bool = False,
) -> Tensor:
    """Float64 `scores_XYG`: these rows and columns of some documents, bounded and, unless `diagonal`, zero there.

    Documents are innermost, where arithmetic over them is fastest. A NaN is a ValueError.
    """
    if scores_BSS is None:
        return torch.zeros(len(row_XG), len(column_YG), len(rows_G), dtype=torch.float64)
    documents, width, _ = scores_BSS.shape
    entry_XYG = (rows_G * width + row_XG)[:, None] * width + column_YG
    scores_XYG = scores_BSS.flatten().index_select(0, entry_XYG.flatten()).double().view_as(entry_XYG)
    if not diagonal:
        scores_XYG.diagonal().zero_()
    if scores_XYG.clamp_(-limit, limit).sum().isnan():
        broken = rows_G[scores_XYG.isnan().any(0).any(0)][0]
        raise ValueError(f"NaN among the scores of document {int(broken)} of {documents}")
    return scores_XYG


def order_objective(scores: CleanScores, order_GS: Tensor) -> Tensor:
    """The objective of one order of each document: (G), in nats."""
    sentences = order_GS.shape[1]
    order_SG = order_GS.T.contiguous()
    first_E, second_E = torch.triu_indices(sentences, sentences, 1)
    pair_EG = order_SG.index_select(0, first_E) * sentences + order_SG.index_select(0, second_E)
    path_XG = pad(order_SG + 1, (0, 0, 1, 1))  # from the boundary to the boundary again
    link_TG = path_XG[:-1] * (1 + sentences) + path_XG[1:]
    pair_scores_EG = scores.pairs_GSS.permute(1, 2, 0).flatten(0, 1).gather(0, pair_EG)
    return pair_scores_EG.sum(0) + scores.next_GTT.permute(1, 2, 0).flatten(0, 1).gather(0, link_TG).sum(0)
