"""The heads: from sentence vectors to what is known of a document's order.

Shape suffixes: B documents, S sentences (padded), T = 1 + S those and, first, the document's boundary, X = 1 where a
sentence has one vector, or S where it has one beside each other sentence; D width of a sentence vector, W hidden units,
F features of a pair, K steps.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Of the pairs of sentences that are worked out at once: few enough for the processor's cache. Most batches have fewer.
_HIDDEN_UNITS = 2**22


class PairNetwork(nn.Module):
    """Features of every two sentences, `f(x_i, x_j) = U gelu(A x_i + C x_j)`: (B, S, X, D) -> (B, S, S, F).

    `x[b, i, j]` is sentence i as it reads beside sentence j, where sentences were read in pairs; where each has one
    vector, the hidden layer of a pair is a sum of two terms, and the S x S pairs cost 2 S matrix-vector products.
    """

    def __init__(self, width: int, hidden: int, dropout: float, features: int = 1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.left = nn.Linear(width, hidden)
        self.right = nn.Linear(width, hidden, bias=False)
        self.score = nn.Linear(hidden, features, bias=False)

    def forward(self, views_BSXD: Tensor) -> Tensor:
        views_BSXD = self.dropout(views_BSXD)
        left_BSXW, right_BXSW = self.left(views_BSXD), self.right(views_BSXD).transpose(1, 2)
        documents, sentences, _, hidden = left_BSXW.shape
        rows = max(1, _HIDDEN_UNITS // max(1, documents * sentences * hidden))
        if rows >= sentences:
            return self.score(nn.functional.gelu(left_BSXW + right_BXSW))
        return _InParts.apply(left_BSXW, right_BXSW, self.score.weight.to(left_BSXW.dtype), rows)


class _InParts(torch.autograd.Function):
    """Features of all pairs of a long document, some sentences at a time; for the gradient they are worked out again.

    A function of its own and not `torch.utils.checkpoint`: what that keeps of each part comes to lie between the large
    blocks that each part frees, and the allocator cannot use these again.
    """

    @staticmethod
    def forward(ctx: Any, left_BSXW: Tensor, right_BXSW: Tensor, weight_FW: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(left_BSXW, right_BXSW, weight_FW)
        ctx.rows = rows
        documents, sentences = left_BSXW.shape[:2]
        features_BSSF = left_BSXW.new_empty(documents, sentences, sentences, len(weight_FW))
        for start in range(0, sentences, rows):
            left, right = (_rows(x, start, rows) for x in (left_BSXW, right_BXSW))
            _rows(features_BSSF, start, rows).copy_(nn.functional.linear(nn.functional.gelu(left + right), weight_FW))
        return features_BSSF

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BSSF: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        totals = [torch.zeros_like(x, dtype=torch.float32) for x in inputs]  # many small parts, perhaps in bf16
        for start in range(0, len(gradient_BSSF[0]), ctx.rows):
            left, right = (_rows(x, start, ctx.rows).detach().requires_grad_() for x in inputs[:2])
            weight_FW = inputs[2].detach().requires_grad_()
            with torch.enable_grad():
                part = nn.functional.linear(nn.functional.gelu(left + right), weight_FW)
            gradients = torch.autograd.grad(part, (left, right, weight_FW), _rows(gradient_BSSF, start, ctx.rows))
            for total, gradient in zip(totals[:2], gradients[:2], strict=True):
                _rows(total, start, ctx.rows).add_(gradient)
            totals[2] += gradients[2]
        return *(total.to(x.dtype) for total, x in zip(totals, inputs, strict=True)), None


def _rows(x_BSX: Tensor, start: int, count: int) -> Tensor:
    """Some sentences' part of a tensor; all of it, where it is the same for every sentence."""
    return x_BSX if x_BSX.shape[1] == 1 else x_BSX[:, start : start + count]


class PairHead(nn.Module):
    """For every two sentences of a document, the log-odds that one comes before the other, at any distance.

    `logits[i, j] = f(h_i, h_j) - f(h_j, h_i)`, so that `logits[j, i] == -logits[i, j]` by construction.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.network = PairNetwork(width, hidden, dropout)

    def forward(self, views_BSXD: Tensor) -> Tensor:
        """Antisymmetric logits (B, S, S); those of padding are to be ignored."""
        score_BSS = self.network(views_BSXD).squeeze(-1).float()
        return score_BSS - score_BSS.transpose(1, 2)


class ScoreHead(nn.Module):
    """One number a sentence, the greater the earlier it stands; the log-odds of a pair are their difference."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, vectors_BSD: Tensor) -> Tensor:
        """Antisymmetric logits (B, S, S); those of padding are to be ignored."""
        score_BS1 = self.network(vectors_BSD).float()
        return score_BS1 - score_BS1.transpose(1, 2)


class NeighbourHead(nn.Module):
    """For every two sentences of a document, how likely it is that one directly follows the other.

    An order is taken as a cycle through the document's boundary, which precedes the first sentence and follows the
    last (Keswani and Jhamtani 2021, "Formulating neural sentence ordering as the asymmetric traveling salesman
    problem"). A softmax over all that could follow sentence i, another over all that could precede sentence j, and the
    mean of both log-probabilities is the score of i followed by j.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.network = PairNetwork(width, hidden, dropout)
        self.boundary = nn.Parameter(torch.zeros(width))

    def forward(self, views_BSXD: Tensor, mask_BS: Tensor) -> Tensor:
        """`log_probs_BTT[b, i, j]`, where 0 is the boundary and 1 + i is sentence i.

        Zero where nothing can follow: at padding, and of an item with itself.
        """
        documents, sentences, others, width = views_BSXD.shape
        boundary_D = self.boundary.to(views_BSXD.dtype)
        if others > 1:  # beside the boundary a sentence reads as it does on average
            views_BSXD = torch.cat([mean_view(views_BSXD, mask_BS)[:, :, None], views_BSXD], dim=2)
        items_BTXD = torch.cat([boundary_D.expand(documents, 1, views_BSXD.shape[2], width), views_BSXD], dim=1)
        score_BTT = self.network(items_BTXD).squeeze(-1).float()
        real_BT = nn.functional.pad(mask_BS, (1, 0), value=True)
        itself_TT = torch.eye(1 + sentences, dtype=torch.bool, device=real_BT.device)
        possible_BTT = real_BT[:, :, None] & real_BT[:, None, :] & ~itself_TT
        # Finite, so that the softmax of a row of padding is no NaN.
        score_BTT = score_BTT.masked_fill(~possible_BTT, torch.finfo(score_BTT.dtype).min)
        log_probs_BTT = (score_BTT.log_softmax(2) + score_BTT.log_softmax(1)) / 2
        return log_probs_BTT.masked_fill(~possible_BTT, 0.0)


class PositionHead(nn.Module):
    """Which sentence stands at which position, all at once (Bin et al. 2023, "Non-autoregressive sentence ordering").

    A query for every position, told by its distance from the first and from the last one, reads the queries of the
    others and the sentences, and scores each sentence for its position.
    """

    def __init__(self, width: int, hidden: int, dropout: float, heads: int) -> None:
        super().__init__()
        self.encode = nn.Linear(width, width)
        self.decoder = nn.TransformerDecoderLayer(width, heads, hidden, dropout, activation="gelu", batch_first=True)
        self.key = nn.Linear(width, width)

    def forward(self, vectors_BSD: Tensor, mask_BS: Tensor) -> Tensor:
        """`[b, i, k]` scores sentence i at position k (B, S, S); those of padding are to be ignored."""
        width = vectors_BSD.shape[2]
        position_S = torch.arange(mask_BS.shape[1], device=mask_BS.device)
        to_last_BS = mask_BS.sum(1, keepdim=True) - 1 - position_S
        waves = [sinusoids(distance, width // 2) for distance in (position_S.expand_as(to_last_BS), to_last_BS)]
        query_BSD = self.encode(torch.cat(waves, dim=2).to(vectors_BSD.dtype))
        padding_BS = ~mask_BS
        query_BSD = self.decoder(
            query_BSD, vectors_BSD, tgt_key_padding_mask=padding_BS, memory_key_padding_mask=padding_BS
        )
        return (self.key(vectors_BSD) @ query_BSD.transpose(1, 2)).float() / width**0.5


def sinusoids(distance_BS: Tensor, width: int) -> Tensor:
    """Sines and cosines of distances (B, S, width), as in Vaswani et al. 2017; `width` is even."""
    rate_W = torch.exp(torch.arange(0, width, 2, device=distance_BS.device) * (-torch.log(torch.tensor(1e4)) / width))
    angle_BSW = distance_BS[:, :, None] * rate_W
    return torch.cat([angle_BSW.sin(), angle_BSW.cos()], dim=2)


def pairs_of_positions(position_logits_BSS: Tensor, mask_BS: Tensor) -> Tensor:
    """The log-odds of pairs that each sentence's distribution over positions implies, antisymmetric: (B, S, S).

    Two sentences are taken as independent but for not standing at the same position.
    """
    real_BSS = mask_BS[:, :, None] & mask_BS[:, None, :]
    least = torch.finfo(position_logits_BSS.dtype).min
    at_BSS = position_logits_BSS.masked_fill(~real_BSS, least).softmax(2)
    # Products, since CUDA has no deterministic cumsum; in full precision, since logarithms are taken of small numbers.
    with torch.autocast(at_BSS.device.type, enabled=False):
        later_BSS = at_BSS @ torch.ones_like(at_BSS[0]).tril(-1)  # that a sentence stands behind position k
        before_BSS = (at_BSS @ later_BSS.transpose(1, 2)).clamp(min=torch.finfo(at_BSS.dtype).eps).log()
    return before_BSS - before_BSS.transpose(1, 2)


def mean_view(views_BSXD: Tensor, mask_BS: Tensor) -> Tensor:
    """A sentence as it reads on average beside the others of its document: (B, S, X, D) -> (B, S, D)."""
    if views_BSXD.shape[2] == 1:
        return views_BSXD[:, :, 0]
    itself_SS = torch.eye(mask_BS.shape[1], dtype=torch.bool, device=mask_BS.device)
    other_BSS = (mask_BS[:, :, None] & mask_BS[:, None, :] & ~itself_SS).to(views_BSXD.dtype)
    return (views_BSXD * other_BSS[..., None]).sum(2) / other_BSS.sum(2).clamp(min=1)[..., None]
