"""The typed schema of every configuration key, the first of each primary config's defaults; YAML groups override it."""

import math
from dataclasses import dataclass, make_dataclass
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from sentence_order.config.components import DECODERS, HEADS, LOSSES, METRICS
from sentence_order.config.keys import (
    CHANGEABLE,
    FOUND_ONCE,
    IGNORED,
    IN_HPARAMS,
    OF_PREFIX,
    PATH,
    PER_SEED,
    Range,
    key,
)

# Width of the attention heads of the tiny encoder.
TINY_HEAD_WIDTH = 24
BEAM_WIDTH = 64
MAX_RESAMPLES = 100_000
MARGIN = 0.02  # of tau, that a faster arm of a report may lose
SHARE, SHARE_OR_ZERO = Range(high=1, high_allowed=False), Range(high=1, low_allowed=True, high_allowed=False)
UP_TO_ONE = Range(high=1, low_allowed=True)
POSITIVE, NOT_NEGATIVE, UNBOUNDED = Range(), Range(low_allowed=True), Range(high=math.inf)

HeadName = StrEnum("HeadName", list(HEADS))  # type: ignore[misc]
DecoderName = StrEnum("DecoderName", list(DECODERS))  # type: ignore[misc]
EvaluateDecoderName = StrEnum("EvaluateDecoderName", [*DECODERS, "all"])  # type: ignore[misc]
Metric = StrEnum("Metric", list(METRICS))  # type: ignore[misc]
Source = StrEnum("Source", "synthetic jsonl csv parquet text hub memory")
TextLayout = StrEnum("TextLayout", "lines paragraphs documents")
Pooling = StrEnum("Pooling", "mean first last")
Precision = StrEnum("Precision", "auto fp32 bf16 fp16")
Joint = StrEnum("Joint", "documents pairs")
PositionIds = StrEnum("PositionIds", "per_sentence per_document")
Schedule = StrEnum("Schedule", "linear cosine constant_with_warmup")
OnNonfinite = StrEnum("OnNonfinite", "stop skip")
OnError = StrEnum("OnError", "stop skip")
CacheMode = StrEnum("CacheMode", "auto off")
CacheDtype = StrEnum("CacheDtype", "float32 float16")
InputFormat = StrEnum("InputFormat", "auto text jsonl csv parquet")
Split = StrEnum("Split", "train validation test")
GoldOrder = StrEnum("GoldOrder", "order position")
Overlap = StrEnum("Overlap", "warn drop error")

# Texts of keys that several commands have.
TOP_K = Range(high=200, low_allowed=True)
SHUFFLES = "Permutations of each document whose scores are averaged; useful with encoder.position_ids=per_document."
EVAL_TOKENS = "Tokens read at once, padding included: more are faster and need more memory, with the same results."
DEVICE = "Where to compute: cpu, cuda or cuda:N. auto: a CUDA device if there is one."
PRECISION = "Arithmetic of the model. auto: bf16 on a CUDA device that has it, otherwise fp32."
PRECISION_OF_TRAINING = PRECISION.replace("fp32.", "fp32, where training on a CPU may multiply in bf16.")


@dataclass
class LayoutConfig:
    """Where files keep a document's id and sentences."""

    id_column: str = key("id", "Column (of JSON: field) with the document's id; where it is missing, it is FILE:LINE.")
    sentences_column: str = key("sentences", "Column with a document's list of sentences, or such a list as text.")
    sentence_columns: list[str] = key(
        list, "Instead of sentences_column, a column for each sentence, as in [s1,s2,s3]; empty cells are skipped."
    )
    text_column: str | None = key(
        None, "Instead, a column of running text, which is split into sentences; with document_column, of one sentence."
    )
    text_layout: TextLayout = key(
        TextLayout.lines,
        "Whether plain text has, between blank lines, a document of a sentence per line, or of running text in "
        "paragraphs; or a document of running text in each line.",
    )
    document_column: str | None = key(None, "Column with the document that the sentence of a row or record belongs to.")
    position_column: str | None = key(
        None, "Column with the place of that sentence in its document, a number. null: as the rows stand."
    )
    records: str | None = key(None, "Field of a JSON object, or path as in a.b, below which its records are.")
    delimiter: str | None = key(
        None, "Character between the columns of a table. null: found out.", "one character, tab, or null"
    )
    encoding: str | None = key(
        None, "Encoding of texts. null: UTF-8, UTF-16 or cp1252, as found out.", "name of an encoding, or null"
    )


@dataclass
class GoldOrderConfig:
    """Where a gold order and a group stand beside the sentences."""

    gold_order_column: str | None = key(None, "Column with the gold order of shuffled sentences, as a list of numbers.")
    gold_order_columns: list[str] = key(list, "Instead of a list, a column with a number for each of sentence_columns.")
    gold_order: GoldOrder = key(
        GoldOrder.order, "Meaning of a gold order's k-th number: the sentence that comes k-th, or where sentence k is."
    )
    gold_order_base: int = key(0, "Whether the numbers of a gold order count from 0 or 1.", UP_TO_ONE)
    group_column: str | None = key(
        None, "Column with a document's group; results are also given by group.", **PER_SEED, **CHANGEABLE
    )


PATHS = "path, glob, folder, list of these, or null"


@dataclass
class SplitsConfig:
    """Where documents come from."""

    source: Source | None = key(
        MISSING, "Where documents come from; set by the option of the group. memory: passed by a program in Python."
    )
    # A run resumes if the documents are the same.
    train: Any = key(
        None,
        "Training documents: a path, a glob, a folder or a list; with data=hub, a split.",
        PATHS,
        **PATH,
        **CHANGEABLE,
    )
    validation: Any = key(
        None, "Validation documents, as data.train. null: split off data.train.", PATHS, **PATH, **CHANGEABLE
    )
    test: Any = key(None, "Test documents, as data.train. null: split off data.train.", PATHS, **PATH, **CHANGEABLE)
    folder: str | None = key(
        None,
        "Where the files are whose names data.train and the others list, a name per line.",
        "folder, or path with * in place of the name, or null",
        **PATH,
        **CHANGEABLE,
    )
    limit_train: int | None = key(
        None, "Training documents used, or with data=synthetic, made. null: all, or 800.", POSITIVE, **IN_HPARAMS
    )
    limit_validation: int | None = key(
        None, "Validation documents used, or with data=synthetic, made. null: all, or 100.", POSITIVE
    )
    limit_test: int | None = key(
        None, "Test documents used, or with data=synthetic, made. null: all, or 300.", POSITIVE
    )
    validation_share: float = key(0.1, "Share of the training documents, about, split off for validation.", SHARE)
    test_share: float = key(0.1, "Share of the training documents, about, split off for the test.", SHARE)
    split_seed: int = key(0, "Seed of the split and of synthetic stories; seed has no part in it.", NOT_NEGATIVE)
    overlap: Overlap = key(
        Overlap.warn, "Documents in two splits or trained on before: use and warn, leave them out, or end in an error."
    )


@dataclass
class DataConfig(GoldOrderConfig, LayoutConfig, SplitsConfig):
    """The documents: where they are, how they are read, and how they are split."""

    hub_id: str | None = key(None, "Data set of the Hugging Face hub, owner/name, or the folder of one.", **PATH)
    hub_config: str | None = key(None, "Configuration (subset) of that data set, if it has several.")
    any_text: bool = key(False, "Reads with data=text also what looks like JSON, a table or a web page.")
    max_sentences: int = key(100, "Sentences read of a document; later ones are dropped.", Range(2, low_allowed=True))
    max_sentence_tokens: int = key(128, "Tokens read of a sentence, special ones included.", Range(3, low_allowed=True))
    strip_enumeration: bool = key(False, "Hides numbers and times at the heads of sentences (Step 2:) from the model.")


@dataclass
class EncoderConfig:
    """The pretrained encoder, and which of its layers read across sentences."""

    name: str = key(MISSING, "Encoder: a hub id, a folder, or tiny (small and random).", **PATH, **IN_HPARAMS)
    joint_from: Any = key(
        "half",
        "Lowest layers that read each sentence alone; all of an encoder that is run as a whole, such as T5's.",
        "integer, half, all",
        **IN_HPARAMS,
    )
    joint: Joint = key(
        Joint.documents,
        "What the layers from joint_from on read at once: a document, or each pair of sentences.",
        **IN_HPARAMS,
    )
    position_ids: PositionIds = key(
        PositionIds.per_sentence, "Where position ids restart; per_document reveals the input order to the model."
    )
    tiny_layers: int = key(4, "Layers of encoder=tiny.", Range(high=1000))
    tiny_width: int = key(96, f"Hidden units of encoder=tiny, a multiple of {TINY_HEAD_WIDTH}.", Range(high=2**14))
    tiny_vocabulary: int = key(4000, "Word pieces of encoder=tiny, about.", Range(high=2**24))


@dataclass
class FreezeConfig:
    """What of the encoder stays as it was pretrained; it needs no gradient, and its output is cached."""

    embeddings: bool = key(False, "Freezes the embeddings.")
    layers: Any = key(
        0, "Frozen layers: the lowest N, all but the last N (-N), or these.", 'N, -N, "2-4", [0,2], half, all'
    )
    depth: Any = key(
        None,
        "Instead of embeddings and layers: nothing, the embeddings, or these and the lowest N layers, -N, half or all.",
        "none, embeddings, N, -N, half, all, or null",
    )
    schedule: list[str] = key(list, "Instead, gradual unfreezing: EPOCH:DEPTH entries, as in [0:all,0.5:half,1:none].")


@dataclass
class ModelConfig:
    """What stands on the encoder: sentence vectors, layers over them, and heads that predict."""

    pooling: Pooling = key(
        Pooling.mean,
        "Sentence vector: the mean of its tokens' states, or that of its first or last token.",
        **OF_PREFIX,
    )
    set_layers: int = key(1, "Transformer layers over the vectors of a document.", Range(high=1000, low_allowed=True))
    heads: list[HeadName] = key(
        lambda: [HeadName["pairs"], HeadName["neighbours"]],
        "What is predicted: which of two sentences comes first (pairs), how early each stands (scores), which one "
        "directly follows which (neighbours), which stands where (positions), or which comes next (pointer).",
    )
    head_width: int = key(256, "Hidden units of each head.", Range(high=2**20))
    dropout: float = key(0.0, "Share of units dropped in heads, set layers and trained layers.", SHARE_OR_ZERO)
    attention_dropout: float = key(0.0, "Share of attention weights dropped.", SHARE_OR_ZERO)


LossWeights = make_dataclass(
    "LossWeights", [(name, float, key(0.0, loss.help, NOT_NEGATIVE)) for name, loss in LOSSES.items()]
)


@dataclass
class LossConfig(LossWeights):  # type: ignore[misc, valid-type]
    """The weight of each loss in the sum that is trained; likelihoods are negative logarithms, in nats."""

    margin_width: float = key(1.0, "Not a weight: log-odds above which the loss margin is 0 for a pair.", POSITIVE)


@dataclass
class DecoderConfig:
    """How an order is made of what the heads predict."""

    name: DecoderName | None = key(None, "Decoder. null: the one of the training.", **IN_HPARAMS)
    beam_width: int | None = key(None, "Partial orders that a beam search keeps. null: as in training.", POSITIVE)


@dataclass
class EvaluateDecoderConfig(DecoderConfig):
    """How an order is made of what the heads predict."""

    name: EvaluateDecoderName | None = key(  # type: ignore[assignment]
        None, "Decoder. null: the one of the training; all: every one that the heads allow, side by side."
    )


@dataclass
class OptimConfig:
    """The optimizer, AdamW, and its learning rates."""

    lr: float = key(8e-5, "Peak learning rate of the encoder.", NOT_NEGATIVE)
    head_lr: float = key(5e-4, "Peak learning rate of set layers and heads.", NOT_NEGATIVE)
    layer_decay: float = key(1.0, "Learning rate of a layer, as a share of the one above it.", Range(high=1))
    weight_decay: float = key(0.01, "Weight decay; biases and norms have none.", NOT_NEGATIVE)
    betas: list[float] = key(lambda: [0.9, 0.98], "AdamW's two decay rates, each at least 0 and less than 1.")
    schedule: Schedule = key(Schedule.linear, "How learning rates fall after the warmup: to 0, or not at all.")
    warmup: float = key(0.1, "Share of all steps in which learning rates rise from 0.", UP_TO_ONE)
    max_grad_norm: float = key(1.0, "Norm to which a larger gradient is clipped.", UNBOUNDED)
    ema: float = key(0.0, "Share of the weights' moving average kept at each step. 0: no average.", SHARE_OR_ZERO)


@dataclass
class TrainerConfig:
    """The loop: how long it trains, and after how many steps it logs, validates and saves."""

    epochs: int = key(1, "Passes over the training documents.", POSITIVE, **IN_HPARAMS)
    max_steps: int | None = key(
        None, "Optimizer steps of the run, however many epochs they are. null: as epochs says.", POSITIVE, **IN_HPARAMS
    )
    batch_tokens: Any = key(
        512,
        "Tokens of a micro-batch at most, padding included; all processes share its documents. auto: on CUDA, as many "
        "as were measured to fit, up to 8,192 of each process; on a CPU 512.",
        "integer greater than 0, auto",
        **FOUND_ONCE,
        **IN_HPARAMS,
    )
    eval_batch_tokens: int = key(
        4096, "Tokens read at once in validation, test and filling the cache, padding included.", POSITIVE, **CHANGEABLE
    )
    accumulate: int = key(1, "Micro-batches per step; a large batch in little memory.", POSITIVE)
    eval_every: int | None = key(
        None, "Steps between validations. null: at most 10 in a run, and a fifth of its time.", POSITIVE, **CHANGEABLE
    )
    save_every: int | None = key(None, "Steps between saves. null: with each validation only.", POSITIVE, **CHANGEABLE)
    log_every: int = key(10, "Steps between points of the training curves.", POSITIVE, **PER_SEED, **CHANGEABLE)
    metric: Metric = key(
        Metric["tau"],
        "Validation metric by which the best checkpoint, early stopping and searches go; of loss, less is better.",
    )
    patience: int | None = key(
        None, "Early stopping: validations in a row without a better metric. null: never.", POSITIVE, **CHANGEABLE
    )
    keep: int = key(
        0, "Last saves kept as checkpoints/step_STEP; they cannot be resumed.", NOT_NEGATIVE, **PER_SEED, **CHANGEABLE
    )
    gradient_checkpointing: bool = key(
        False, "Computes layers again in the backward pass: less memory, more time, the same gradients.", **CHANGEABLE
    )


@dataclass
class CacheConfig:
    """The stored output of frozen layers; documents and their tokens are always stored there too."""

    mode: CacheMode = key(CacheMode.auto, "Whether the output of frozen layers is stored. auto: where that saves time.")
    dir: str | None = key(
        None, "Its folder. null: $SENTENCE_ORDER_CACHE or ~/.cache/sentence_order.", **PATH, **PER_SEED
    )
    dtype: CacheDtype = key(CacheDtype.float32, "Type of the stored numbers; float16 halves the size, and rounds.")
    max_gb: float = key(
        20.0,
        "Gigabytes of stored output, and as many again of documents; what was used least recently is removed.",
        UNBOUNDED,
        **PER_SEED,
    )


@dataclass
class DebugConfig:
    """Checks of a model or a corpus in which something is wrong."""

    anomaly: bool = key(False, "Stops at the operation that makes a NaN; slow, and deterministic.")
    overfit: bool = key(False, "Validates and tests on the training documents until all are in order, or fails.")


@dataclass
class TrainConfig:
    """The configuration of a training run; `--help` and docs/configuration.md explain every key."""

    data: DataConfig = key(DataConfig, **OF_PREFIX)
    encoder: EncoderConfig = key(EncoderConfig, **OF_PREFIX)
    freeze: FreezeConfig = key(FreezeConfig, **OF_PREFIX)
    model: ModelConfig = key(ModelConfig, **IN_HPARAMS)
    loss: LossConfig = key(LossConfig)
    decoder: DecoderConfig = key(lambda: DecoderConfig(beam_width=BEAM_WIDTH))
    optim: OptimConfig = key(OptimConfig, **IN_HPARAMS)
    trainer: TrainerConfig = key(TrainerConfig)
    cache: CacheConfig = key(CacheConfig, **OF_PREFIX, **CHANGEABLE)
    debug: DebugConfig = key(DebugConfig)
    init_from: str | None = key(
        None, "Run, checkpoint or hub id to take weights from.", **PATH, **OF_PREFIX, **IN_HPARAMS
    )
    resume: str = key(
        "off",
        "Folder of the run to resume. auto: output_dir, if a run is there; for jobs that are requeued.",
        **PATH,
        **IGNORED,
        **PER_SEED,
    )
    on_nonfinite: OnNonfinite = key(OnNonfinite.stop, "What to do if a loss or gradient is not finite.", **CHANGEABLE)
    max_nonfinite: int = key(10, "Steps that on_nonfinite=skip skips before the run ends.", NOT_NEGATIVE, **CHANGEABLE)
    device: str = key("auto", DEVICE, **OF_PREFIX, **CHANGEABLE)
    precision: Precision = key(Precision.auto, PRECISION_OF_TRAINING, **OF_PREFIX, **CHANGEABLE)
    seed: int = key(0, "Seed of new weights, batches and shuffles.", NOT_NEGATIVE, **PER_SEED)
    output_dir: str = key(MISSING, "Folder of the run.", **PATH, **IGNORED, **PER_SEED)


@dataclass
class EvaluateConfig:
    checkpoint: str = key(MISSING, "What is evaluated: a run's folder, a checkpoint's folder or a hub id.", **PATH)
    # For a run's folder, these are by default as they were in training.
    data: DataConfig = key(lambda: DataConfig(source=None))
    cache: CacheConfig = key(CacheConfig)
    precision: Precision = key(Precision.auto, PRECISION)
    seed: int = key(0, "Seed of the shuffles and of the intervals' resamples.", NOT_NEGATIVE)
    decoder: EvaluateDecoderConfig = key(EvaluateDecoderConfig)
    split: Split = key(Split.test, "Documents that are evaluated.")
    output: str | None = key(
        None,
        "JSON file for the results, - for standard output. null: standard output; on a terminal, tables alone.",
        **PATH,
    )
    predictions: str | None = key(
        None, "JSONL file to write the orders to: id, given, order, predicted, gold, confidence, group.", **PATH
    )
    batch_tokens: int = key(4096, EVAL_TOKENS, POSITIVE)
    bootstrap_resamples: int = key(1000, "Resamples of documents for the 95 % intervals.", Range(high=MAX_RESAMPLES))
    shuffles: int = key(1, SHUFFLES, POSITIVE)
    device: str = key("auto", DEVICE)


@dataclass
class PredictFiles:
    checkpoint: str = key(MISSING, "What predicts: a run's folder, a checkpoint's folder or a hub id.", **PATH)
    input: Any = key(
        MISSING,
        "Documents to order: a file, which may be packed, a glob, a folder or a list; - is standard input.",
        "path, glob, folder, list of these, or -",
        **PATH,
    )
    # Parts that are there, of an earlier start, are kept if all keys that are FIXED are as they were.
    output: str | None = key(
        None,
        "JSONL file to write the orders to; with shard_documents, a folder. null: standard output.",
        **PATH,
        **IGNORED,
    )
    shard_documents: int | None = key(
        None,
        "Documents in each part of the output: part-00000.jsonl, part-00001.jsonl, ... in the folder output; parts "
        "that are there are not computed again. null: one file.",
        POSITIVE,
    )
    format: InputFormat = key(
        InputFormat.auto, "Format of the input. auto: by the file's name, or by its beginning as for standard input."
    )


@dataclass
class PredictConfig(LayoutConfig, PredictFiles):
    on_error: OnError = key(OnError.stop, "What to do at a document that cannot be read or is too long.", **CHANGEABLE)
    decoder: DecoderConfig = key(DecoderConfig)
    batch_tokens: int = key(4096, EVAL_TOKENS, POSITIVE, **CHANGEABLE)
    threshold: float = key(0.0, "Confidence below which no order is given (`order` is null).", UP_TO_ONE)
    top_k: int = key(0, "Number of likeliest orders to add, with their probabilities.", TOP_K)
    pairs: bool = key(False, "Whether to add the probability that i comes before j, for all sentences i and j.")
    neighbours: bool = key(False, "Whether to add the probability that j directly follows i, for all i and j.")
    shuffles: int = key(1, SHUFFLES, POSITIVE)
    device: str = key("auto", DEVICE, **CHANGEABLE)
    precision: Precision = key(Precision.auto, PRECISION)


@dataclass
class DemoConfig:
    checkpoint: str | None = key(
        None,
        "What orders: a run's folder, a checkpoint's folder or a hub id. null: the newest run in outputs/.",
        **PATH,
    )
    host: str | None = key(
        None, "Address of this machine that the page is served at. null: $GRADIO_SERVER_NAME, or 127.0.0.1."
    )
    port: Any = key(
        None,
        "Port that the page is served at. auto: a free one. null: $GRADIO_SERVER_PORT, or 7860.",
        "integer from 1 to 65535, auto, or null",
    )
    device: str = key("auto", DEVICE)


SCHEMAS: dict[str, type] = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "demo": DemoConfig,
}
