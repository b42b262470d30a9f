"""The scores of the heads, and that they do not depend on the order in which sentences are given."""

import pytest
import torch

from sentence_order.config.schema import HeadName, Joint, PositionIds
from sentence_order.decoding.scores import Scores
from sentence_order.model import heads
from sentence_order.model.heads import HeadSize, PairNetwork, pairs_of_positions
from sentence_order.model.modeling import SentenceOrdererModel
from tests.corpora import batch_of
from tests.deterministic import CudaDeterminism

POINTER = {"loss": {"pointer": 1.0}, "decoder": "pointer"}
POSITIONS = {"loss": {"position": 1.0}, "decoder": "assignment"}
PAIRS = {"joint": Joint.pairs, "joint_from": 0}
MODELS = {
    "scores": {"heads": [HeadName["scores"]], "loss": {"list_mle": 1.0}},
    "positions": {"heads": [HeadName["positions"]], **POSITIONS},
    "pairs read together": {**PAIRS, "set_layers": 0},
    "pairs read together, positions": {**PAIRS, "heads": [HeadName["positions"]], **POSITIONS},
    "pairs of local layers": {"joint": Joint.pairs, "joint_from": 2, "set_layers": 0},
    "pointer": {"joint_from": 4, "heads": [HeadName["pointer"]], **POINTER},
    "relational pointer": {**PAIRS, "heads": [HeadName["relational_pointer"]], **POINTER},
}


def scores_of(model: SentenceOrdererModel, documents: list[list[str]], given: list[list[int]] | None = None) -> Scores:
    batch = batch_of(model, documents, given)
    with torch.no_grad():
        return model(batch["input_ids"], batch["lengths"])


@pytest.mark.parametrize("name", MODELS)
def test_a_reshuffled_document_has_the_reshuffled_scores(make_model, stories, name: str) -> None:
    model = make_model(**MODELS[name])
    documents = [story[:4] for story in stories[:3]]
    given = [torch.randperm(4, generator=torch.Generator().manual_seed(n)).tolist() for n in range(3)]
    plain, shuffled = scores_of(model, documents), scores_of(model, documents, given)
    index = torch.tensor(given)
    if plain.pointer is None:
        for key, values in plain.relabelled(index).items():
            torch.testing.assert_close(shuffled[key], values, atol=2e-4, rtol=1e-3)
    else:
        order = torch.tensor([[2, 0, 3, 1]] * 3)  # of the shuffled sentences
        steps = plain.pointer.log_probs(index.gather(1, order))
        expected = steps.gather(2, index[:, None].expand_as(steps))
        torch.testing.assert_close(shuffled.pointer.log_probs(order), expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_every_head_has_a_deterministic_gradient_on_cuda(make_model, stories, name: str) -> None:
    model = make_model(**MODELS[name]).train()
    batch = batch_of(model, [stories[0], [*stories[1], *stories[2], *stories[3]]])
    with CudaDeterminism():
        model(batch["input_ids"], batch["lengths"], batch["positions"]).loss.backward()


@pytest.mark.parametrize("others", [1, 9], ids=["one vector", "one beside each other sentence"])
def test_pairs_computed_in_parts_equal_those_computed_at_once(others: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    network = PairNetwork(HeadSize(width=8, hidden=16, dropout=0.0, attention_heads=1), features=2)
    views_BSXD = torch.randn(3, 9, others, 8, generator=generator, requires_grad=True)
    weight_BSSF = torch.randn(3, 9, 9, 2, generator=generator)

    def scores_and_gradients() -> list[torch.Tensor]:
        scores_BSSF = network(views_BSXD)
        return [
            scores_BSSF,
            *torch.autograd.grad((scores_BSSF * weight_BSSF).sum(), [views_BSXD, *network.parameters()]),
        ]

    whole = scores_and_gradients()
    monkeypatch.setattr(heads, "MAX_HIDDEN_UNITS", 3 * 9 * 16 * 2)  # two sentences at a time
    for part, expected in zip(scores_and_gradients(), whole, strict=True):
        torch.testing.assert_close(part, expected)


@pytest.mark.parametrize("name", MODELS)
def test_documents_of_a_batch_do_not_affect_each_other(make_model, stories, name: str) -> None:
    model = make_model(**MODELS[name])
    documents = [stories[0][:3], stories[1][:6], stories[2][:2]]
    together = scores_of(model, documents)
    for row, document in enumerate(documents):
        alone, size = scores_of(model, [document]), len(document)
        for key, values in alone.items():
            if isinstance(values, torch.Tensor):
                side = values.shape[1]
                torch.testing.assert_close(together[key][row, :side, :side], values[0], atol=2e-4, rtol=1e-3)
        if alone.pointer is not None:
            order = torch.arange(6).expand(3, 6)
            steps = together.pointer.log_probs(order)[row, :size, :size]
            torch.testing.assert_close(steps, alone.pointer.log_probs(order[:1, :size])[0], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["pointer", "relational pointer"])
def test_a_pointer_is_a_distribution_and_its_steps_equal_its_log_probs(make_model, stories, name: str) -> None:
    pointer = scores_of(make_model(**MODELS[name]), [stories[0][:4]]).pointer
    order = torch.tensor([[2, 0, 3, 1]])
    steps = pointer.log_probs(order)
    assert steps.exp().sum(2).tolist()[0] == pytest.approx([1.0] * 4, abs=1e-5)
    assert steps[0, 3].tolist() == [-torch.inf, 0.0, -torch.inf, -torch.inf]
    state, placed = pointer.start(), torch.zeros(1, 1, 4, dtype=torch.bool)
    for k in range(4):
        torch.testing.assert_close(pointer.next_log_probs(state, placed)[:, 0], steps[:, k])
        state = pointer.advance(state, order[:, k : k + 1])
        placed[0, 0, order[0, k]] = True


def test_pairs_of_positions_by_hand() -> None:
    # Sentence 0 is first with probability 3/4, sentence 1 with 1/2, independently; but they cannot share a position.
    logits = torch.tensor([[[0.75, 0.25, 7.0], [0.5, 0.5, 7.0], [7.0, 7.0, 7.0]]]).log()
    mask = torch.tensor([[True, True, False]])
    odds = (0.75 * 0.5) / (0.5 * 0.25)
    found = pairs_of_positions(logits, mask)
    assert found[0, 0, 1].exp().item() == pytest.approx(odds, rel=1e-5)
    assert found[0, 1, 0].item() == -found[0, 0, 1].item()


def test_position_ids_per_document_depend_on_the_input_order(make_model, stories) -> None:
    model = make_model(position_ids=PositionIds.per_document, joint_from=0)
    given = [3, 1, 0, 2]
    plain, shuffled = scores_of(model, [stories[0][:4]]), scores_of(model, [stories[0][:4]], [given])
    assert model.config.depends_on_input_order
    assert not torch.allclose(plain.relabelled(torch.tensor([given])).logits, shuffled.logits, atol=1e-3)


@pytest.mark.parametrize("name", ["pointer", "relational pointer"])
def test_a_pointer_made_under_autocast_computes_in_float32(make_model, stories, name: str) -> None:
    model = make_model(**MODELS[name])
    documents = [story[:4] for story in stories[:3]]
    with torch.autocast("cpu", torch.bfloat16):
        pointer = scores_of(model, documents).pointer
    order = torch.tensor([[2, 0, 3, 1]] * 3)
    expected = scores_of(model, documents).pointer.log_probs(order)
    torch.testing.assert_close(pointer.log_probs(order), expected, atol=0.2, rtol=0.1)
