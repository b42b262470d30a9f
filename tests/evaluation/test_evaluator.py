"""An evaluation is a function of model, corpus and seed: neither batches nor processes nor shuffles change it."""

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit

from sentence_order.config.components import DECODERS, readers_of
from sentence_order.config.schema import DecoderConfig, DecoderName, PositionIds
from sentence_order.data.tokenization import Corpus
from sentence_order.decoding.scores import Scores
from sentence_order.errors import TrainingError
from sentence_order.evaluation.evaluator import Evaluation, evaluate_corpus
from sentence_order.evaluation.inspection import is_at_chance
from sentence_order.evaluation.results import split_results
from sentence_order.inference.calibration import Calibration, fit_pair_calibration
from sentence_order.inference.orderer import SentenceOrderer
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.runtime.distributed import Processes
from tests.training.loops import CPU, corpus_of


def evaluate(
    model: SentenceOrdererModel,
    corpus: Corpus,
    decoder: str = "exact",
    processes: Processes | None = None,
    **options: Any,
) -> Evaluation:
    runtime = replace(CPU, processes=processes or Processes())
    settings = {"seed": 3, "batch_tokens": 700, **options}
    evaluation = evaluate_corpus(model, corpus, DecoderConfig(DecoderName[decoder], 64), runtime, **settings)
    assert evaluation is not None
    return evaluation


def assert_equal(one: Evaluation, other: Evaluation, tolerance: float = 0.0) -> None:
    assert (one.order, one.given, one.right) == (other.order, other.given, other.right)
    assert all(np.array_equal(one.counts[name], other.counts[name]) for name in other.counts)
    assert one.common_documents == other.common_documents
    assert one.loss == pytest.approx(other.loss, rel=tolerance)
    assert one.log_odds_D == pytest.approx(other.log_odds_D, rel=tolerance, abs=tolerance)
    for own_E, other_E in zip(one.pair_log_odds, other.pair_log_odds, strict=True):
        assert own_E == pytest.approx(other_E, rel=tolerance, abs=tolerance)
    assert one.confusion_SS.numpy() == pytest.approx(other.confusion_SS.numpy(), abs=tolerance)
    assert one.pair_probability_SS is not None
    assert other.pair_probability_SS is not None
    assert one.pair_probability_SS.numpy() == pytest.approx(other.pair_probability_SS.numpy(), abs=tolerance)


@pytest.fixture
def corpus(tiny_model: SentenceOrdererModel, stories) -> Corpus:
    return corpus_of(tiny_model, stories[:23])


@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_batching_changes_nothing(tiny_model: SentenceOrdererModel, corpus: Corpus, batch_tokens: int) -> None:
    """But for the rounding of sums."""
    assert_equal(evaluate(tiny_model, corpus, batch_tokens=batch_tokens), evaluate(tiny_model, corpus), tolerance=1e-4)


@dataclass(frozen=True)
class InTurn(Processes):
    """One of several processes that run one after the other; the last one hears what the others have said."""

    said: list[Any] = field(default_factory=list)

    def gather(self, value: Any) -> list[Any]:
        self.said.append(value)
        if self.rank < self.world_size - 1:
            raise InterruptedError
        return list(self.said)

    def barrier(self) -> None:
        """The others are not waited for."""


@pytest.mark.parametrize("count", [2, 3, 11])
def test_sharding_changes_nothing(tiny_model: SentenceOrdererModel, corpus: Corpus, count: int) -> None:
    """Not a bit: also with uneven shards, and more processes than batches."""
    said: list[Any] = []
    for rank in range(count - 1):
        with pytest.raises(InterruptedError):
            evaluate(tiny_model, corpus, processes=InTurn(rank, count, rank, said), compare=["borda"])
    shared = evaluate(tiny_model, corpus, processes=InTurn(count - 1, count, count - 1, said), compare=["borda"])
    single = evaluate(tiny_model, corpus, compare=["borda"])
    assert_equal(shared, single)
    assert shared.summary() == single.summary()
    for name, expected in single.decoders["borda"].counts.items():
        assert np.array_equal(shared.decoders["borda"].counts[name], expected)


def test_a_stop_in_any_process_stops_all(tiny_model: SentenceOrdererModel, corpus: Corpus) -> None:
    """And leaves the model in the mode that it was in."""
    decoder, asked = DecoderConfig(DecoderName["exact"], 64), iter([False, False, True])
    tiny_model.train()
    options: dict[str, Any] = {"seed": 3, "batch_tokens": 700}
    assert evaluate_corpus(tiny_model, corpus, decoder, CPU, stop=lambda: next(asked), **options) is None
    assert tiny_model.training

    said: list[Any] = []
    first, last = (replace(CPU, processes=InTurn(rank, 2, rank, said)) for rank in range(2))
    with pytest.raises(InterruptedError):
        evaluate_corpus(tiny_model, corpus, decoder, first, stop=lambda: True, **options)
    assert evaluate_corpus(tiny_model, corpus, decoder, last, **options) is None


def test_compared_decoders_give_what_each_gives_alone(tiny_model: SentenceOrdererModel, corpus: Corpus) -> None:
    names = readers_of(set(tiny_model.config.heads), DECODERS)
    together = evaluate(tiny_model, corpus, compare=names)
    assert set(together.decoders) == {"exact", "expected_tau", "beam", "borda", "topological", "assignment"}
    for name, found in together.decoders.items():
        alone = evaluate(tiny_model, corpus, decoder=name)
        assert all(np.array_equal(found.counts[count], expected) for count, expected in alone.counts.items())
        assert found.objective_D.shape == (len(corpus),)
        assert found.seconds > 0
    assert (together.decoders["exact"].objective_D >= together.decoders["borda"].objective_D - 1e-9).all()
    assert_equal(together, evaluate(tiny_model, corpus))


def test_right_orders_are_counted_as_right(tiny_model: SentenceOrdererModel, corpus: Corpus) -> None:
    """Metrics, places and confusion agree with the orders and the gold positions of the input."""
    evaluation = evaluate(tiny_model, corpus)
    assert [len(order) for order in evaluation.order] == corpus.sizes.tolist()
    for row, (given, order) in enumerate(zip(evaluation.given, evaluation.order, strict=True)):
        gold = [given[index] for index in order]
        assert sorted(gold) == list(range(len(order)))
        assert evaluation.right[row] == [place == position for place, position in enumerate(gold)]
        assert evaluation.counts["correct"][row] == sum(evaluation.right[row])
        assert evaluation.perfect[row] == (gold == sorted(gold))
    assert evaluation.common_documents == np.bincount(corpus.sizes).max()
    assert evaluation.confusion_SS.sum(0).numpy() == pytest.approx(np.ones(len(evaluation.confusion_SS)))


def test_pairs_are_those_of_the_predictions_in_their_true_order(
    tiny_model: SentenceOrdererModel, corpus: Corpus
) -> None:
    """Without pairs of identical sentences; in its likelier direction, a pair is right as often as its curve says."""
    evaluation = evaluate(tiny_model, corpus)
    sentences = [document["sentences"] for document in corpus.documents]
    predictions = SentenceOrderer(tiny_model).predict(sentences, pairs=True)
    chances = []
    for own, prediction, found_E in zip(sentences, predictions, evaluation.pair_log_odds, strict=True):
        assert prediction.pairs is not None
        pairs = [(i, j) for i, j in combinations(range(len(own)), 2) if own[i] != own[j]]
        expected = [prediction.pairs[i][j] for i, j in pairs]
        assert sorted(expit(found_E)) == pytest.approx(sorted(expected), abs=1e-5)
        chances += expected
    confidence = np.array([max(chance, 1 - chance) for chance in chances])
    curve = evaluation.reliability(Calibration())["pairs"]
    assert curve.count_K.sum() == len(chances)
    assert np.average(curve.confidence_K, weights=curve.count_K) == pytest.approx(confidence.mean(), abs=1e-5)
    share = np.mean([chance > 0.5 for chance in chances])
    assert np.average(curve.right_K, weights=curve.count_K) == pytest.approx(share, abs=0.01)


def test_a_pointer_has_no_pairs_to_calibrate(make_model, stories) -> None:
    model = make_model(heads=["pointer"], loss={"pointer": 1.0}, decoder="pointer")
    corpus = corpus_of(model, stories[:5])
    evaluation = evaluate(model, corpus, decoder="pointer")
    found = split_results(evaluation, corpus, Calibration(), resamples=10, seed=0)
    assert set(found["reliability"]) == {"orders"}
    assert "pair_calibration_error" not in found
    assert fit_pair_calibration(evaluation.pair_log_odds) is None


def test_several_shuffles_change_nothing_where_the_input_order_does_not_matter(
    tiny_model: SentenceOrdererModel, corpus: Corpus
) -> None:
    several = evaluate(tiny_model, corpus, shuffles=3)
    assert several.changed_D is not None
    assert several.changed_D.tolist() == [0.0] * len(corpus)
    single = evaluate(tiny_model, corpus)
    assert single.changed_D is None
    assert_equal(several, single, tolerance=1e-4)


def test_several_shuffles_average_where_the_input_order_matters(make_model, stories) -> None:
    model = make_model(position_ids=PositionIds.per_document, joint_from=0)
    corpus = corpus_of(model, stories[:12])
    single, several = evaluate(model, corpus), evaluate(model, corpus, shuffles=4)
    assert several.given == single.given  # indices are those of the first shuffle
    assert several.changed_D is not None
    assert 0 < several.changed_D.mean() <= 1
    assert several.order != single.order


def test_results_of_a_group_are_those_of_its_documents_alone(tiny_model: SentenceOrdererModel, stories) -> None:
    groups = ["short" if len(story) < 7 else "long" for story in stories[:23]]
    corpus = corpus_of(tiny_model, stories[:23], groups)
    evaluation = evaluate(tiny_model, corpus)
    found = split_results(evaluation, corpus, Calibration([0.5, 1.5], 0.7), resamples=50, seed=1)
    assert {row["group"] for row in found["by_group"]} == {"short", "long"}
    assert found["per_document"]["group"] == groups
    for row in found["by_group"]:
        alone = corpus_of(tiny_model, [s for s, group in zip(stories, groups, strict=False) if group == row["group"]])
        expected = split_results(evaluate(tiny_model, alone), alone, Calibration([0.5, 1.5], 0.7), resamples=50, seed=1)
        names = ("calibration_error", "pair_calibration_error")
        errors = {
            name: pytest.approx(expected[name], rel=1e-4) for name in names
        }  # other batches are rounded otherwise
        assert row == {**{name: expected.get(name) for name in row}, "group": row["group"], **errors}
        assert "by_group" not in expected
        assert "group" not in expected["per_document"]
        taus = {name: value["value"] for name, value in row.items() if name in ("tau", "pmr")}
        assert evaluation.summary_by_group(corpus)[row["group"]].items() >= taus.items()


def test_seed_chooses_the_shuffle(tiny_model: SentenceOrdererModel, corpus: Corpus) -> None:
    one, other = evaluate(tiny_model, corpus, seed=0), evaluate(tiny_model, corpus, seed=1)
    assert one.given != other.given
    assert one.summary() == pytest.approx(other.summary())


def test_progress_counts_every_document(tiny_model: SentenceOrdererModel, corpus: Corpus) -> None:
    counts: list[int] = []
    evaluate(tiny_model, corpus, advance=counts.append)
    assert len(counts) > 1
    assert sum(counts) == len(corpus)

    counts = []
    with pytest.raises(InterruptedError):  # by the first of several processes, which counts for all
        evaluate(tiny_model, corpus, processes=InTurn(0, 3, 0), advance=counts.append)
    assert len(counts) > 1
    assert sum(counts) == len(corpus)


def test_scores_that_are_not_finite_name_the_documents(tiny_model: SentenceOrdererModel, corpus: Corpus) -> None:
    def spoil(model: torch.nn.Module, inputs: Any, scores: Scores) -> None:
        assert scores.logits is not None
        scores.logits[0, 0, 1] = float("nan")

    tiny_model.register_forward_hook(spoil)
    longest = int(corpus.tokens.argmax())
    with pytest.raises(TrainingError, match=rf"not finite.* d{longest}$"):
        evaluate(tiny_model, corpus)


@pytest.mark.parametrize("decoder", readers_of({"pairs", "neighbours"}, DECODERS))
def test_an_untrained_model_is_at_chance_on_numbered_sentences(make_model, decoder: str) -> None:
    """It cannot tell them apart, since it knows none of the words; in the alphabet they would be in order."""
    corpus = corpus_of(make_model(), [[f"\u4e00\u4e8c{n} \u4e09{k}" for k in range(5)] for n in range(400)])
    assert corpus.counts["alike"] == 5 * 400
    evaluation = evaluate(make_model(), corpus, decoder)
    assert abs(evaluation.summary()["tau"]) < 4 * (2 * 15 / (9 * 5 * 4) / 400) ** 0.5
    assert is_at_chance(evaluation.counts)
