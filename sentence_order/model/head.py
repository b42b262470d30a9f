"""The heads: from sentence vectors to what is known of a document's order.

Shape suffixes: B documents, S sentences (padded), T = 1 + S those and, first, the document's boundary, D width of a
sentence vector, W hidden units.
"""

import torch
from torch import Tensor, nn


class PairNetwork(nn.Module):
    """A score for every two vectors, `f(x_i, x_j) = w . gelu(A x_i + C x_j)`: (B, S, D) -> (B, S, S).

    The hidden layer of a pair is a sum of two terms, so the S x S pairs cost 2 S matrix-vector products and not S x S.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.left = nn.Linear(width, hidden)
        self.right = nn.Linear(width, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, vectors_BSD: Tensor) -> Tensor:
        vectors_BSD = self.dropout(vectors_BSD)
        hidden_BSSW = self.left(vectors_BSD)[:, :, None] + self.right(vectors_BSD)[:, None, :]
        return self.score(nn.functional.gelu(hidden_BSSW)).squeeze(-1)


class PairHead(nn.Module):
    """For every two sentences of a document, the log-odds that one comes before the other, at any distance.

    `logits[i, j] = f(h_i, h_j) - f(h_j, h_i)`, so that `logits[j, i] == -logits[i, j]` by construction.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.network = PairNetwork(width, hidden, dropout)

    def forward(self, sentences_BSD: Tensor) -> Tensor:
        """Sentence vectors to antisymmetric logits (B, S, S); those of padding are to be ignored."""
        score_BSS = self.network(sentences_BSD).float()
        return score_BSS - score_BSS.transpose(1, 2)


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

    def forward(self, sentences_BSD: Tensor, mask_BS: Tensor) -> Tensor:
        """Sentence vectors to `log_probs_BTT[b, i, j]`, where 0 is the boundary and 1 + i is sentence i.

        Zero where nothing can follow: at padding, and of an item with itself.
        """
        boundary_B1D = self.boundary.to(sentences_BSD.dtype).expand(len(sentences_BSD), 1, -1)
        score_BTT = self.network(torch.cat([boundary_B1D, sentences_BSD], dim=1)).float()
        real_BT = nn.functional.pad(mask_BS, (1, 0), value=True)
        itself_TT = torch.eye(real_BT.shape[1], dtype=torch.bool, device=real_BT.device)
        possible_BTT = real_BT[:, :, None] & real_BT[:, None, :] & ~itself_TT
        # Finite, so that the softmax of a row of padding is no NaN.
        score_BTT = score_BTT.masked_fill(~possible_BTT, torch.finfo(score_BTT.dtype).min)
        log_probs_BTT = (score_BTT.log_softmax(2) + score_BTT.log_softmax(1)) / 2
        return log_probs_BTT.masked_fill(~possible_BTT, 0.0)
