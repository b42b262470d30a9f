"""Batches that do not fit in memory are split, and documents that the model cannot order are refused."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch

from sentence_order.data import examples
from sentence_order.data.examples import Batch, TokenizedDocuments, padded_size
from sentence_order.decoding import MAX_SENTENCES
from sentence_order.errors import TrainingError, UserError
from sentence_order.model.limits import BatchLimit, check_fits
from sentence_order.model.modeling import SentenceOrdererModel

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _restore_onednn() -> Iterator[None]:
    """Running out of memory switches oneDNN off."""
    yield
    torch.backends.mkldnn.set_flags(True)


def make_batch(*sentences: int) -> Batch:
    """Documents of so many sentences, of five tokens each; document d has the tokens 100 d, 100 d + 1, ..."""
    tokens = [range(100 * document, 100 * document + 5 * count) for document, count in enumerate(sentences)]
    lengths, ranks = [[5] * count for count in sentences], [range(count) for count in sentences]
    documents = TokenizedDocuments.of([0] * len(sentences), tokens, lengths, ranks)
    return examples.make_batch(documents, range(len(sentences)))


class Work:
    """Sums the tokens of each document; above a size it runs out of memory."""

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.sizes: list[int] = []

    def __call__(self, batches: Sequence[Batch]) -> list[torch.Tensor]:
        self.sizes.append(padded_size(batches[0]))
        if self.sizes[-1] > self.max_size:
            raise MemoryError
        return [batch["input_ids"].sum(1) for batch in batches]


def run(limit: BatchLimit, work: Work, batches: list[Batch]) -> tuple[list[int], list[list[int]]]:
    """The documents, and the sums of each batch, in the order in which they come."""
    documents: list[int] = []
    sums: list[list[int]] = [[] for _ in batches]
    for parts, results in limit.run(work, batches):
        documents += parts[0]["document"].tolist()
        for own, result in zip(sums, results, strict=True):
            own += result.tolist()
    return documents, sums


@pytest.mark.parametrize("max_size", [10_000, 60, 30])
def test_results_of_split_batches_equal_those_of_one_batch(max_size: int) -> None:
    batches = [make_batch(4, 6, 3, 5, 2), make_batch(4, 6, 3, 5, 2)]
    limit, work = BatchLimit(CPU, "leave it out"), Work(max_size)
    documents, sums = run(limit, work, batches)
    assert documents == [0, 1, 2, 3, 4]
    assert sums == [batch["input_ids"].sum(1).tolist() for batch in batches]
    assert (limit.max_padded_size is None) == (max_size >= padded_size(batches[0]))


def test_a_limit_that_was_found_is_kept() -> None:
    limit, batch = BatchLimit(CPU, "leave it out"), make_batch(4, 4, 4, 4)
    run(limit, Work(40), [batch])
    assert limit.max_padded_size == padded_size(batch) // 2
    work = Work(40)
    run(limit, work, [batch])
    assert work.sizes == [40, 40], "nothing is tried again that did not fit"


def test_split_leaves_small_batches_and_single_documents_whole() -> None:
    limit = BatchLimit(CPU, "leave it out")
    assert [len(part["mask"]) for part in limit.split(make_batch(2, 2, 2))] == [3]
    limit.max_padded_size = 20
    assert [len(part["mask"]) for part in limit.split(make_batch(2, 2, 9, 2))] == [2, 1, 1]


def test_a_single_document_that_does_not_fit_is_an_error_with_advice() -> None:
    limit = BatchLimit(CPU, "leave it out")
    with pytest.raises(TrainingError, match=r"3 sentences and 15 tokens; leave it out"):
        run(limit, Work(10), [make_batch(2, 3)])
    with pytest.raises(TrainingError, match="no room"):
        limit.lower(make_batch(2), "no room")


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def fail(_: Sequence[Batch]) -> None:
        raise RuntimeError("shapes differ")

    limit = BatchLimit(CPU, "leave it out")
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(limit.run(fail, [make_batch(2, 2)]))
    assert limit.max_padded_size is None


def test_documents_with_more_sentences_than_decoders_order_are_refused(tiny_model: SentenceOrdererModel) -> None:
    sizes = np.array([2, MAX_SENTENCES + 1])
    for key, advice in (("data.test", r"data\.max_sentences"), ("input", "leave it out")):
        with pytest.raises(UserError, match=rf"^{key}: .*{advice}"):
            check_fits(tiny_model.config, 9 * sizes, sizes, key)
    check_fits(tiny_model.config, 9 * sizes, sizes.clip(max=MAX_SENTENCES), "data.test")


def test_tokens_of_a_document_matter_if_its_position_ids_continue(tiny_model: SentenceOrdererModel) -> None:
    config = tiny_model.config
    longest, sizes = config.longest_sentence, np.array([2, 3])
    check_fits(config, np.array([9, longest + 1]), sizes, "data.train")
    config.position_ids = "per_document"
    check_fits(config, np.array([9, longest]), sizes, "data.train")
    with pytest.raises(UserError, match=r"^data\.train: .*encoder\.position_ids=per_document"):
        check_fits(config, np.array([9, longest + 1]), sizes, "data.train")
