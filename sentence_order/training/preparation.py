"""What a training run starts from: the corpora, the model with what is frozen in it, and the prefix cache."""

from dataclasses import dataclass, replace

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from sentence_order.checkpoints import load_checkpoint
from sentence_order.config import Split, TrainConfig
from sentence_order.data.sources import load_splits
from sentence_order.data.tokenization import Corpus, tokenize_corpus
from sentence_order.model.build import TINY, build_model, check_fits, take_weights
from sentence_order.model.encoder import load_tokenizer
from sentence_order.model.freezing import BlockReport, freeze_phases, report_blocks
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.model.tiny import tiny_tokenizer
from sentence_order.prefix.fill import attach_states
from sentence_order.processes import ALONE, Processes
from sentence_order.runtime import Runtime, choose_runtime


@dataclass(frozen=True)
class Prepared:
    """All that a training run starts from."""

    model: SentenceOrderer
    corpora: dict[str, Corpus]
    runtime: Runtime
    blocks: list[BlockReport]


def prepare(config: TrainConfig, processes: Processes = ALONE) -> Prepared:
    """Loads and tokenises the corpora, and makes the model with what is frozen in it at first.

    Raises:
        UserError: naming the config key, or the file and line.
    """
    runtime = choose_runtime(config.device, config.precision, processes)
    with processes.one_first():
        return _prepare(config, runtime)


def _prepare(config: TrainConfig, runtime: Runtime) -> Prepared:
    start = load_checkpoint(config.init_from, "init_from") if config.init_from else None
    splits = [split.value for split in Split]
    raw = load_splits(config.data, ["train"] if config.debug.overfit else splits)
    tokenizer = start.tokenizer if start and start.tokenizer else _make_tokenizer(config, raw["train"])
    # The model first: what does not go with the encoder is told before minutes of tokenising.
    model = build_model(
        config.encoder,
        config.model,
        tokenizer,
        config.data.max_sentence_tokens,
        config.loss,
        config.decoder,
        config.seed,
    )
    if start is not None:
        take_weights(model, start, str(config.init_from))
    phases = freeze_phases(config.freeze, len(model.blocks) - 1)
    model.freeze(phases[0].blocks, to_the_end=phases[-1].blocks)
    blocks = report_blocks(model, phases)
    model.to(runtime.device)
    corpora = {name: _tokenize(config, split, tokenizer, name) for name, split in raw.items()}
    for name, corpus in corpora.items():
        check_fits(model, corpus.tokens, corpus.sizes, f"data.{name}")
    if config.debug.overfit:
        corpora = dict.fromkeys(splits, corpora["train"])
    return Prepared(model, corpora, runtime, blocks)


def use_cache(config: TrainConfig, prepared: Prepared, readers: int = 1) -> Prepared:
    """Lets the corpora be read from the prefix cache, where that pays for so many runs; fills it first."""
    tokens = {name: int(corpus.tokens.sum()) for name, corpus in prepared.corpora.items()}
    trainer = config.trainer
    if trainer.max_steps is None:
        training = trainer.epochs * tokens["train"]
    else:
        training = trainer.max_steps * trainer.accumulate * trainer.batch_tokens
    corpora = attach_states(
        prepared.model,
        prepared.corpora,
        config.cache,
        prepared.runtime,
        # Validation once or more on the way, and once at the end.
        tokens_read=readers * (training + 2 * tokens["validation"] + tokens["test"]),
        batch_tokens=trainer.eval_batch_tokens,
    )
    return replace(prepared, corpora=corpora)


def _make_tokenizer(config: TrainConfig, train: Dataset) -> PreTrainedTokenizerBase:
    """The encoder's own tokenizer; for the tiny encoder, one that is trained on the training documents."""
    if config.encoder.name != TINY:
        return load_tokenizer(config.encoder.name)
    texts = (sentence for document in train for sentence in document["sentences"])
    return tiny_tokenizer(texts, config.encoder.tiny_vocabulary)


def _tokenize(config: TrainConfig, split: Dataset, tokenizer: PreTrainedTokenizerBase, name: str) -> Corpus:
    return tokenize_corpus(split, tokenizer, config.data.max_sentences, config.data.max_sentence_tokens, name)
