"""The pointer: a head that tells the next sentence from those that were placed before.

Shape suffixes: B documents, S sentences (padded), X = 1 or S (see `head.py`), W partial orders of a document or steps
of one, D width of a sentence vector and of a state, H hidden units, F features of a pair.
"""

import torch
from torch import Tensor, nn

from sentence_order.model.head import PairNetwork

# Features of a pair in the relational pointer: enough for who stands before whom, and how near.
FEATURES = 32


class PointerHead(nn.Module):
    """A recurrent network that reads the sentences placed so far, and attention that scores those that remain.

    Cui et al. 2018, "Deep attentive sentence ordering network"; Logeswaran et al. 2018, "Sentence ordering and
    coherence modeling using recurrent neural networks". A relational one also weighs how a candidate relates to the
    sentences that were placed (its history) and to those that would remain (its future): Cui et al. 2020,
    "BERT-enhanced relational sentence ordering network" (BERSON).
    """

    def __init__(self, width: int, hidden: int, dropout: float, relational: bool) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.begin = nn.Linear(width, width)
        self.cell = nn.GRUCell(width, width)
        self.query = nn.Linear(width, hidden)
        self.key = nn.Linear(width, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.relate = PairNetwork(width, hidden, dropout, FEATURES) if relational else None
        self.history = nn.Linear(FEATURES, hidden, bias=False) if relational else None
        self.future = nn.Linear(FEATURES, hidden, bias=False) if relational else None

    def forward(self, views_BSXD: Tensor, vectors_BSD: Tensor, mask_BS: Tensor) -> "BoundPointer":
        """The distribution over the orders of each document."""
        # The pointer is asked outside of autocast: what it keeps is of its weights' type.
        own = self.begin.weight.dtype
        relations_BSSF = None if self.relate is None else self.relate(views_BSXD).to(own)
        return BoundPointer(self, self.dropout(vectors_BSD).to(own), relations_BSSF, mask_BS)


class BoundPointer:
    """A `scores.Pointer` over the documents of one batch."""

    def __init__(self, head: PointerHead, vectors_BSD: Tensor, relations_BSSF: Tensor | None, mask_BS: Tensor) -> None:
        self.head, self.mask_BS = head, mask_BS
        self.vectors_BSD = vectors_BSD * mask_BS[:, :, None]
        self.keys_BSH = head.key(self.vectors_BSD)
        self.relations_BSSF = relations_BSSF

    def start(self) -> Tensor:
        """Of each document, what the mean of its sentences says: see `scores.Pointer`."""
        mean_BD = self.vectors_BSD.sum(1) / self.mask_BS.sum(1, keepdim=True)
        return torch.tanh(self.head.begin(mean_BD))[:, None]

    def next_log_probs(self, state_BWD: Tensor, placed_BWS: Tensor) -> Tensor:
        """See `scores.Pointer`."""
        possible_BWS = self.mask_BS[:, None] & ~placed_BWS
        hidden_BWSH = self.head.query(state_BWD)[:, :, None] + self.keys_BSH[:, None]
        if self.relations_BSSF is not None:
            hidden_BWSH = hidden_BWSH + self._relational(placed_BWS, possible_BWS)
        score_BWS = self.head.score(torch.tanh(hidden_BWSH)).squeeze(-1).float()
        # Finite, so that the softmax of a row with no possibility is no NaN.
        least = torch.finfo(score_BWS.dtype).min
        return score_BWS.masked_fill(~possible_BWS, least).log_softmax(2).masked_fill(~possible_BWS, -torch.inf)

    def _relational(self, placed_BWS: Tensor, possible_BWS: Tensor) -> Tensor:
        """What candidates' mean relations to those before and to those left over add to the hidden layer."""
        head, relations_BSSF = self.head, self.relations_BSSF
        assert relations_BSSF is not None
        assert head.history is not None
        assert head.future is not None
        before_BWS, after_BWS = placed_BWS.to(relations_BSSF.dtype), possible_BWS.to(relations_BSSF.dtype)
        history_BWSF = torch.einsum("bwj,bjif->bwif", before_BWS, relations_BSSF)
        history_BWSF = history_BWSF / before_BWS.sum(2).clamp(min=1)[:, :, None, None]
        itself_BSF = relations_BSSF.diagonal(dim1=1, dim2=2).transpose(1, 2)
        future_BWSF = torch.einsum("bwj,bijf->bwif", after_BWS, relations_BSSF)
        future_BWSF = future_BWSF - after_BWS[..., None] * itself_BSF[:, None]
        future_BWSF = future_BWSF / (after_BWS.sum(2) - 1).clamp(min=1)[:, :, None, None]
        return head.history(history_BWSF) + head.future(future_BWSF)

    def advance(self, state_BWD: Tensor, sentence_BW: Tensor) -> Tensor:
        """See `scores.Pointer`."""
        read_BWD = self.vectors_BSD.gather(1, sentence_BW[:, :, None].expand(-1, -1, self.vectors_BSD.shape[2]))
        return self.head.cell(read_BWD.flatten(0, 1), state_BWD.flatten(0, 1)).view_as(state_BWD)

    def log_probs(self, order_BS: Tensor) -> Tensor:
        """See `scores.Pointer`."""
        order_BS = order_BS.to(self.mask_BS.device)  # an evaluation's orders are on the CPU
        states = [self.start()]
        for k in range(order_BS.shape[1] - 1):
            states.append(self.advance(states[-1], order_BS[:, k : k + 1]))
        step_S = torch.arange(order_BS.shape[1], device=order_BS.device)
        placed_BSS = order_BS.argsort(1)[:, None, :] < step_S[:, None]
        return self.next_log_probs(torch.cat(states, dim=1), placed_BSS)
