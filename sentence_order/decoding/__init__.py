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

from sentence_order.decoding.pointer import pointer_log_prob
from sentence_order.decoding.scores import CleanScores, Scores, quantise

# Every score becomes a multiple of 2**-16 of at most 2**14. A float64 holds 53 bits, so sums over the 2**23 pairs of
# up to `MAX_SENTENCES` are exact, and do not depend on the order in which they are taken. 2**-16 is finer than
# float32 resolves above 256 and than bfloat16 resolves above 0.004; no model is as sure as exp(2**14).
_MAX_SCORE = 2.0**14
MAX_SENTENCES = 4096

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

    mask_SB = mask_BS.T.contiguous()
    sentences, documents = mask_SB.shape
    pairs_SSB, next_TTB, position_SSB = _clean_scores(scores, mask_SB)

    # From here on sentence k is the k-th of its document by rank.
    last = torch.iinfo(torch.long).max  # padding keeps its own places, since the sort is stable
    canonical_SB = tie_break_BS.T.contiguous().long().masked_fill(~mask_SB, last).argsort(dim=0, stable=True)
    pairs_SSB = _reorder(pairs_SSB, canonical_SB)
    next_TTB = _reorder(next_TTB, pad(canonical_SB + 1, (0, 0, 1, 0)))  # the boundary, then the sentences
    if position_SSB is not None:
        position_SSB = position_SSB.gather(0, canonical_SB[:, None].expand_as(position_SSB))

    length_B = mask_SB.sum(0)
    order_SB = torch.arange(sentences)[:, None].repeat(1, documents)
    for length in sorted(set(length_B.tolist()) - {0}):
        rows_G = (length_B == length).nonzero().squeeze(1)
        clean = CleanScores(
            pairs_SSB[:length, :length].index_select(2, rows_G).permute(2, 0, 1),
            next_TTB[: 1 + length, : 1 + length].index_select(2, rows_G).permute(2, 0, 1),
            None if position_SSB is None else position_SSB[:length, :length].index_select(2, rows_G).permute(2, 0, 1),
        )
        order_SB[:length, rows_G] = decoder(clean, beam_width).T

    first_E, second_E = torch.triu_indices(sentences, sentences, 1)
    objective_B = _entries(pairs_SSB, order_SB[first_E], order_SB[second_E]).sum(0)
    # From the boundary to the boundary again, where the path stays in place of padding, at no gain.
    path_XB = pad((order_SB + 1) * mask_SB, (0, 0, 1, 1))
    objective_B += _entries(next_TTB, path_XB[:-1], path_XB[1:]).sum(0)
    return canonical_SB.gather(0, order_SB).T.contiguous(), objective_B


def _clean_scores(scores: Scores, mask_SB: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Scores of pairs (S, S, B) and of neighbours (T, T, B), zero if a model has none, and of positions."""
    sentences, documents = mask_SB.shape
    pairs_SSB = torch.zeros(sentences, sentences, documents, dtype=torch.float64)
    next_TTB = torch.zeros(1 + sentences, 1 + sentences, documents, dtype=torch.float64)
    position_SSB = None
    if scores.logits is not None:
        assert scores.logits.shape == (documents, sentences, sentences)
        pairs_SSB = _clean(scores.logits / 2, mask_SB)
        pairs_SSB = quantise((pairs_SSB - pairs_SSB.transpose(0, 1)) / 2)
    if scores.next_log_probs is not None:
        assert scores.next_log_probs.shape == (documents, 1 + sentences, 1 + sentences)
        boundary_1B = torch.ones(1, documents, dtype=torch.bool)
        next_TTB = quantise(_clean(scores.next_log_probs, torch.cat([boundary_1B, mask_SB])))
    if scores.position_logits is not None:
        # The mean of two log-probabilities, normalised over the sentences and over the positions of the document.
        real_BSS = (mask_SB[:, None] & mask_SB[None]).permute(2, 0, 1)
        logits_BSS = scores.position_logits.detach().cpu().double()
        logits_BSS = logits_BSS.masked_fill(~real_BSS, -(2 * _MAX_SCORE))
        position_BSS = (logits_BSS.log_softmax(1) + logits_BSS.log_softmax(2)) / 2
        position_SSB = quantise(_clean(position_BSS, mask_SB, diagonal=True))
    return pairs_SSB, next_TTB, position_SSB


def _clean(scores_BSS: Tensor, mask_SB: Tensor, diagonal: bool = False) -> Tensor:
    """Float64 on the CPU, bounded, zero on padding and, unless `diagonal`, the diagonal; a NaN is a ValueError."""
    scores_SSB = scores_BSS.detach().cpu().double().permute(1, 2, 0).clone(memory_format=torch.contiguous_format)
    scores_SSB.masked_fill_(~mask_SB[:, None], 0.0).masked_fill_(~mask_SB[None], 0.0)
    if not diagonal:
        scores_SSB.diagonal().zero_()
    broken_B = scores_SSB.isnan().flatten(0, 1).any(0)
    if broken_B.any():
        raise ValueError(f"NaN among the scores of document {int(broken_B.nonzero()[0])} of {len(broken_B)}")
    return scores_SSB.clamp_(-_MAX_SCORE, _MAX_SCORE)


def _reorder(scores_SSB: Tensor, order_SB: Tensor) -> Tensor:
    """`scores_SSB` between the k-th and the l-th sentence of an order."""
    return _entries(scores_SSB, order_SB[:, None], order_SB[None]).view_as(scores_SSB)


def _entries(scores_SSB: Tensor, row_EB: Tensor, column_EB: Tensor) -> Tensor:
    """`scores_EB`, the given entries of each document: a flat gather takes half as long as indexing."""
    entry_EB = (row_EB * len(scores_SSB) + column_EB).flatten(0, -2)
    return scores_SSB.flatten(0, 1).gather(0, entry_EB)
