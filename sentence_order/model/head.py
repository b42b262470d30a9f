"""The pairwise head: for every two sentences of a document, the log-odds that one comes before the other.

Shape suffixes: B documents, S sentences, D width of a sentence vector, W hidden units.
"""

from torch import Tensor, nn


class PairwiseHead(nn.Module):
    """`logits[i, j] = f(h_i, h_j) - f(h_j, h_i)`, so that `logits[j, i] == -logits[i, j]` by construction.

    `f` is a network of one hidden layer over both vectors, `w . gelu(A h_i + C h_j)`: the hidden layer of a pair is a
    sum of two terms, so the S x S pairs cost 2 S matrix-vector products and not S x S.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.earlier = nn.Linear(width, hidden)
        self.later = nn.Linear(width, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, sentences_BSD: Tensor) -> Tensor:
        """Sentence vectors to antisymmetric logits (B, S, S); those of padding are to be ignored."""
        sentences_BSD = self.dropout(sentences_BSD)
        hidden_BSSW = self.earlier(sentences_BSD)[:, :, None] + self.later(sentences_BSD)[:, None, :]
        score_BSS = self.score(nn.functional.gelu(hidden_BSSW)).squeeze(-1)
        return score_BSS - score_BSS.transpose(1, 2)
