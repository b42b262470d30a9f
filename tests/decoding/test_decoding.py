"""What holds for every decoder, through the one function that calls them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sentence_order.decoding import DECODERS, decode

every_decoder = pytest.mark.parametrize("name", DECODERS)
# Ties, also between sums that floating point would tell apart by the order of summation; reals; infinities.
tenths = st.integers(-3, 3).map(lambda count: count / 10)
real = st.floats(-30, 30)
any_logit = st.one_of(tenths, real, st.sampled_from([math.inf, -math.inf, 1e30, 0.0]))


@st.composite
def document(draw: st.DrawFn, max_sentences: int = 7) -> tuple[Tensor, Tensor]:
    """Antisymmetric logits of one document, and ranks to break ties by."""
    n = draw(st.integers(1, max_sentences))
    logit = draw(st.sampled_from([any_logit, st.just(0.0), st.sampled_from([-1.0, 1.0]), tenths, real]))
    logits_NN = torch.zeros(n, n, dtype=torch.float64)
    for i in range(n):
        for j in range(i):
            logits_NN[i, j] = draw(logit)
            logits_NN[j, i] = -logits_NN[i, j]
    return logits_NN, torch.tensor(draw(st.permutations(range(n))))


def decode_one(name: str, logits_NN: Tensor, tie_break_N: Tensor, **options: int) -> tuple[list[int], float]:
    mask_1N = torch.ones(1, len(tie_break_N), dtype=torch.bool)
    order_1N, objective_1 = decode(name, logits_NN[None], mask_1N, tie_break_N[None], **options)
    return order_1N[0].tolist(), objective_1.item()


def pad(logits_NN: Tensor, tie_break_N: Tensor, size: int, fill: float) -> tuple[Tensor, Tensor, Tensor]:
    n = len(tie_break_N)
    logits_SS = torch.full((size, size), fill, dtype=torch.float64)
    logits_SS[:n, :n] = logits_NN
    return logits_SS, torch.arange(size) < n, torch.cat([tie_break_N, torch.zeros(size - n, dtype=torch.long)])


@every_decoder
@settings(deadline=None, max_examples=40)
@given(doc=document(), padding=st.integers(0, 3), width=st.sampled_from([1, 2, 64]))
def test_a_permutation_and_its_objective_for_any_input(
    name: str, doc: tuple[Tensor, Tensor], padding: int, width: int
) -> None:
    n = len(doc[1])
    logits_SS, mask_S, tie_break_S = pad(*doc, size=n + padding, fill=7.0)
    order_1S, objective_1 = decode(name, logits_SS[None], mask_S[None], tie_break_S[None], beam_width=width)
    assert order_1S.dtype == torch.long
    assert objective_1.dtype == torch.float64
    order = order_1S[0].tolist()
    assert sorted(order[:n]) == list(range(n))
    assert order[n:] == list(range(n, n + padding))
    limit = 2.0**14
    pairs = [doc[0][order[k], order[m]].clamp(-limit, limit).item() for k in range(n) for m in range(k + 1, n)]
    assert objective_1.item() == pytest.approx(sum(pairs), abs=2**-16 * (len(pairs) + 1))


@every_decoder
@settings(deadline=None, max_examples=60)
@given(doc=document(), data=st.data(), width=st.sampled_from([1, 3, 64]))
def test_relabelling_the_sentences_changes_nothing(
    name: str, doc: tuple[Tensor, Tensor], data: st.DataObject, width: int
) -> None:
    logits_NN, tie_break_N = doc
    label_N = torch.tensor(data.draw(st.permutations(range(len(tie_break_N)))))
    order, objective = decode_one(name, logits_NN, tie_break_N, beam_width=width)
    relabelled_NN = logits_NN[label_N][:, label_N]
    new_order, new_objective = decode_one(name, relabelled_NN, tie_break_N[label_N], beam_width=width)
    assert label_N[new_order].tolist() == order
    assert new_objective == objective


@every_decoder
@settings(deadline=None, max_examples=30)
@given(doc=document(), padding=st.integers(1, 4), fill=st.sampled_from([0.0, 100.0, -math.inf, math.nan]))
def test_padding_changes_nothing(name: str, doc: tuple[Tensor, Tensor], padding: int, fill: float) -> None:
    order, objective = decode_one(name, *doc)
    n = len(order)
    logits_SS, mask_S, tie_break_S = pad(*doc, size=n + padding, fill=fill)
    padded_order_1S, padded_objective_1 = decode(name, logits_SS[None], mask_S[None], tie_break_S[None])
    assert padded_order_1S[0, :n].tolist() == order
    assert padded_objective_1.item() == objective


@every_decoder
def test_a_mixed_batch_equals_its_documents_one_by_one(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    lengths = [3, 14, 1, 5, 3, 12, 2, 14, 13, 5]
    docs = []
    for n in lengths:
        logits_NN = torch.randn(n, n, generator=generator)
        docs.append((logits_NN - logits_NN.T, torch.randperm(n, generator=generator)))
    logits, masks, tie_breaks = zip(*(pad(*doc, size=15, fill=1.0) for doc in docs), strict=True)
    order_BS, objective_B = decode(name, torch.stack(logits), torch.stack(masks), torch.stack(tie_breaks))
    for n, doc, order_S, objective in zip(lengths, docs, order_BS, objective_B, strict=True):
        assert decode_one(name, *doc) == (order_S[:n].tolist(), objective.item())


@every_decoder
@pytest.mark.parametrize("n", [1, 2, 5, 12, 20])
@pytest.mark.parametrize("strength", [8.0, math.inf])
def test_strong_consistent_logits_give_the_true_order(name: str, n: int, strength: float) -> None:
    order_N = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    position_N = order_N.argsort()
    before_NN = (position_N[None, :] - position_N[:, None]).sign()
    logits_NN = torch.where(before_NN == 0, 0.0, strength * before_NN)
    assert decode_one(name, logits_NN, torch.arange(n))[0] == order_N.tolist()


def test_a_cycle_of_three_by_hand() -> None:
    # 0 before 1 by 1, 1 before 2 by 2, 2 before 0 by 3: the weakest of them must give way.
    logits_NN = torch.tensor([[0.0, 1.0, -3.0], [-1.0, 0.0, 2.0], [3.0, -2.0, 0.0]])
    ranks_N = torch.arange(3)
    assert decode_one("exact", logits_NN, ranks_N) == ([1, 2, 0], 2 + 3 - 1)
    assert decode_one("beam", logits_NN, ranks_N) == ([1, 2, 0], 4)
    # The rows sum to -2, 1, 1: the tie falls to the lower rank.
    assert decode_one("borda", logits_NN, ranks_N) == ([1, 2, 0], 4)
    assert decode_one("borda", logits_NN, -ranks_N) == ([2, 1, 0], -2 + 3 - 1)


def test_of_equal_orders_the_first_in_rank_wins() -> None:
    cycle_NN = torch.tensor([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])  # three best orders, each worth 1
    for first in range(3):
        tie_break_N = torch.ones(3, dtype=torch.long).index_fill(0, torch.tensor([first]), 0)
        rotation = [first, (first + 1) % 3, (first + 2) % 3]
        for name in ("exact", "beam"):
            assert decode_one(name, cycle_NN, tie_break_N) == (rotation, 1)
    for name in DECODERS:
        assert decode_one(name, torch.zeros(4, 4), torch.tensor([30, 10, 40, 20]))[0] == [1, 3, 0, 2]


@every_decoder
def test_identical_sentences_may_share_a_rank(name: str) -> None:
    text_N = torch.tensor([1, 2, 1, 0])
    cycle_33 = torch.tensor([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])  # between the three texts
    logits_NN = cycle_33[text_N][:, text_N]
    expected = text_N[decode_one(name, logits_NN, text_N)[0]].tolist()
    for seed in range(10):
        label_N = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
        order, _ = decode_one(name, logits_NN[label_N][:, label_N], text_N[label_N])
        assert text_N[label_N][order].tolist() == expected


@every_decoder
def test_the_callers_precision_and_autograd_do_not_matter(name: str) -> None:
    logits_NN = torch.randint(-3, 4, (9, 9), generator=torch.Generator().manual_seed(0)).float()
    logits_NN = logits_NN - logits_NN.T
    expected = decode_one(name, logits_NN, torch.arange(9))
    with torch.autocast("cpu", torch.bfloat16):
        assert decode_one(name, logits_NN, torch.arange(9)) == expected
    assert decode_one(name, logits_NN.bfloat16().requires_grad_(), torch.arange(9)) == expected


def test_the_callers_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    decode_one("beam", torch.zeros(3, 3), torch.arange(3))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == 2


def test_what_is_not_antisymmetric_is_dropped() -> None:
    logits_NN = torch.tensor([[9.0, math.inf, 5.0], [math.inf, 9.0, 2.0], [1.0, 2.0, 9.0]])  # 0 against 2 is left: 2
    assert decode_one("exact", logits_NN, torch.tensor([2, 1, 0])) == ([1, 0, 2], 2)


@every_decoder
def test_an_empty_batch_or_document_is_no_error(name: str) -> None:
    for documents in (0, 1):
        empty_B3 = torch.zeros(documents, 3)
        order_B3, objective_B = decode(name, torch.zeros(documents, 3, 3), empty_B3 > 0, empty_B3)
        assert order_B3.tolist() == [[0, 1, 2]] * documents
        assert objective_B.tolist() == [0.0] * documents


@every_decoder
def test_a_nan_is_never_hidden(name: str) -> None:
    logits_BSS = torch.zeros(3, 4, 4)
    logits_BSS[1, 0, 2] = math.nan
    ones_BS = torch.ones(3, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="NaN among the logits of document 1 of 3"):
        decode(name, logits_BSS, ones_BS, ones_BS.long())


def test_mistakes_are_named() -> None:
    ones_11 = torch.ones(1, 1, dtype=torch.bool)
    with pytest.raises(ValueError, match="'greedy': choose one of exact, beam, borda"):
        decode("greedy", torch.zeros(1, 1, 1), ones_11, ones_11.long())
    with pytest.raises(ValueError, match="beam_width is 0"):
        decode("beam", torch.zeros(1, 1, 1), ones_11, ones_11.long(), beam_width=0)
    with pytest.raises(AssertionError, match="padding must follow"):
        decode("beam", torch.zeros(1, 2, 2), torch.tensor([[False, True]]), torch.zeros(1, 2))
