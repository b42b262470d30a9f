"""What holds for every decoder, through the one function that calls them."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sentence_order.config.components import DECODERS
from sentence_order.decoding import decode
from sentence_order.decoding.scores import Scores
from tests.decoding.scores import behind_boundary, objective
from tests.properties import settings

MATRIX_DECODERS = [name for name, component in DECODERS.items() if component.scores != ("pointer",)]
every_decoder = pytest.mark.parametrize("name", MATRIX_DECODERS)
# Ties, also between sums that floating point would tell apart by the order of summation; reals; infinities.
tenths = st.integers(-3, 3).map(lambda count: count / 10)
real = st.floats(-30, 30)
any_score = st.one_of(tenths, real, st.sampled_from([math.inf, -math.inf, 1e30, 0.0]))
LIMIT = 2.0**14
STEP = 2.0**-16


class Document(NamedTuple):
    """Antisymmetric logits of one document, scores of its neighbours, and ranks to break ties by."""

    logits_NN: Tensor
    next_MM: Tensor | None
    tie_break_N: Tensor


@st.composite
def document(draw: st.DrawFn, max_sentences: int = 7) -> Document:
    n = draw(st.integers(1, max_sentences))
    score = draw(st.sampled_from([any_score, st.just(0.0), st.sampled_from([-1.0, 1.0]), tenths, real]))
    logits_NN = torch.zeros(n, n, dtype=torch.float64)
    for i in range(n):
        for j in range(i):
            logits_NN[i, j] = draw(score)
            logits_NN[j, i] = -logits_NN[i, j]
    next_MM = None
    if draw(st.booleans()):
        scores = draw(st.lists(score, min_size=(n + 1) ** 2, max_size=(n + 1) ** 2))
        next_MM = torch.tensor(scores, dtype=torch.float64).view(n + 1, n + 1)
    return Document(logits_NN, next_MM, torch.tensor(draw(st.permutations(range(n)))))


def relabelled(doc: Document, label_N: Tensor) -> Document:
    item_M = behind_boundary(label_N)
    next_MM = None if doc.next_MM is None else doc.next_MM[item_M][:, item_M]
    return Document(doc.logits_NN[label_N][:, label_N], next_MM, doc.tie_break_N[label_N])


def decode_one(
    name: str, logits_NN: Tensor, next_MM: Tensor | None, tie_break_N: Tensor, **options: int
) -> tuple[list[int], float]:
    mask_1N = torch.ones(1, len(tie_break_N), dtype=torch.bool)
    next_1MM = None if next_MM is None else next_MM[None]
    scores = Scores(logits=logits_NN[None], next_log_probs=next_1MM)
    order_1N, objective_1 = decode(DECODERS[name].load(), scores, mask_1N, tie_break_N[None], **options)
    return order_1N[0].tolist(), objective_1.item()


def pad(doc: Document, size: int, fill: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The arguments of `decode`, for one document."""
    n = len(doc.tie_break_N)
    logits_SS = torch.full((size, size), fill, dtype=torch.float64)
    logits_SS[:n, :n] = doc.logits_NN
    next_TT = torch.full((size + 1, size + 1), fill, dtype=torch.float64)
    next_TT[: n + 1, : n + 1] = 0.0 if doc.next_MM is None else doc.next_MM
    rank_S = torch.cat([doc.tie_break_N, torch.zeros(size - n, dtype=torch.long)])
    return logits_SS, next_TT, torch.arange(size) < n, rank_S


def decode_many(
    name: str, documents: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]], **options: int
) -> tuple[Tensor, Tensor]:
    logits_BSS, next_BTT, mask_BS, rank_BS = (torch.stack(column) for column in zip(*documents, strict=True))
    return decode(
        DECODERS[name].load(), Scores(logits=logits_BSS, next_log_probs=next_BTT), mask_BS, rank_BS, **options
    )


@every_decoder
@settings(max_examples=40)
@given(doc=document(), padding=st.integers(0, 3), width=st.sampled_from([1, 2, 64]))
def test_any_input_gives_a_permutation_and_its_objective(name: str, doc: Document, padding: int, width: int) -> None:
    n = len(doc.tie_break_N)
    order_1S, objective_1 = decode_many(name, [pad(doc, n + padding, fill=7.0)], beam_width=width)
    assert order_1S.dtype == torch.long
    assert objective_1.dtype == torch.float64
    order = order_1S[0].tolist()
    assert sorted(order[:n]) == list(range(n))
    assert order[n:] == list(range(n, n + padding))
    half_NN = (doc.logits_NN / 2).clamp(-LIMIT, LIMIT)
    next_MM = torch.zeros(n + 1, n + 1) if doc.next_MM is None else doc.next_MM.clamp(-LIMIT, LIMIT)
    expected = objective(half_NN, next_MM, torch.tensor([order[:n]])).item()
    assert objective_1.item() == pytest.approx(expected, abs=STEP * (n + 1) ** 2, rel=1e-6)


@every_decoder
@settings(max_examples=60)
@given(doc=document(), data=st.data(), width=st.sampled_from([1, 3, 64]))
def test_relabelling_the_sentences_changes_nothing(name: str, doc: Document, data: st.DataObject, width: int) -> None:
    label_N = torch.tensor(data.draw(st.permutations(range(len(doc.tie_break_N)))))
    order, objective = decode_one(name, *doc, beam_width=width)
    new_order, new_objective = decode_one(name, *relabelled(doc, label_N), beam_width=width)
    assert label_N[new_order].tolist() == order
    assert new_objective == objective


@every_decoder
@settings(max_examples=30)
@given(doc=document(), padding=st.integers(1, 4), fill=st.sampled_from([0.0, 100.0, -math.inf, math.nan]))
def test_padding_changes_nothing(name: str, doc: Document, padding: int, fill: float) -> None:
    order, objective = decode_one(name, *doc)
    n = len(order)
    padded_order_1S, padded_objective_1 = decode_many(name, [pad(doc, n + padding, fill)])
    assert padded_order_1S[0, :n].tolist() == order
    assert padded_objective_1.item() == objective


@every_decoder
def test_a_mixed_batch_equals_its_documents_one_by_one(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    lengths = [3, 14, 1, 5, 3, 12, 2, 14, 13, 5]
    docs = []
    for n in lengths:
        logits_NN = torch.randn(n, n, generator=generator)
        next_MM = torch.randn(n + 1, n + 1, generator=generator)
        docs.append(Document(logits_NN - logits_NN.T, next_MM, torch.randperm(n, generator=generator)))
    order_BS, objective_B = decode_many(name, (pad(doc, size=15, fill=1.0) for doc in docs))
    for n, doc, order_S, objective_ in zip(lengths, docs, order_BS, objective_B, strict=True):
        assert decode_one(name, *doc) == (order_S[:n].tolist(), objective_.item())


def test_documents_of_a_large_batch_are_decoded_independently() -> None:
    documents, sentences = 6000, 5
    generator = torch.Generator().manual_seed(0)
    logits_BSS = torch.randint(-2, 3, (documents, sentences, sentences), generator=generator).double()
    next_BTT = torch.randint(-2, 1, (documents, sentences + 1, sentences + 1), generator=generator).double()
    size_B = torch.randint(4, sentences + 1, (documents,), generator=generator)
    mask_BS = torch.arange(sentences) < size_B[:, None]
    rank_BS = torch.rand(documents, sentences, generator=generator).argsort(1)

    def decode_rows(rows_G: Tensor) -> tuple[Tensor, Tensor]:
        scores = Scores(logits=logits_BSS[rows_G], next_log_probs=next_BTT[rows_G])
        return decode(DECODERS["exact"].load(), scores, mask_BS[rows_G], rank_BS[rows_G])

    order_BS, objective_B = decode_rows(torch.arange(documents))
    for rows_G in torch.randperm(documents, generator=generator).split(100):
        order_GS, objective_G = decode_rows(rows_G)
        assert torch.equal(order_GS, order_BS[rows_G])
        assert torch.equal(objective_G, objective_B[rows_G])


@every_decoder
@pytest.mark.parametrize("n", [1, 2, 5, 12, 20])
@pytest.mark.parametrize("strength", [8.0, math.inf])
def test_strong_consistent_logits_give_the_true_order(name: str, n: int, strength: float) -> None:
    order_N = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    position_N = order_N.argsort()
    before_NN = (position_N[None, :] - position_N[:, None]).sign()
    logits_NN = torch.where(before_NN == 0, 0.0, strength * before_NN)
    assert decode_one(name, logits_NN, None, torch.arange(n))[0] == order_N.tolist()


@pytest.mark.parametrize("name", ["exact", "expected_tau", "beam"])
@pytest.mark.parametrize("n", [1, 2, 5, 12, 20])
def test_strong_neighbours_give_the_true_order(name: str, n: int) -> None:
    order_N = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    item_M = behind_boundary(order_N)
    next_MM = torch.full((n + 1, n + 1), -math.inf)
    next_MM[item_M, item_M.roll(-1)] = 0.0
    assert decode_one(name, torch.zeros(n, n), next_MM, torch.arange(n)) == (order_N.tolist(), 0.0)


@pytest.mark.parametrize("name", ["exact", "beam"])
def test_pairs_are_weighed_against_neighbours_by_hand(name: str) -> None:
    logits_NN = torch.tensor([[0.0, 3.0], [-3.0, 0.0]])  # 0 before 1, worth 1.5 - -1.5
    for cost, expected in ((-2.9, ([0, 1], 1.5 - 2.9)), (-3.1, ([1, 0], -1.5))):
        next_MM = torch.zeros(3, 3)
        next_MM[1, 2] = cost  # 1 directly after 0
        order, objective = decode_one(name, logits_NN, next_MM, torch.arange(2))
        assert (order, pytest.approx(objective, abs=STEP)) == expected
    for first, last in ((0, 1), (1, 0)):
        next_MM = torch.zeros(3, 3)
        next_MM[0, 1 + first] = next_MM[1 + last, 0] = 2.0  # the boundary
        order, objective = decode_one(name, logits_NN, next_MM, torch.arange(2))
        assert (order, objective) == ([first, last], 4 + (1.5 if first == 0 else -1.5))


def test_a_cycle_of_three_by_hand() -> None:
    # 0 before 1 by 1, 1 before 2 by 2, 2 before 0 by 3: the weakest of them must give way.
    logits_NN = torch.tensor([[0.0, 1.0, -3.0], [-1.0, 0.0, 2.0], [3.0, -2.0, 0.0]])
    ranks_N = torch.arange(3)
    assert decode_one("exact", logits_NN, None, ranks_N) == ([1, 2, 0], (2 + 3 - 1) / 2)
    assert decode_one("beam", logits_NN, None, ranks_N) == ([1, 2, 0], 2)
    # The rows sum to -2, 1, 1: the tie falls to the lower rank.
    assert decode_one("borda", logits_NN, None, ranks_N) == ([1, 2, 0], 2)
    assert decode_one("borda", logits_NN, None, -ranks_N) == ([2, 1, 0], (-2 + 3 - 1) / 2)


def test_of_equal_orders_the_first_in_rank_wins() -> None:
    cycle_NN = torch.tensor([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])  # three best orders, each worth 1/2
    for first in range(3):
        rotation = [first, (first + 1) % 3, (first + 2) % 3]
        tie_break_N = torch.tensor(rotation).argsort()
        for name in ("exact", "beam"):
            assert decode_one(name, cycle_NN, None, tie_break_N) == (rotation, 0.5)
    for name in MATRIX_DECODERS:
        assert decode_one(name, torch.zeros(4, 4), None, torch.tensor([30, 10, 40, 20]))[0] == [1, 3, 0, 2]


@every_decoder
def test_identical_sentences_may_share_a_rank(name: str) -> None:
    text_N = torch.tensor([1, 2, 1, 0])
    cycle_33 = torch.tensor([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])  # between the three texts
    item_M = behind_boundary(text_N)
    next_44 = torch.tensor([[0, -1, -1, -2], [-1, 0, -1, -1], [-1, -1, 0, -2], [-2, -1, -1, 0]]).double()
    doc = Document(cycle_33[text_N][:, text_N], next_44[item_M][:, item_M], text_N)
    expected = text_N[decode_one(name, *doc)[0]].tolist()
    for seed in range(10):
        label_N = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
        order, _ = decode_one(name, *relabelled(doc, label_N))
        assert text_N[label_N][order].tolist() == expected


@every_decoder
def test_result_does_not_depend_on_the_callers_precision_and_autograd(name: str) -> None:
    logits_NN = torch.randint(-3, 4, (9, 9), generator=torch.Generator().manual_seed(0)).float()
    logits_NN = logits_NN - logits_NN.T
    next_MM = torch.randint(-3, 1, (10, 10), generator=torch.Generator().manual_seed(1)).float()
    expected = decode_one(name, logits_NN, next_MM, torch.arange(9))
    with torch.autocast("cpu", torch.bfloat16):
        assert decode_one(name, logits_NN, next_MM, torch.arange(9)) == expected
    tracked = (scores_XX.bfloat16().requires_grad_() for scores_XX in (logits_NN, next_MM))
    assert decode_one(name, *tracked, torch.arange(9)) == expected


def test_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    decode_one("beam", torch.zeros(3, 3), None, torch.arange(3))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == 2


def test_part_of_logits_that_is_not_antisymmetric_is_dropped() -> None:
    logits_NN = torch.tensor([[9.0, math.inf, 5.0], [math.inf, 9.0, 2.0], [1.0, 2.0, 9.0]])  # 0 against 2 is left: 2
    assert decode_one("exact", logits_NN, None, torch.tensor([2, 1, 0])) == ([1, 0, 2], 1)


@every_decoder
def test_empty_batch_and_empty_document_are_accepted(name: str) -> None:
    for documents in (0, 1):
        empty_B3 = torch.zeros(documents, 3)
        order_B3, objective_B = decode(
            DECODERS[name].load(), Scores(logits=torch.zeros(documents, 3, 3)), empty_B3 > 0, empty_B3
        )
        assert order_B3.tolist() == [[0, 1, 2]] * documents
        assert objective_B.tolist() == [0.0] * documents


@every_decoder
def test_nan_is_an_error(name: str) -> None:
    ones_BS = torch.ones(3, 4, dtype=torch.bool)
    for broken in (0, 1):
        scores = [torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)]
        scores[broken][1, 0, 2] = math.nan
        with pytest.raises(ValueError, match="document 1 of 3"):
            decode(DECODERS[name].load(), Scores(logits=scores[0], next_log_probs=scores[1]), ones_BS, ones_BS.long())


def test_mistakes_of_the_caller_are_errors() -> None:
    beam, ones_11 = DECODERS["beam"].load(), torch.ones(1, 1, dtype=torch.bool)
    with pytest.raises(ValueError, match="beam_width"):
        decode(beam, Scores(logits=torch.zeros(1, 1, 1)), ones_11, ones_11.long(), beam_width=0)
    with pytest.raises(AssertionError, match="padding"):
        decode(beam, Scores(logits=torch.zeros(1, 2, 2)), torch.tensor([[False, True]]), torch.zeros(1, 2))
