"""The exact decoder against all permutations."""

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sentence_order.decoding import exact
from sentence_order.decoding.beam import beam_order
from sentence_order.decoding.exact import MAX_EXACT_SENTENCES, exact_order


def objective(logits_NN: Tensor, order_PN: Tensor) -> Tensor:
    """Of P orders of one document."""
    return logits_NN[order_PN[:, :, None], order_PN[:, None, :]].triu(1).sum((1, 2))


def antisymmetric(values_GNN: Tensor) -> Tensor:
    return values_GNN.tril(-1).double() - values_GNN.tril(-1).double().transpose(1, 2)


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 6), seed=st.integers(0, 10**6), spread=st.sampled_from([0, 1, 2, 1000]))
def test_the_first_of_the_best_of_all_permutations(n: int, seed: int, spread: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_1NN = antisymmetric(torch.randint(-spread, spread + 1, (1, n, n), generator=generator))
    order_PN = torch.tensor(list(permutations(range(n))))  # in lexicographic order
    objectives = objective(logits_1NN[0], order_PN).tolist()
    assert exact_order(logits_1NN)[0].tolist() == order_PN[objectives.index(max(objectives))].tolist()


@pytest.mark.parametrize("n", [8, 10, MAX_EXACT_SENTENCES])
def test_no_move_of_a_sentence_improves_a_long_order(n: int) -> None:
    logits_1NN = antisymmetric(torch.randint(-9, 10, (1, n, n), generator=torch.Generator().manual_seed(n)))
    order = exact_order(logits_1NN)[0].tolist()
    neighbours = []
    for i in range(n):
        rest = order[:i] + order[i + 1 :]
        neighbours += [[*rest[:j], order[i], *rest[j:]] for j in range(n)]
    best_1 = objective(logits_1NN[0], torch.tensor([order]))
    assert (objective(logits_1NN[0], torch.tensor(neighbours)) <= best_1).all()


def test_documents_are_independent_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    logits_GNN = antisymmetric(torch.randn(11, 5, 5, generator=torch.Generator().manual_seed(0)))
    whole_GN = exact_order(logits_GNN)
    monkeypatch.setattr(exact, "_MEMORY_BYTES", 16 * 5 * 2**5 * 3)  # three documents a chunk
    assert torch.equal(exact_order(logits_GNN), whole_GN)
    one_by_one_GN = torch.cat([exact_order(logits_1NN) for logits_1NN in logits_GNN[:, None]])
    assert torch.equal(one_by_one_GN, whole_GN)


def test_long_documents_go_to_the_beam() -> None:
    n = MAX_EXACT_SENTENCES + 1
    logits_GNN = antisymmetric(torch.randn(2, n, n, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(exact_order(logits_GNN, beam_width=5), beam_order(logits_GNN, beam_width=5))
