"""The pointer: a head that predicts the next sentence from those that were placed before."""

import torch
from torch import Tensor, nn

from sentence_order.model.heads import HeadSize, PairNetwork

# Features of a pair in the relational pointer: enough to encode which one comes first, and how near it is.
FEATURES = 32


class PointerHead(nn.Module):
    """A recurrent network that reads the sentences placed so far, and attention that scores those that remain.

    Cui et al. 2018, "Deep attentive sentence ordering network"; Logeswaran et al. 2018, "Sentence ordering and
    coherence modeling using recurrent neural networks".
    """

    relational = False

    def __init__(self, size: HeadSize) -> None:
        super().__init__()
        width, hidden = size.width, size.hidden
        self.dropout = nn.Dropout(size.dropout)
        self.begin = nn.Linear(width, width)
        self.cell = nn.GRUCell(width, width)
        self.query = nn.Linear(width, hidden)
        self.key = nn.Linear(width, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)
        if self.relational:
            self.relate = PairNetwork(size, FEATURES)
            self.history = nn.Linear(FEATURES, hidden, bias=False)
            self.future = nn.Linear(FEATURES, hidden, bias=False)

    def forward(self, views_BSXH: Tensor, vectors_BSH: Tensor, mask_BS: Tensor) -> dict[str, "BoundPointer"]:
        """`pointer`, the distribution over the orders of each document."""
        # The pointer is called outside of autocast: its tensors have the type of its weights.
        own = self.begin.weight.dtype
        relations_BSSF = self.relate(views_BSXH).to(own) if self.relational else None
        return {"pointer": BoundPointer(self, self.dropout(vectors_BSH).to(own), relations_BSSF, mask_BS)}


class RelationalPointerHead(PointerHead):
    """A pointer that also weighs how a candidate relates to the sentences placed (its history) and left (its future).

    Cui et al. 2020, "BERT-enhanced relational sentence ordering network" (BERSON).
    """

    relational = True


class BoundPointer:
    """A `scores.Pointer` over the documents of one batch; it starts from the mean of each document's sentences."""

    def __init__(self, head: PointerHead, vectors_BSH: Tensor, relations_BSSF: Tensor | None, mask_BS: Tensor) -> None:
        self.head, self.mask_BS, self.relations_BSSF = head, mask_BS, relations_BSSF
        self.vectors_BSH = vectors_BSH * mask_BS[:, :, None]
        self.keys_BSU = head.key(self.vectors_BSH)

    def start(self) -> Tensor:
        mean_BH = self.vectors_BSH.sum(1) / self.mask_BS.sum(1, keepdim=True)
        return torch.tanh(self.head.begin(mean_BH))[:, None]

    def next_log_probs(self, state_BWH: Tensor, placed_BWS: Tensor) -> Tensor:
        possible_BWS = self.mask_BS[:, None] & ~placed_BWS
        hidden_BWSU = self.head.query(state_BWH)[:, :, None] + self.keys_BSU[:, None]
        if self.relations_BSSF is not None:
            hidden_BWSU = hidden_BWSU + self._relate(self.relations_BSSF, placed_BWS, possible_BWS)
        score_BWS = self.head.score(torch.tanh(hidden_BWSU)).squeeze(-1).float()
        # Finite, so that the softmax of a row with no possibility is no NaN.
        score_BWS = score_BWS.masked_fill(~possible_BWS, torch.finfo(score_BWS.dtype).min)
        return score_BWS.log_softmax(2).masked_fill(~possible_BWS, -torch.inf)

    def _relate(self, relations_BSSF: Tensor, placed_BWS: Tensor, possible_BWS: Tensor) -> Tensor:
        """What the mean relations of candidates, to those before and to those left, add to the hidden layer."""
        before_BWS, after_BWS = placed_BWS.to(relations_BSSF.dtype), possible_BWS.to(relations_BSSF.dtype)
        history_BWSF = torch.einsum("bwj,bjif->bwif", before_BWS, relations_BSSF)
        history_BWSF = history_BWSF / before_BWS.sum(2).clamp(min=1)[:, :, None, None]
        itself_BSF = relations_BSSF.diagonal(dim1=1, dim2=2).transpose(1, 2)
        future_BWSF = torch.einsum("bwj,bijf->bwif", after_BWS, relations_BSSF)
        future_BWSF = future_BWSF - after_BWS[..., None] * itself_BSF[:, None]
        future_BWSF = future_BWSF / (after_BWS.sum(2) - 1).clamp(min=1)[:, :, None, None]
        return self.head.history(history_BWSF) + self.head.future(future_BWSF)

    def advance(self, state_BWH: Tensor, sentence_BW: Tensor) -> Tensor:
        read_BWH = self.vectors_BSH.gather(1, sentence_BW[:, :, None].expand(-1, -1, self.vectors_BSH.shape[2]))
        return self.head.cell(read_BWH.flatten(0, 1), state_BWH.flatten(0, 1)).view_as(state_BWH)

    def log_probs(self, order_BS: Tensor) -> Tensor:
        order_BS = order_BS.to(self.mask_BS.device)  # an evaluation's orders are on the CPU
        states = [self.start()]
        for k in range(order_BS.shape[1] - 1):
            states.append(self.advance(states[-1], order_BS[:, k : k + 1]))
        step_S = torch.arange(order_BS.shape[1], device=order_BS.device)
        placed_BSS = order_BS.argsort(1)[:, None, :] < step_S[:, None]
        return self.next_log_probs(torch.cat(states, dim=1), placed_BSS)
