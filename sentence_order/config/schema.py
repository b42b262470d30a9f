"""The typed schema of every configuration key, the first of each primary config's defaults; YAML groups override it."""

import math
from dataclasses import dataclass, field, make_dataclass
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from sentence_order.config.components import DECODERS, HEADS, LOSSES
from sentence_order.config.keys import ALWAYS, CHANGEABLE, IF_CHANGED, NOT_NEGATIVE, POSITIVE, OnResume, Range, key

# Width of the attention heads of the tiny encoder.
TINY_HEAD_WIDTH = 24
BEAM_WIDTH = 64
MAX_RESAMPLES = 100_000
SHARE, SHARE_OR_ZERO = Range(high=1, high_allowed=False), Range(high=1, low_allowed=True, high_allowed=False)

HeadName = StrEnum("HeadName", list(HEADS))  # type: ignore[misc]
DecoderName = StrEnum("DecoderName", list(DECODERS))  # type: ignore[misc]
EvaluateDecoderName = StrEnum("EvaluateDecoderName", [*DECODERS, "all"])  # type: ignore[misc]
Source = StrEnum("Source", "synthetic jsonl csv parquet text hub")
TextLayout = StrEnum("TextLayout", "lines paragraphs")
Pooling = StrEnum("Pooling", "mean first")
Precision = StrEnum("Precision", "auto fp32 bf16 fp16")
Joint = StrEnum("Joint", "documents pairs")
PositionIds = StrEnum("PositionIds", "per_sentence per_document")
Schedule = StrEnum("Schedule", "linear cosine constant_with_warmup")
OnNonfinite = StrEnum("OnNonfinite", "stop skip")
OnError = StrEnum("OnError", "stop skip")
CacheMode = StrEnum("CacheMode", "auto off")
CacheDtype = StrEnum("CacheDtype", "float32 float16")
InputFormat = StrEnum("InputFormat", "auto text jsonl csv")
Split = StrEnum("Split", "train validation test")
GoldOrder = StrEnum("GoldOrder", "order position")
Overlap = StrEnum("Overlap", "warn drop error")


@dataclass
class DataConfig:
    source: Source | None = MISSING
    # A path or glob for files, the name of a split for the hub; synthetic stories are generated and need none.
    train: str | None = key(None, **CHANGEABLE)  # a run resumes if the documents are the same
    validation: str | None = key(None, **CHANGEABLE)
    test: str | None = key(None, **CHANGEABLE)
    # Only the first N documents of a split; for synthetic stories, how many are generated.
    limit_train: int | None = key(None, accepts=POSITIVE, **IF_CHANGED)
    limit_validation: int | None = key(None, accepts=POSITIVE)
    limit_test: int | None = key(None, accepts=POSITIVE)
    # The share of the training documents that is split off, approximately, if there is no validation or test file: each
    # by a hash of its text, so that copies stay together.
    validation_share: float = key(0.1, accepts=SHARE)
    test_share: float = key(0.1, accepts=SHARE)
    # Chooses the documents that are split off and the synthetic stories, independently of the run's own seed.
    split_seed: int = key(0, accepts=NOT_NEGATIVE)
    # Documents that are in two splits, or that the checkpoint was trained on: use them and say so, leave them out of
    # training (in `evaluate`, out of what is evaluated), or end with an error.
    overlap: Overlap = Overlap.warn
    # Where a record keeps its document: a column with a list of sentences, one column per sentence, or running text.
    id_column: str = "id"
    sentences_column: str = "sentences"
    sentence_columns: list[str] = field(default_factory=list)
    text_column: str | None = None
    # If the sentences of a record are not in gold order: the column that holds it, as a list or text of numbers, or one
    # column of a number for each of `sentence_columns`. The k-th number is the sentence that is k-th (order), or where
    # sentence k is (position); they count from 0 or 1.
    gold_order_column: str | None = None
    gold_order_columns: list[str] = field(default_factory=list)
    gold_order: GoldOrder = GoldOrder.order
    gold_order_base: int = key(0, accepts=Range(high=1, low_allowed=True))
    # Plain text files: one sentence per line, or paragraphs that are split into sentences.
    text_layout: TextLayout = TextLayout.lines
    hub_id: str | None = None
    hub_config: str | None = None
    max_sentences: int = key(100, accepts=Range(low=2, low_allowed=True))
    max_sentence_tokens: int = key(128, accepts=Range(low=3, low_allowed=True))
    # The model does not read numbers, letters and times at the heads of sentences, such as "Step 2:" (see
    # `data/enumeration.py`).
    strip_enumeration: bool = False


@dataclass
class EncoderConfig:
    name: str = key(MISSING, **ALWAYS)
    # The first layer in which tokens attend across sentences: a number of layers, "half", or "all" (in none).
    joint_from: Any = key("half", **IF_CHANGED)
    # What those layers read: the whole document, or every pair of its sentences.
    joint: Joint = key(Joint.documents, **IF_CHANGED)
    # Position ids restart at every sentence, or continue through the document and reveal the input order.
    position_ids: PositionIds = PositionIds.per_sentence
    # The size of the tiny encoder; other encoders have their own.
    tiny_layers: int = key(4, accepts=Range(high=1000))
    tiny_width: int = key(96, accepts=Range(high=2**14))
    tiny_vocabulary: int = key(4000, accepts=Range(high=2**24))


@dataclass
class FreezeConfig:
    embeddings: bool = False
    # The lowest N layers, all but the last N (-N), a range "2-4", a list [0, 2], "half" or "all".
    layers: Any = 0
    # Instead of both: "none", "embeddings", or the embeddings and the lowest layers: a number, -N, "half" or "all".
    depth: Any = None
    # Gradual unfreezing, instead of all three: from which epoch on to which depth, as in [0:all, 0.5:half, 1:none].
    schedule: list[str] = field(default_factory=list)


@dataclass
class ModelConfig:
    pooling: Pooling = key(Pooling.mean, determines_prefix=True)
    set_layers: int = key(1, accepts=Range(high=1000, low_allowed=True))
    # What the model predicts: which of two sentences comes first (pairs), how early each stands (scores), which one
    # directly follows which (neighbours), which stands where (positions), which comes next (pointer).
    heads: list[HeadName] = field(default_factory=lambda: [HeadName["pairs"], HeadName["neighbours"]])
    head_width: int = key(256, accepts=Range(high=2**20))
    # In the heads, the trainable layers of the encoder and the set layers; and on the attention weights of the layers.
    dropout: float = key(0.0, accepts=SHARE_OR_ZERO)
    attention_dropout: float = key(0.0, accepts=SHARE_OR_ZERO)


LossWeights = make_dataclass("LossWeights", [(name, float, key(0.0, accepts=NOT_NEGATIVE)) for name in LOSSES])


@dataclass
class LossConfig(LossWeights):  # type: ignore[misc, valid-type]
    """The weight of each loss in the sum that is trained, and settings of single losses: see `losses/`."""

    # Not a weight: the log-odds from which on the margin loss counts a pair as settled.
    margin_width: float = key(1.0, accepts=POSITIVE)


@dataclass
class DecoderConfig:
    # `evaluate` and `predict` use the decoder of training if it is not set.
    name: DecoderName | None = key(None, **ALWAYS)
    beam_width: int | None = key(None, accepts=POSITIVE)


@dataclass
class EvaluateDecoderConfig(DecoderConfig):
    # "all": every decoder that the model's heads allow, side by side.
    name: EvaluateDecoderName | None = None  # type: ignore[assignment]


@dataclass
class OptimConfig:
    lr: float = key(8e-5, accepts=NOT_NEGATIVE, **ALWAYS)
    head_lr: float = key(5e-4, accepts=NOT_NEGATIVE, **ALWAYS)
    # The learning rate of each layer of the encoder, as a multiple of that of the layer above; embeddings likewise.
    layer_decay: float = key(1.0, accepts=Range(high=1), **ALWAYS)
    weight_decay: float = key(0.01, accepts=NOT_NEGATIVE)
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    schedule: Schedule = Schedule.linear
    # The share of all steps during which the learning rate rises.
    warmup: float = key(0.1, accepts=Range(high=1, low_allowed=True))
    max_grad_norm: float = key(1.0, accepts=Range(high=math.inf))
    # Evaluate and save a moving average of the weights, of which this share is kept at each step. 0: no average.
    ema: float = key(0.0, accepts=SHARE_OR_ZERO)


@dataclass
class TrainerConfig:
    epochs: int = key(1, accepts=POSITIVE, **ALWAYS)
    max_steps: int | None = key(None, accepts=POSITIVE, **IF_CHANGED)
    batch_tokens: int = key(512, accepts=POSITIVE, **ALWAYS)
    eval_batch_tokens: int = key(4096, accepts=POSITIVE, **CHANGEABLE)
    accumulate: int = key(1, accepts=POSITIVE)
    eval_every: int | None = key(None, accepts=POSITIVE, **CHANGEABLE)
    save_every: int | None = key(None, accepts=POSITIVE, **CHANGEABLE)
    log_every: int = key(10, accepts=POSITIVE, **CHANGEABLE)
    # Early stopping: after this number of validations in a row without a better tau.
    patience: int | None = key(None, accepts=POSITIVE, **CHANGEABLE)
    workers: int | None = key(None, accepts=NOT_NEGATIVE, **CHANGEABLE)


@dataclass
class CacheConfig:
    """The output of the frozen prefix for every text is stored, if that saves time; documents and tokens always are."""

    mode: CacheMode = CacheMode.auto
    # By default $SENTENCE_ORDER_CACHE, or sentence_order in the user's folder for caches.
    dir: str | None = key(None, varies_between_seeds=True)
    dtype: CacheDtype = CacheDtype.float32
    # The limit of the size of the hidden states and, separately, of the documents and tokens that are cached there too;
    # what was used least recently is removed first.
    max_gb: float = key(20.0, accepts=Range(high=math.inf), varies_between_seeds=True)


@dataclass
class DebugConfig:
    # Autograd anomaly detection, deterministic algorithms, gradient norms per block.
    anomaly: bool = False
    # Validate and test on the training documents, stop once every one is in order, and fail if that is never reached.
    overfit: bool = False


@dataclass
class TrainConfig:
    data: DataConfig = key(DataConfig, determines_prefix=True)
    encoder: EncoderConfig = key(EncoderConfig, determines_prefix=True)
    freeze: FreezeConfig = key(FreezeConfig, determines_prefix=True)
    model: ModelConfig = key(ModelConfig, **IF_CHANGED)
    loss: LossConfig = key(LossConfig)
    decoder: DecoderConfig = key(lambda: DecoderConfig(beam_width=BEAM_WIDTH))
    optim: OptimConfig = key(OptimConfig, **IF_CHANGED)
    trainer: TrainerConfig = key(TrainerConfig)
    cache: CacheConfig = key(CacheConfig, determines_prefix=True, **CHANGEABLE)
    debug: DebugConfig = key(DebugConfig)
    # The folder of a run or a checkpoint, or a hub id, whose weights the run starts from.
    init_from: str | None = key(None, determines_prefix=True, **IF_CHANGED)
    # auto: resume the run in `output_dir` from its last checkpoint, if there is one; or the folder of a run.
    resume: str = key("off", on_resume=OnResume.IGNORED, varies_between_seeds=True)
    # If a loss or gradient is NaN or infinite: stop the run, or skip the step, up to this number of steps.
    on_nonfinite: OnNonfinite = key(OnNonfinite.stop, **CHANGEABLE)
    max_nonfinite: int = key(10, accepts=NOT_NEGATIVE, **CHANGEABLE)
    device: str = key("auto", determines_prefix=True, **CHANGEABLE)
    precision: Precision = key(Precision.auto, determines_prefix=True, **CHANGEABLE)
    seed: int = key(0, accepts=NOT_NEGATIVE, varies_between_seeds=True, **ALWAYS)
    output_dir: str = key(MISSING, on_resume=OnResume.IGNORED, varies_between_seeds=True)


@dataclass
class EvaluateConfig:
    checkpoint: str = MISSING
    # For a run's folder, these are by default as they were in training.
    data: DataConfig = field(default_factory=lambda: DataConfig(source=None))
    cache: CacheConfig = field(default_factory=CacheConfig)
    precision: Precision = Precision.auto
    seed: int = key(0, accepts=NOT_NEGATIVE)
    decoder: EvaluateDecoderConfig = field(default_factory=EvaluateDecoderConfig)
    split: Split = Split.test
    output: str | None = None
    predictions: str | None = key(
        None,
        help="a file for the predicted orders, one JSON object a line: `id`; `given`, the sentences as the model got "
        "them; `order`, their predicted order as indices of `given`; `predicted`, the sentences in that order; `gold`, "
        "in their true one; `confidence`, from 0 to 1; `group`, if the documents have groups",
    )
    batch_tokens: int = key(4096, accepts=POSITIVE)
    bootstrap_resamples: int = key(1000, accepts=Range(high=MAX_RESAMPLES))
    # Score every document under this number of shuffles and order it by the mean of the scores; reports how many
    # documents single shuffles would have ordered differently.
    shuffles: int = key(1, accepts=POSITIVE)
    device: str = "auto"


@dataclass
class PredictConfig:
    checkpoint: str = MISSING
    input: str = MISSING
    output: str | None = None
    format: InputFormat = InputFormat.auto
    text_layout: TextLayout = TextLayout.lines
    id_column: str = "id"
    sentences_column: str = "sentences"
    sentence_columns: list[str] = field(default_factory=list)
    text_column: str | None = None
    # At a document that cannot be read, or is too long for the model: stop, or leave it out and log it.
    on_error: OnError = OnError.stop
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    batch_tokens: int = key(4096, accepts=POSITIVE)
    # Documents whose order has a lower confidence than this are written as they were given.
    threshold: float = key(0.0, accepts=Range(high=1, low_allowed=True))
    shuffles: int = key(1, accepts=POSITIVE)
    device: str = "auto"
    precision: Precision = Precision.auto


SCHEMAS: dict[str, type] = {"train": TrainConfig, "evaluate": EvaluateConfig, "predict": PredictConfig}
