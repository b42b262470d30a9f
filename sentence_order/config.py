"""The typed schema of every configuration key, and the strict way from Hydra's composed config to dataclasses.

The schema stands first in each primary config's defaults list, the YAML groups lie over it. Hydra would still accept
`+typo=1`, so `parse_config` merges the composed config once more into the bare schema; after that the code sees
dataclasses only.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sentence_order.errors import UserError

# Of the tiny encoder's attention heads.
TINY_HEAD_WIDTH = 24


class Source(Enum):
    synthetic = "synthetic"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"
    text = "text"
    hub = "hub"


class TextLayout(Enum):
    lines = "lines"
    paragraphs = "paragraphs"


class Pooling(Enum):
    mean = "mean"
    first = "first"


class Precision(Enum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Joint(Enum):
    documents = "documents"
    pairs = "pairs"


class PositionIds(Enum):
    per_sentence = "per_sentence"
    per_document = "per_document"


class HeadName(Enum):
    pairs = "pairs"
    scores = "scores"
    neighbours = "neighbours"
    positions = "positions"
    pointer = "pointer"
    relational_pointer = "relational_pointer"


class DecoderName(Enum):
    exact = "exact"
    expected_tau = "expected_tau"
    beam = "beam"
    borda = "borda"
    topological = "topological"
    assignment = "assignment"
    pointer = "pointer"


class Schedule(Enum):
    linear = "linear"
    cosine = "cosine"
    constant_with_warmup = "constant_with_warmup"


class OnNonfinite(Enum):
    stop = "stop"
    skip = "skip"


class CacheMode(Enum):
    auto = "auto"
    off = "off"


class CacheDtype(Enum):
    float32 = "float32"
    float16 = "float16"


class InputFormat(Enum):
    auto = "auto"
    text = "text"
    jsonl = "jsonl"
    csv = "csv"


class Split(Enum):
    train = "train"
    validation = "validation"
    test = "test"


@dataclass
class DataConfig:
    source: Source = MISSING
    # A path or glob for files, a split's name for the hub; the generator of synthetic stories needs none.
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    # Only the first N documents of a split; for synthetic stories, how many are generated.
    limit_train: int | None = None
    limit_validation: int | None = None
    limit_test: int | None = None
    # Share of the training documents that stand in for a validation or test split that has no file.
    validation_share: float = 0.1
    test_share: float = 0.1
    # Which documents these are, and which synthetic stories are generated: the same ones whatever the run's own seed.
    split_seed: int = 0
    # Where a record keeps its document: a column with the list of sentences, a column a sentence, or running text.
    id_column: str = "id"
    sentences_column: str = "sentences"
    sentence_columns: list[str] = field(default_factory=list)
    text_column: str | None = None
    # Plain text files: one sentence a line, or paragraphs that are split into sentences.
    text_layout: TextLayout = TextLayout.lines
    hub_id: str | None = None
    hub_config: str | None = None
    max_sentences: int = 100
    max_sentence_tokens: int = 128


@dataclass
class EncoderConfig:
    name: str = MISSING
    # The first layer in which tokens attend across sentences: a number of layers, "half" or "all" (in none).
    joint_from: Any = "half"
    # What the layers from there on read: the whole document, or every two of its sentences.
    joint: Joint = Joint.documents
    # Position ids restart at every sentence, or run on through the document and tell the model how it was shuffled.
    position_ids: PositionIds = PositionIds.per_sentence
    # The tiny encoder's size; other encoders bring their own.
    tiny_layers: int = 4
    tiny_width: int = 96
    tiny_vocabulary: int = 4000


@dataclass
class FreezeConfig:
    embeddings: bool = False
    # The lowest N layers, a range "2-4", a list [0, 2], "half" or "all".
    layers: Any = 0
    # In place of both: "none", "embeddings", or the embeddings and the lowest layers: a number, "half" or "all".
    depth: Any = None
    # Gradual unfreezing, in place of all three: from which epoch on to which depth, as in [0:all, 0.5:half, 1:none].
    schedule: list[str] = field(default_factory=list)


@dataclass
class ModelConfig:
    pooling: Pooling = Pooling.mean
    set_layers: int = 1
    # What is told: which of two sentences comes before the other (pairs), or how early each stands (scores), which one
    # directly follows which (neighbours), which stands where (positions), which comes next (pointer).
    heads: list[HeadName] = field(default_factory=lambda: [HeadName.pairs, HeadName.neighbours])
    head_width: int = 256
    # In the heads, in the encoder's layers that train and in the set layers; and on the attention weights of those.
    dropout: float = 0.0
    attention_dropout: float = 0.0


@dataclass
class LossConfig:
    """Weights of a sum of losses, each over its own terms in nats: see `losses/`."""

    # Of the heads pairs, scores and positions.
    pairwise_logistic: float = 0.0
    margin: float = 0.0
    ranknet: float = 0.0
    list_mle: float = 0.0
    regression: float = 0.0
    # Of the head neighbours.
    neighbours: float = 0.0
    # Of pairs and neighbours together.
    order: float = 0.0
    # Of the head positions: of each sentence its position, of each position its sentence.
    position: float = 0.0
    slot: float = 0.0
    # Of the heads pointer and relational_pointer.
    pointer: float = 0.0
    # Not a weight: the log-odds from which on the margin loss takes a pair as settled.
    margin_width: float = 1.0


BEAM_WIDTH = 64


@dataclass
class DecoderConfig:
    # `evaluate` and `predict` take what the checkpoint was trained with where it is not set.
    name: DecoderName | None = None
    beam_width: int | None = None


@dataclass
class OptimConfig:
    lr: float = 8e-5
    head_lr: float = 5e-4
    # Each layer of the encoder learns at so many times the rate of the one above it, and the embeddings likewise.
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    schedule: Schedule = Schedule.linear
    warmup: float = 0.1
    max_grad_norm: float = 1.0
    # The weights that are judged and kept are a moving average: so much of it stays at each step. 0: no average.
    ema: float = 0.0


@dataclass
class TrainerConfig:
    epochs: int = 1
    max_steps: int | None = None
    batch_tokens: int = 512
    eval_batch_tokens: int = 4096
    accumulate: int = 1
    eval_every: int | None = None
    save_every: int | None = None
    log_every: int = 10
    # Ends the run after so many validations in a row without a better tau.
    patience: int | None = None
    workers: int | None = None


@dataclass
class CacheConfig:
    """What the frozen prefix makes of each text is kept on disk, where that pays."""

    mode: CacheMode = CacheMode.auto
    # By default $SENTENCE_ORDER_CACHE, or sentence_order in the user's folder for caches.
    dir: str | None = None
    dtype: CacheDtype = CacheDtype.float32
    # All that the folder may hold; the least recently used goes first.
    max_gb: float = 20.0


@dataclass
class DebugConfig:
    # Autograd anomaly detection, deterministic algorithms, gradient norms per block.
    anomaly: bool = False
    # Validate and test on the training documents, stop once every one is in order, and fail if that is never reached.
    overfit: bool = False
    # Look into a batch that a run has kept (see `batch`), and train nothing.
    replay: bool = False


@dataclass
class TrainConfig:
    data: DataConfig = field(default_factory=DataConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    freeze: FreezeConfig = field(default_factory=FreezeConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    decoder: DecoderConfig = field(default_factory=lambda: DecoderConfig(beam_width=BEAM_WIDTH))
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    debug: DebugConfig = field(default_factory=DebugConfig)
    # A run's folder, a checkpoint's folder or a hub id, whose weights the run starts from.
    init_from: str | None = None
    # auto: go on with the run that `output_dir` holds, if it does, from its last checkpoint; or the folder of a run.
    resume: str = "off"
    # A loss or gradient that is NaN or infinite stops the run, or the step is skipped, up to so many of them.
    on_nonfinite: OnNonfinite = OnNonfinite.stop
    max_nonfinite: int = 10
    # Of debug=replay: the file of a batch whose loss or gradient was not finite.
    batch: str | None = None
    device: str = "auto"
    precision: Precision = Precision.auto
    seed: int = 0
    output_dir: str = MISSING


@dataclass
class EvaluateConfig:
    checkpoint: str = MISSING
    data: DataConfig = field(default_factory=DataConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    split: Split = Split.test
    output: str | None = None
    batch_tokens: int = 4096
    bootstrap_resamples: int = 1000
    # Reads every document under so many shuffles, orders it by the mean of their scores, and tells how often the
    # shuffles would have given different orders.
    shuffles: int = 1
    # A file for the scores of every document, for `sentence_order.decode`.
    scores: str | None = None
    device: str = "auto"
    precision: Precision = Precision.auto
    seed: int = 0


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
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    batch_tokens: int = 4096
    # Documents whose order is less likely right than this are left as they are.
    threshold: float = 0.0
    shuffles: int = 1
    device: str = "auto"
    precision: Precision = Precision.auto


@dataclass
class DecodeConfig:
    scores: str = MISSING
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    output: str | None = None
    bootstrap_resamples: int = 1000
    seed: int = 0


SCHEMAS: dict[str, type] = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "predict": PredictConfig,
    "decode": DecodeConfig,
}

Schema = TypeVar("Schema")


def register_schemas() -> None:
    """Puts every schema where the primary configs' defaults lists find it, as `schema/<name>`."""
    for name, schema in SCHEMAS.items():
        ConfigStore.instance().store(group="schema", name=name, node=schema, package="_global_")


def config_dir() -> Path:
    """The folder of YAML configs: inside the package in a wheel, beside it in a source tree."""
    package = Path(__file__).resolve().parent
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def leaves(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every key of a config, as users type it, with its plain value."""
    found: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            found |= leaves(value, f"{prefix}{item.name}.")
        elif isinstance(value, list):
            found[prefix + item.name] = [one.value if isinstance(one, Enum) else one for one in value]
        else:
            found[prefix + item.name] = value.value if isinstance(value, Enum) else value
    return found


def dotted_keys(schema: type, prefix: str = "") -> Iterator[str]:
    """Every key of a schema as users type it (`trainer.epochs`), groups included."""
    for item in fields(schema):
        yield prefix + item.name
        if isinstance(item.type, type) and is_dataclass(item.type):
            yield from dotted_keys(item.type, f"{prefix}{item.name}.")


def did_you_mean(word: str, candidates: list[str]) -> str:
    """`"; did you mean 'x'?"`, or nothing where nothing is near."""
    near = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    if not near:  # a key typed without its group: `epochs` for `trainer.epochs`
        near = [c for c in candidates if c.rsplit(".", 1)[-1] == word.rsplit(".", 1)[-1]]
    return f"; did you mean '{near[0]}'?" if near else ""


def parse_config(config: DictConfig, schema: type[Schema]) -> Schema:
    """Turns a composed config into the schema's dataclasses.

    Raises:
        UserError: for a key that the schema does not have, a value of a wrong type, or a mandatory key left out.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
        merged = OmegaConf.merge(OmegaConf.structured(schema), plain)
        missing = sorted(str(key) for key in OmegaConf.missing_keys(merged))
        if missing:
            raise UserError(f"{missing[0]}: no value; give it on the command line: {missing[0]}=VALUE")
        parsed = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(explain(error, schema)) from error
    assert isinstance(parsed, schema)
    check_texts(parsed)
    return parsed


def check_texts(config: Any) -> None:
    """Raises UserError for a text that neither a file's name nor a record of the run can hold, or a list of lists."""
    for key, value in leaves(config).items():
        if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
            raise UserError(f"{key}: a list of single values, not {value}")  # which OmegaConf lets pass
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and re.search("[\0\ud800-\udfff]", text):
                raise UserError(f"{key}: {text!r} holds a character that is none in UTF-8, or ends texts")


def explain(error: OmegaConfBaseException, schema: type) -> str:
    """One line for an OmegaConf error: the full key, what is wrong, and the nearest key that exists."""
    key = re.sub(r"\[\d+\]$", "", error.full_key or str(error.key))
    keys = list(dotted_keys(schema))
    if key not in keys:
        return f"{key}: there is no such key{did_you_mean(key, keys)}"
    return f"{key}: {str(error).splitlines()[0]}"
