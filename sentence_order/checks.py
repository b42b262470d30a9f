"""What a key's type cannot check of a config: ranges, and what does not go together. Each mistake is a UserError that
names the key and what is accepted."""

import math

from sentence_order.config import (
    TINY_HEAD_WIDTH,
    DataConfig,
    DecoderName,
    FreezeConfig,
    HeadName,
    LossConfig,
    Source,
    TrainConfig,
)
from sentence_order.errors import UserError

# Which heads give the scores that a loss or a decoder reads.
LOGITS, POINTERS = {"pairs", "scores", "positions"}, {"pointer", "relational_pointer"}
LOSS_HEADS = {
    **dict.fromkeys(("pairwise_logistic", "margin", "ranknet", "list_mle", "regression"), LOGITS),
    "neighbours": {"neighbours"},
    "order": LOGITS | {"neighbours"},
    "position": {"positions"},
    "slot": {"positions"},
    "pointer": POINTERS,
}
DECODER_HEADS = {
    **dict.fromkeys(("exact", "expected_tau", "beam"), LOGITS | {"neighbours"}),
    **dict.fromkeys(("borda", "topological", "assignment"), LOGITS),
    "pointer": POINTERS,
}


def check_positive(key: str, value: float | None, *, zero: bool = False, most: float = 2**62) -> None:
    """Raises UserError unless the value is above zero (or at zero, where `zero` allows it), or not set."""
    if value is not None and not (value >= 0 if zero else value > 0):  # a NaN is neither
        raise UserError(f"{key}: must be {'zero or more' if zero else 'above zero'}, not {value}")
    if value is not None and value > most:
        raise UserError(f"{key}: at most {most}, not {value}")


def check_train(config: TrainConfig) -> None:
    """The checks that one key's type cannot make. Raises UserError."""
    trainer, optim, data = config.trainer, config.optim, config.data
    steps = ("epochs", "max_steps", "accumulate", "eval_every", "save_every", "log_every", "patience")
    for key in (*steps, "batch_tokens", "eval_batch_tokens"):
        check_positive(f"trainer.{key}", getattr(trainer, key))
    for key in ("lr", "head_lr", "weight_decay", "warmup"):
        check_positive(f"optim.{key}", getattr(optim, key), zero=True)
    check_positive("optim.max_grad_norm", optim.max_grad_norm, most=math.inf)
    if not 0 < optim.layer_decay <= 1:
        raise UserError(f"optim.layer_decay: above 0, and up to 1 (none), such as 0.9, not {optim.layer_decay}")
    check_freeze(config.freeze)
    if not 0 <= optim.ema < 1:
        raise UserError(f"optim.ema: from 0 (no average) to below 1, such as 0.999, not {optim.ema}")
    check_positive("decoder.beam_width", config.decoder.beam_width)
    if config.decoder.name is None:
        raise UserError(f"decoder: none chosen; there are {', '.join(name.value for name in DecoderName)}")
    heads = {head.value for head in config.model.heads}
    check_heads(heads)
    check_loss(config.loss, heads)
    check_decoder(config.decoder.name.value, heads)
    if optim.warmup > 1:
        raise UserError(f"optim.warmup: the share of steps, between 0 and 1, not {optim.warmup}")
    if len(optim.betas) != 2 or not all(0 <= beta < 1 for beta in optim.betas):
        raise UserError(f"optim.betas: two numbers below 1 such as [0.9,0.98], not {optim.betas}")
    check_positive("model.head_width", config.model.head_width, most=2**20)
    check_positive("model.set_layers", config.model.set_layers, zero=True, most=1000)
    for key in ("dropout", "attention_dropout"):
        if not 0 <= getattr(config.model, key) < 1:
            raise UserError(f"model.{key}: a rate from 0 to below 1, not {getattr(config.model, key)}")
    for key, most in (("tiny_layers", 1000), ("tiny_width", 2**14), ("tiny_vocabulary", 2**24)):
        check_positive(f"encoder.{key}", getattr(config.encoder, key), most=most)
    if config.encoder.tiny_width % TINY_HEAD_WIDTH:
        raise UserError(f"encoder.tiny_width: a multiple of {TINY_HEAD_WIDTH}, not {config.encoder.tiny_width}")
    check_positive("cache.max_gb", config.cache.max_gb, most=math.inf)
    check_positive("trainer.workers", trainer.workers, zero=True)
    check_positive("seed", config.seed, zero=True)
    check_positive("max_nonfinite", config.max_nonfinite, zero=True)
    if config.debug.replay != (config.batch is not None):
        raise UserError("debug=replay and batch=FILE: one looks into the other; give both, or neither")
    check_data(data)
    if data.validation_share + data.test_share >= 1:
        raise UserError("data.validation_share and data.test_share: together they must leave documents to train on")


def check_freeze(freeze: FreezeConfig) -> None:
    """Raises UserError where the keys of the group say several things."""
    said = [key for key in ("embeddings", "layers", "depth", "schedule") if getattr(freeze, key) not in (0, None, [])]
    for key in ("schedule", "depth"):
        if key in said and (others := [f"freeze.{other}" for other in said if other != key]):
            raise UserError(
                f"freeze.{key}: it says by itself what is frozen; leave out {' and '.join(others)} (with freeze=none)"
            )


def check_heads(heads: set[str]) -> None:
    """Raises UserError where heads are missing or contradict each other."""
    if not heads:
        raise UserError(f"model.heads: none; there are {', '.join(head.value for head in HeadName)}")
    for rivals in (LOGITS, POINTERS):
        if len(heads & rivals) > 1:
            raise UserError(f"model.heads: one of {', '.join(sorted(heads & rivals))}, not several: they tell the same")
    if heads & POINTERS and len(heads) > 1:
        others = ", ".join(sorted(heads - POINTERS))
        raise UserError(f"model.heads: a pointer stands alone; without {others}")


def check_loss(loss: LossConfig, heads: set[str]) -> None:
    """Raises UserError where a loss has no head to train, or a head no loss that trains it."""
    trained: set[str] = set()
    for name, readable in LOSS_HEADS.items():
        weight = getattr(loss, name)
        check_positive(f"loss.{name}", weight, zero=True)
        if weight and not readable & heads:
            raise UserError(
                f"loss.{name}: {weight} is for the head {' or '.join(sorted(readable))}, and model.heads is "
                f"[{','.join(sorted(heads))}]; add loss.{name}=0, or the head"
            )
        trained |= readable if weight else set()
    check_positive("loss.margin_width", loss.margin_width)
    if idle := sorted(heads - trained):
        fitting = [name for name, readable in LOSS_HEADS.items() if idle[0] in readable]
        raise UserError(f"loss: nothing trains the head {idle[0]}; give a weight to loss.{' or loss.'.join(fitting)}")


def check_decoder(name: str, heads: set[str]) -> None:
    """Raises UserError where a decoder has no scores to read."""
    if not DECODER_HEADS[name] & heads:
        fitting = [decoder for decoder, readable in DECODER_HEADS.items() if readable & heads]
        raise UserError(
            f"decoder={name}: reads {' or '.join(sorted(DECODER_HEADS[name]))}, and the model's heads are "
            f"[{','.join(sorted(heads))}]; choose one of {', '.join(fitting)}"
        )


def check_data(data: DataConfig) -> None:
    """The checks of the data group alone. Raises UserError."""
    for key in ("limit_train", "limit_validation", "limit_test"):
        check_positive(f"data.{key}", getattr(data, key))
    for key in ("validation_share", "test_share"):
        share = getattr(data, key)
        if not 0 < share < 1:
            raise UserError(f"data.{key}: a share between 0 and 1, not {share}")
    check_positive("data.split_seed", data.split_seed, zero=True)
    if data.max_sentences < 2:
        raise UserError(f"data.max_sentences: at least 2, not {data.max_sentences}")
    if data.max_sentence_tokens < 3:
        raise UserError(f"data.max_sentence_tokens: at least 3, not {data.max_sentence_tokens}")
    paths = [f"data.{name}" for name in ("train", "validation", "test") if getattr(data, name)]
    if data.source is Source.synthetic and paths:
        raise UserError(f"{paths[0]}: data=synthetic reads no files; add data=jsonl, csv, parquet, text or hub")
    if data.source is Source.hub and not data.hub_id:
        raise UserError("data.hub_id: data=hub needs the id of a data set, as in data.hub_id=owner/name")
