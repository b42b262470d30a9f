"""Predictions do not depend on how the text was given, and take whatever text there is."""

import random
from pathlib import Path

import pytest
import torch
import transformers

from sentence_order import SentenceOrderer
from sentence_order.config.components import DECODERS, readers_of
from sentence_order.config.schema import PositionIds
from sentence_order.errors import UserError
from sentence_order.inference.ordering import order_documents
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.manifest import MANIFEST, find_corruption


@pytest.fixture
def orderer(tiny_model: SentenceOrdererModel) -> SentenceOrderer:
    return SentenceOrderer(tiny_model)


def test_order_does_not_depend_on_the_input(orderer: SentenceOrderer, stories) -> None:
    shuffled = [random.Random(7).sample(story, len(story)) for story in stories]
    plain, other = orderer.predict(stories), orderer.predict(shuffled)
    assert [p.sentences for p in plain] == [p.sentences for p in other]
    assert [p.confidence for p in plain] == pytest.approx([p.confidence for p in other], abs=1e-5)


def test_loading_shows_no_progress_bar_and_leaves_those_of_others(
    orderer: SentenceOrderer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    orderer.save_pretrained(tmp_path)
    capsys.readouterr()
    monkeypatch.setattr("transformers.utils.logging._tqdm_active", True)
    SentenceOrderer.from_pretrained(tmp_path)
    assert capsys.readouterr().err == ""
    assert transformers.logging.is_progress_bar_enabled()


@pytest.mark.parametrize("decoder", sorted(readers_of({"pairs", "neighbours"}, DECODERS)))
def test_every_prediction_is_a_permutation(orderer: SentenceOrderer, stories, decoder: str) -> None:
    for story, prediction in zip(stories, orderer.predict(stories, decoder=decoder), strict=True):
        assert sorted(prediction.order) == list(range(len(story)))
        assert prediction.sentences == [story[i] for i in prediction.order]
        assert 0 <= prediction.confidence <= 1


def test_batching_changes_nothing(orderer: SentenceOrderer, stories) -> None:
    together = orderer.predict(stories)
    alone = [orderer.predict([story], batch_tokens=1)[0] for story in stories]
    assert [p.order for p in together] == [p.order for p in alone]


def test_odd_documents(orderer: SentenceOrderer) -> None:
    documents = [
        [],
        ["Alone."],
        ["", "  "],
        ["b", "", "a"],
        ["same", "same", "same"],
        ["שלום עולם.", "🙂🙂", "\u0000\u200b", "x" * 5000],
        [f"Sentence number {n}." for n in range(150)],
    ]
    predictions = orderer.predict(documents)
    assert [p.order for p in predictions[:3]] == [[], [0], []]
    assert sorted(predictions[3].order) == [0, 2]
    assert predictions[4].confidence == pytest.approx(1.0)  # all orders of identical sentences are right
    assert sorted(predictions[6].order) == list(range(150))
    assert orderer.order([]) == []
    assert orderer.order(["One.", "Two."]) in ([0, 1], [1, 0])


def test_shuffles_change_nothing_where_the_input_order_does_not_matter(orderer: SentenceOrderer, stories) -> None:
    single, several = orderer.predict(stories[:10]), orderer.predict(stories[:10], shuffles=3)
    assert [p.order for p in single] == [p.order for p in several]


def test_shuffles_average_where_the_input_order_matters(make_model, stories) -> None:
    orderer = SentenceOrderer(make_model(joint_from=0, position_ids=PositionIds.per_document))
    single, several = orderer.predict(stories), orderer.predict(stories, shuffles=3)
    assert [p.order for p in single] != [p.order for p in several]
    for story, prediction in zip(stories, several, strict=True):
        assert prediction.sentences == [story[i] for i in prediction.order]
    assert [p.order for p in orderer.predict(stories[:3], shuffles=3)] == [p.order for p in several[:3]]


def test_progress_counts_every_document(orderer: SentenceOrderer, stories) -> None:
    counts: list[int] = []
    documents = [*stories, [], ["Alone."]]
    order_documents(orderer.model, documents, Runtime(orderer.model.device), batch_tokens=500, advance=counts.append)
    assert len(counts) > 2
    assert sum(counts) == len(stories) + 2


def test_a_document_that_is_too_long_to_be_ordered_is_refused(orderer: SentenceOrderer) -> None:
    with pytest.raises(UserError, match=r"input: .* 4,097 sentences"):
        orderer.predict([["One.", "Two."], ["a"] * 4097])


def test_a_document_that_is_too_long_for_its_positions_is_refused(make_model) -> None:
    orderer = SentenceOrderer(make_model(joint_from=0, position_ids=PositionIds.per_document, set_layers=0))
    document = [f"Sentence number {n} is one of many." for n in range(100)]
    with pytest.raises(UserError, match=r"input: .* tokens, .* 512;"):
        orderer.predict([document])


@pytest.mark.parametrize(("decoder", "named"), [("nonsense", "exact"), ("pointer", "heads")])
def test_a_decoder_must_fit_the_model(orderer: SentenceOrderer, decoder: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        orderer.predict([["One.", "Two."]], decoder=decoder)


def test_broken_weights_are_reported(orderer: SentenceOrderer) -> None:
    with torch.no_grad():
        next(orderer.model.heads["pairs"].parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="NaN"):
        orderer.order(["One.", "Two."])


def test_a_saved_orderer_loads_as_it_was(orderer: SentenceOrderer, stories, tmp_path: Path) -> None:
    """With its calibration and its card; a run's folder stands for its best checkpoint."""
    orderer.model.config.calibration = [0.5, -1.0]
    orderer.card = "# A card"
    best = tmp_path / "run" / "checkpoints" / "best"
    orderer.save_pretrained(best)
    assert (best / MANIFEST).exists()
    assert find_corruption(best) is None
    for folder in (best, tmp_path / "run"):
        loaded = SentenceOrderer.from_pretrained(folder)
        assert loaded.card == "# A card"
        assert loaded.predict(stories) == orderer.predict(stories)
    (best / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="damaged"):
        SentenceOrderer.from_pretrained(best)
    with pytest.raises(UserError, match="nowhere"):
        SentenceOrderer.from_pretrained("./nowhere")
