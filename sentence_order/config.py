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


class LossName(Enum):
    pairwise_logistic = "pairwise_logistic"
    margin = "margin"


class DecoderName(Enum):
    exact = "exact"
    beam = "beam"
    borda = "borda"


class Schedule(Enum):
    linear = "linear"
    cosine = "cosine"
    constant_with_warmup = "constant_with_warmup"


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
    # The first layer in which tokens attend across sentences: a number of layers, or "half".
    joint_from: Any = "half"
    # The tiny encoder's size; other encoders bring their own.
    tiny_layers: int = 4
    tiny_width: int = 96
    tiny_vocabulary: int = 4000


@dataclass
class FreezeConfig:
    embeddings: bool = False
    # The lowest N layers, a range "2-4", a list [0, 2], "half" or "all".
    layers: Any = 0


@dataclass
class ModelConfig:
    pooling: Pooling = Pooling.mean
    set_layers: int = 1
    # Score which sentence directly follows which, beside which comes before which.
    neighbours: bool = True
    head_width: int = 256
    # In the heads, in the encoder's layers that train and in the set layers; and on the attention weights of those.
    dropout: float = 0.0
    attention_dropout: float = 0.0


@dataclass
class LossConfig:
    name: LossName = MISSING
    margin: float = 1.0


@dataclass
class DecoderConfig:
    # `evaluate` and `predict` take the decoder that the checkpoint was trained with where none is named.
    name: DecoderName | None = None
    beam_width: int = 64


@dataclass
class OptimConfig:
    lr: float = 8e-5
    head_lr: float = 5e-4
    weight_decay: float = 0.01
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    schedule: Schedule = Schedule.linear
    warmup: float = 0.1
    max_grad_norm: float = 1.0


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


@dataclass
class TrainConfig:
    data: DataConfig = field(default_factory=DataConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    freeze: FreezeConfig = field(default_factory=FreezeConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    debug: DebugConfig = field(default_factory=DebugConfig)
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
    device: str = "auto"
    precision: Precision = Precision.auto


SCHEMAS: dict[str, type] = {"train": TrainConfig, "evaluate": EvaluateConfig, "predict": PredictConfig}

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
    plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), plain)
        missing = sorted(str(key) for key in OmegaConf.missing_keys(merged))
        if missing:
            raise UserError(f"{missing[0]}: no value; give it on the command line: {missing[0]}=VALUE")
        parsed = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(explain(error, schema)) from error
    assert isinstance(parsed, schema)
    return parsed


def explain(error: OmegaConfBaseException, schema: type) -> str:
    """One line for an OmegaConf error: the full key, what is wrong, and the nearest key that exists."""
    key = re.sub(r"\[\d+\]$", "", error.full_key or str(error.key))
    keys = list(dotted_keys(schema))
    if key not in keys:
        return f"{key}: there is no such key{did_you_mean(key, keys)}"
    return f"{key}: {str(error).splitlines()[0]}"


def check_positive(key: str, value: float | None, *, zero: bool = False) -> None:
    """Raises UserError unless the value is above zero (or at zero, where `zero` allows it), or not set."""
    if value is not None and not (value >= 0 if zero else value > 0):  # a NaN is neither
        raise UserError(f"{key}: must be {'zero or more' if zero else 'above zero'}, not {value}")


def check_train(config: TrainConfig) -> None:
    """The checks that one key's type cannot make. Raises UserError."""
    trainer, optim, data = config.trainer, config.optim, config.data
    for key in ("epochs", "max_steps", "batch_tokens", "eval_batch_tokens", "accumulate", "log_every"):
        check_positive(f"trainer.{key}", getattr(trainer, key))
    for key in ("eval_every", "save_every"):
        check_positive(f"trainer.{key}", getattr(trainer, key))
    for key in ("lr", "head_lr", "weight_decay", "warmup"):
        check_positive(f"optim.{key}", getattr(optim, key), zero=True)
    check_positive("optim.max_grad_norm", optim.max_grad_norm)
    check_positive("decoder.beam_width", config.decoder.beam_width)
    if config.decoder.name is None:
        raise UserError(f"decoder: none chosen; there are {', '.join(name.value for name in DecoderName)}")
    if optim.warmup > 1:
        raise UserError(f"optim.warmup: the share of steps, between 0 and 1, not {optim.warmup}")
    if len(optim.betas) != 2 or not all(0 <= beta < 1 for beta in optim.betas):
        raise UserError(f"optim.betas: two numbers below 1 such as [0.9,0.98], not {optim.betas}")
    check_positive("model.head_width", config.model.head_width)
    check_positive("model.set_layers", config.model.set_layers, zero=True)
    for key in ("dropout", "attention_dropout"):
        if not 0 <= getattr(config.model, key) < 1:
            raise UserError(f"model.{key}: a rate from 0 to below 1, not {getattr(config.model, key)}")
    for key in ("tiny_layers", "tiny_width", "tiny_vocabulary"):
        check_positive(f"encoder.{key}", getattr(config.encoder, key))
    if config.encoder.tiny_width % TINY_HEAD_WIDTH:
        raise UserError(f"encoder.tiny_width: a multiple of {TINY_HEAD_WIDTH}, not {config.encoder.tiny_width}")
    check_positive("cache.max_gb", config.cache.max_gb)
    check_positive("trainer.workers", trainer.workers, zero=True)
    check_positive("seed", config.seed, zero=True)
    check_data(data)
    if data.validation_share + data.test_share >= 1:
        raise UserError("data.validation_share and data.test_share: together they must leave documents to train on")


def check_data(data: DataConfig) -> None:
    """The checks of the data group alone. Raises UserError."""
    for key in ("limit_train", "limit_validation", "limit_test"):
        check_positive(f"data.{key}", getattr(data, key))
    for key in ("validation_share", "test_share"):
        share = getattr(data, key)
        if not 0 < share < 1:
            raise UserError(f"data.{key}: a share between 0 and 1, not {share}")
    if data.max_sentences < 2:
        raise UserError(f"data.max_sentences: at least 2, not {data.max_sentences}")
    if data.max_sentence_tokens < 3:
        raise UserError(f"data.max_sentence_tokens: at least 3, not {data.max_sentence_tokens}")
    paths = [f"data.{name}" for name in ("train", "validation", "test") if getattr(data, name)]
    if data.source is Source.synthetic and paths:
        raise UserError(f"{paths[0]}: data=synthetic reads no files; add data=jsonl, csv, parquet, text or hub")
    if data.source is Source.hub and not data.hub_id:
        raise UserError("data.hub_id: data=hub needs the id of a data set, as in data.hub_id=owner/name")
