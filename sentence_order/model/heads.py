"""The heads: from sentence vectors to the scores that predict a document's order.

Each head maps `views_BSXH`, every sentence as it reads beside each other one (X is S, or 1 if a sentence has a single
vector), `vectors_BSH`, its mean view, and `mask_BS` to fields of `decoding.scores.Scores`.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sentence_order.model.attention import pair_mask

# Pairs of sentences times hidden units computed at once: what fits the processor's cache. Most batches are smaller.
MAX_HIDDEN_UNITS = 2**22


class HeadSize(NamedTuple):
    width: int  # of the sentence vectors
    hidden: int  # units of a hidden layer
    dropout: float
    attention_heads: int  # of the encoder


class PairNetwork(nn.Module):
    """Features of every two sentences, `f(x_i, x_j) = V gelu(A x_i + C x_j)`: (B, S, X, H) -> (B, S, S, F).

    Of sentences with one vector each, the hidden layers of S x S pairs are sums of 2 S matrix-vector products.
    """

    def __init__(self, size: HeadSize, features: int = 1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(size.dropout)
        self.left = nn.Linear(size.width, size.hidden)
        self.right = nn.Linear(size.width, size.hidden, bias=False)
        self.score = nn.Linear(size.hidden, features, bias=False)

    def forward(self, views_BSXH: Tensor) -> Tensor:
        views_BSXH = self.dropout(views_BSXH)
        left_BSXU, right_BXSU = self.left(views_BSXH), self.right(views_BSXH).transpose(1, 2)
        documents, sentences, _, hidden = left_BSXU.shape
        rows = max(1, MAX_HIDDEN_UNITS // max(1, documents * sentences * hidden))
        if rows >= sentences:
            return self.score(nn.functional.gelu(left_BSXU + right_BXSU))
        return _FeaturesInParts.apply(left_BSXU, right_BXSU, self.score.weight.to(left_BSXU.dtype), rows)


class _FeaturesInParts(torch.autograd.Function):
    """Features of all pairs of a long document, some sentences at a time; the backward pass computes them again.

    Not `torch.utils.checkpoint`: what that saves of each part is allocated between the large blocks that each part
    frees, and the allocator cannot use these again.
    """

    @staticmethod
    def forward(ctx: Any, left_BSXU: Tensor, right_BXSU: Tensor, weight_FU: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(left_BSXU, right_BXSU, weight_FU)
        ctx.rows = rows
        documents, sentences = left_BSXU.shape[:2]
        features_BSSF = left_BSXU.new_empty(documents, sentences, sentences, len(weight_FU))
        for start in range(0, sentences, rows):
            left, right = (_rows(x, start, rows) for x in (left_BSXU, right_BXSU))
            _rows(features_BSSF, start, rows).copy_(nn.functional.linear(nn.functional.gelu(left + right), weight_FU))
        return features_BSSF

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BSSF: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        totals = [torch.zeros_like(x, dtype=torch.float32) for x in inputs]  # many small parts, perhaps in bf16
        for start in range(0, len(gradient_BSSF[0]), ctx.rows):
            left, right = (_rows(x, start, ctx.rows).detach().requires_grad_() for x in inputs[:2])
            weight_FU = inputs[2].detach().requires_grad_()
            with torch.enable_grad():
                part = nn.functional.linear(nn.functional.gelu(left + right), weight_FU)
            gradients = torch.autograd.grad(part, (left, right, weight_FU), _rows(gradient_BSSF, start, ctx.rows))
            for total, gradient in zip(totals[:2], gradients[:2], strict=True):
                _rows(total, start, ctx.rows).add_(gradient)
            totals[2] += gradients[2]
        return *(total.to(x.dtype) for total, x in zip(totals, inputs, strict=True)), None


def _rows(x_BSX: Tensor, start: int, count: int) -> Tensor:
    """The rows of some sentences; the whole tensor, if it has a single row for all."""
    return x_BSX if x_BSX.shape[1] == 1 else x_BSX[:, start : start + count]


class PairHead(nn.Module):
    """Antisymmetric `logits` (B, S, S), the log-odds that a sentence comes before another one, at any distance.

    `logits[i, j] = f(h_i, h_j) - f(h_j, h_i)`; those of padding have no meaning.
    """

    def __init__(self, size: HeadSize) -> None:
        super().__init__()
        self.network = PairNetwork(size)

    def forward(self, views_BSXH: Tensor, vectors_BSH: Tensor, mask_BS: Tensor) -> dict[str, Tensor]:
        score_BSS = self.network(views_BSXH).squeeze(-1).float()
        return {"logits": score_BSS - score_BSS.transpose(1, 2)}


class ScoreHead(nn.Module):
    """One number per sentence, the greater the earlier it stands; their differences are antisymmetric `logits`."""

    def __init__(self, size: HeadSize) -> None:
        super().__init__()
        layers = nn.Linear(size.width, size.hidden), nn.GELU(), nn.Linear(size.hidden, 1)
        self.network = nn.Sequential(nn.Dropout(size.dropout), *layers)

    def forward(self, views_BSXH: Tensor, vectors_BSH: Tensor, mask_BS: Tensor) -> dict[str, Tensor]:
        score_BS1 = self.network(vectors_BSH).float()
        return {"logits": score_BS1 - score_BS1.transpose(1, 2)}


class NeighbourHead(nn.Module):
    """For every two sentences of a document, how likely it is that one directly follows the other.

    An order is a cycle through the document's boundary, which precedes the first sentence and follows the last (Keswani
    and Jhamtani 2021, "Formulating neural sentence ordering as the asymmetric traveling salesman problem"). The score
    of j after i is the mean log-probability of j, of all that could follow i, and of i, of all that could precede j.
    """

    def __init__(self, size: HeadSize) -> None:
        super().__init__()
        self.network = PairNetwork(size)
        self.boundary = nn.Parameter(torch.zeros(size.width))

    def forward(self, views_BSXH: Tensor, vectors_BSH: Tensor, mask_BS: Tensor) -> dict[str, Tensor]:
        """`next_log_probs` (B, T, T), zero if nothing can follow: at padding, and of an item with itself."""
        if views_BSXH.shape[2] > 1:  # beside the boundary, a sentence has its mean view
            views_BSXH = torch.cat([mean_view(views_BSXH, mask_BS)[:, :, None], views_BSXH], dim=2)
        boundary_B1XH = self.boundary.to(views_BSXH.dtype).expand_as(views_BSXH[:, :1])
        items_BTXH = torch.cat([boundary_B1XH, views_BSXH], dim=1)
        score_BTT = self.network(items_BTXH).squeeze(-1).float()
        possible_BTT = pair_mask(nn.functional.pad(mask_BS, (1, 0), value=True))
        # Finite, so that the softmax of a row of padding is no NaN.
        score_BTT = score_BTT.masked_fill(~possible_BTT, torch.finfo(score_BTT.dtype).min)
        log_probs_BTT = (score_BTT.log_softmax(2) + score_BTT.log_softmax(1)) / 2
        return {"next_log_probs": log_probs_BTT.masked_fill(~possible_BTT, 0.0)}


class PositionHead(nn.Module):
    """Which sentence stands at which position, all at once (Bin et al. 2023, "Non-autoregressive sentence ordering").

    A query for every position, encoded by its distances from the first and the last one, attends to the queries of
    the others and to the sentences, and scores each sentence for its position.
    """

    def __init__(self, size: HeadSize) -> None:
        super().__init__()
        self.encode = nn.Linear(size.width, size.width)
        self.decoder = nn.TransformerDecoderLayer(
            size.width, size.attention_heads, size.hidden, size.dropout, activation="gelu", batch_first=True
        )
        self.key = nn.Linear(size.width, size.width)

    def forward(self, views_BSXH: Tensor, vectors_BSH: Tensor, mask_BS: Tensor) -> dict[str, Tensor]:
        """`position_logits` (B, S, S), `[b, i, k]` of sentence i at position k, and the `logits` that they imply."""
        width, padding_BS = vectors_BSH.shape[2], ~mask_BS
        from_first_S = torch.arange(mask_BS.shape[1], device=mask_BS.device)
        to_last_BS = mask_BS.sum(1, keepdim=True) - 1 - from_first_S
        waves = [sinusoids(distance_BS, width // 2) for distance_BS in (from_first_S.expand_as(to_last_BS), to_last_BS)]
        query_BSH = self.encode(torch.cat(waves, dim=2).to(vectors_BSH.dtype))
        query_BSH = self.decoder(
            query_BSH, vectors_BSH, tgt_key_padding_mask=padding_BS, memory_key_padding_mask=padding_BS
        )
        position_BSS = (self.key(vectors_BSH) @ query_BSH.transpose(1, 2)).float() / width**0.5
        return {"logits": pairs_of_positions(position_BSS, mask_BS), "position_logits": position_BSS}


def sinusoids(distance_BS: Tensor, width: int) -> Tensor:
    """Sines and cosines of distances (B, S, width), as in Vaswani et al. 2017; `width` is even."""
    rate_U = torch.exp(torch.arange(0, width, 2, device=distance_BS.device) * (-torch.log(torch.tensor(1e4)) / width))
    angle_BSU = distance_BS[:, :, None] * rate_U
    return torch.cat([angle_BSU.sin(), angle_BSU.cos()], dim=2)


def pairs_of_positions(position_logits_BSS: Tensor, mask_BS: Tensor) -> Tensor:
    """The log-odds of pairs that each sentence's distribution over positions implies, antisymmetric: (B, S, S).

    Two sentences count as independent, except that they cannot have the same position.
    """
    real_BSS = mask_BS[:, :, None] & mask_BS[:, None, :]
    least = torch.finfo(position_logits_BSS.dtype).min
    at_BSS = position_logits_BSS.masked_fill(~real_BSS, least).softmax(2)
    # Products, since CUDA has no deterministic cumsum; in full precision, since logarithms are taken of small numbers.
    with torch.autocast(at_BSS.device.type, enabled=False):
        later_BSS = at_BSS @ torch.ones_like(at_BSS[0]).tril(-1)  # that a sentence is after position k
        before_BSS = (at_BSS @ later_BSS.transpose(1, 2)).clamp(min=torch.finfo(at_BSS.dtype).eps).log()
    return before_BSS - before_BSS.transpose(1, 2)


def mean_view(views_BSXH: Tensor, mask_BS: Tensor) -> Tensor:
    """The mean of a sentence's views beside the others of its document: (B, S, X, H) -> (B, S, H)."""
    other_BSS = pair_mask(mask_BS).to(views_BSXH.dtype)
    return (views_BSXH * other_BSS[..., None]).sum(2) / other_BSS.sum(2).clamp(min=1)[..., None]
