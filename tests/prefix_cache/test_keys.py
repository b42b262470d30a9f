"""Two prefixes have the same key if, and only if, everything that determines their output is the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sentence_order.config.schema import HeadName, Pooling
from sentence_order.model.configuration import SentenceOrdererConfig
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.model.tiny import tiny_tokenizer
from sentence_order.prefix_cache.keys import PrefixKind, Texts, prefix_key
from tests.families import OTHERS, tiny_encoder
from tests.training.loops import corpus_of


def key(
    model: SentenceOrdererModel,
    blocks: set[int],
    dtype: torch.dtype = torch.float32,
    precision: torch.dtype = torch.float32,
) -> str:
    model.freeze(blocks)
    return prefix_key(model, dtype, precision)


def test_the_key_depends_on_everything_that_determines_the_output(
    make_model: Callable[..., SentenceOrdererModel],
) -> None:
    encoder = {0, 1, 2, 3, 4}
    changed = make_model()
    with torch.no_grad():
        changed.blocks[1][0].attention.self.query.bias[0] += 1e-3
    rounder = make_model()
    rounder.encoder.config.layer_norm_eps = 1e-6
    keys = [
        key(make_model(), {0, 1, 2}),
        key(make_model(), {0, 1}),
        key(make_model(), encoder),
        key(make_model(joint_from=4), encoder),
        key(make_model(pooling=Pooling.first), encoder),
        key(make_model(), {0, 1, 2}, torch.float16),
        key(make_model(), {0, 1, 2}, precision=torch.bfloat16),
        key(make_model(seed=1), {0, 1, 2}),
        key(changed, {0, 1, 2}),
        key(rounder, {0, 1, 2}),
    ]
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_depend_on_anything_else(make_model: Callable[..., SentenceOrdererModel]) -> None:
    others = [
        make_model(joint_from=3),
        make_model(pooling=Pooling.first),
        make_model(set_layers=2, heads=[HeadName["pairs"]], dropout=0.1, attention_dropout=0.1),
        make_model(),
    ]
    with torch.no_grad():
        others[-1].blocks[3][0].attention.self.query.bias[0] += 1
    assert {key(model, {0, 1, 2}) for model in [make_model(), *others]} == {key(make_model(), {0, 1, 2})}


@pytest.mark.parametrize(
    ("make_model", "blocks", "joint_from", "kind"),
    [
        ("bert", {0, 1, 2}, 2, PrefixKind(3, local=True, pooled=False)),
        ("bert", {0, 1, 2, 4}, 2, PrefixKind(3, local=True, pooled=False)),
        ("bert", {0, 1, 2, 3}, 2, PrefixKind(4, local=False, pooled=False)),
        ("bert", {0, 1, 2, 3, 4}, 4, PrefixKind(6, local=True, pooled=True)),
        ("bert", {0, 1, 2, 3, 4}, 0, PrefixKind(6, local=False, pooled=True)),
        ("bert", {0}, 0, PrefixKind(1, local=True, pooled=False)),
        ("bert", {1, 2}, 2, PrefixKind(0, local=True, pooled=False)),
        ("modernbert", {0, 1, 2, 3}, 2, PrefixKind(4, local=True, pooled=False)),  # the second and third have windows
        ("modernbert", {0, 1, 2, 3}, 0, PrefixKind(4, local=False, pooled=False)),
        ("modernbert", {0, 1, 2, 3, 4}, 2, PrefixKind(6, local=False, pooled=True)),
        ("deberta-v2", {0, 1, 2, 3}, 2, PrefixKind(4, local=False, pooled=False)),
        ("qwen3", {0, 1, 2, 3}, "all", PrefixKind(0, local=True, pooled=False)),
        ("qwen3", {0, 1, 2, 3, 4}, "all", PrefixKind(6, local=True, pooled=True)),
    ],
    indirect=["make_model"],
)
def test_the_kind_of_a_prefix_follows_from_its_frozen_blocks(
    make_model: Callable[..., SentenceOrdererModel], blocks: set[int], joint_from: int | str, kind: PrefixKind
) -> None:
    model = make_model(joint_from=joint_from)
    model.freeze(blocks)
    assert PrefixKind.of(model) == kind


def test_texts_of_sentences_and_documents_by_hand(make_model: Callable[..., SentenceOrdererModel]) -> None:
    model = make_model()
    corpus = corpus_of(model, [["The cat sat.", "It slept."], ["It slept.", "The cat sat.", "It slept."]])
    sentences = Texts.of(corpus, PrefixKind(3, local=True, pooled=False))
    assert [sentences.digests[k] == sentences.digests[0] for k in range(5)] == [True, False, False, True, False]
    assert sentences.rows.tolist() == corpus.lengths.tolist()
    assert sentences.offset.tolist() == [0] * 5
    documents = Texts.of(corpus, PrefixKind(6, local=False, pooled=True))
    assert documents.rows.tolist() == [2, 3]
    assert documents.text_of_sentence.tolist() == [0, 0, 1, 1, 1]
    assert sorted(documents.offset[:2].tolist()) == [0, 1]
    backward = corpus_of(model, [["It slept.", "The cat sat."]])
    again = Texts.of(backward, PrefixKind(6, local=False, pooled=True))
    assert again.digests[0] == documents.digests[0]
    assert again.offset.tolist() == documents.offset[:2].tolist()[::-1]


@pytest.mark.parametrize(
    ("name", "frozen"),
    [
        *((name, {0, 1, 2}) for name in ("bert", "roberta", "electra", "distilbert", "albert", *OTHERS, "mpnet")),
        *((name, {0, 1, 2, 3, 4}) for name in ("bert", "distilbert", *OTHERS, "t5")),
    ],
)
def test_every_family_gives_the_same_scores_from_its_prefix(name: str, frozen: set[int], tmp_path: Path) -> None:
    """Scores do not depend on whether the frozen prefix was computed or passed in; its key survives a checkpoint."""
    torch.manual_seed(0)
    model = SentenceOrdererModel(SentenceOrdererConfig(encoder=tiny_encoder(name), joint_from=1)).eval()
    model.freeze(frozen)
    input_ids, lengths = torch.randint(5, 99, (2, 9)), torch.tensor([[4, 5, 0], [2, 3, 3]])
    with torch.no_grad():
        plain = model(input_ids, lengths)
        passed = model(lengths=lengths, prefix=model.encode_prefix(input_ids, lengths))
    assert torch.equal(plain.logits, passed.logits)
    model.tokenizer = tiny_tokenizer(["a"], 50)
    model.save_pretrained(tmp_path)
    loaded = SentenceOrdererModel.from_pretrained(tmp_path)
    assert key(loaded, frozen) == key(model, frozen), "an evaluation would not find the cache of training"
