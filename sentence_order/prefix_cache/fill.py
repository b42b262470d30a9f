"""Attaches the output of the frozen prefix to corpora: from the store, which is filled first."""

import dataclasses
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sentence_order.arrays import IntArray
from sentence_order.config.schema import CacheConfig, CacheMode
from sentence_order.data.batching import make_batches
from sentence_order.data.examples import Batch
from sentence_order.data.tokenization import Corpus
from sentence_order.model.limits import BatchLimit
from sentence_order.model.modeling import SentenceOrdererModel
from sentence_order.prefix_cache.keys import PrefixKind, TextIndex, prefix_key
from sentence_order.prefix_cache.store import Shard, Store, gigabytes
from sentence_order.runtime.console import progress_bar
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.files import cache_folder

log = logging.getLogger(__name__)

# The size of a shard bounds the memory that filling takes, and what a killed writer loses.
SHARD_BYTES = 2**27


def attach_hidden_states(
    model: SentenceOrdererModel,
    corpora: dict[str, Corpus],
    config: CacheConfig,
    runtime: Runtime,
    *,
    tokens_read: int,
    batch_tokens: int,
) -> dict[str, Corpus]:
    """Returns the corpora with their hidden states, or unchanged if the cache is off; logs which, and why.

    Whether filling pays is decided by `tokens_read`, the tokens of these corpora that the model will read in all epochs
    and evaluations together; in a folder that the config names, it always does. Filling, the prefix reads
    `batch_tokens` at once.
    """
    kind = PrefixKind.of(model)
    reason = _reason_not_to_cache(model, kind, config)
    if reason is None:
        index = TextIndex(corpora, kind)
        try:
            reason = _Filler(model, index, kind, config, runtime).fill(tokens_read, batch_tokens)
        except OSError as error:  # no room, no permission, a full disk
            log.info("prefix cache: off (%s)", error)
            return corpora
    if reason is not None:
        log.debug("prefix cache: off (%s)", reason)
        return corpora
    return {name: dataclasses.replace(corpus, states=index.states(name)) for name, corpus in corpora.items()}


def _reason_not_to_cache(model: SentenceOrdererModel, kind: PrefixKind, config: CacheConfig) -> str | None:
    if config.mode is CacheMode.off:
        return "as set"
    if model.config.depends_on_input_order:
        return "auto: with encoder.position_ids=per_document, hidden states depend on the input order"
    if model.config.joint == "pairs" and not kind.local:
        return "auto: frozen layers read pairs of sentences, which are too many to store"
    if not model.family.by_layer and not kind.pooled:
        return "auto: this encoder is run as a whole, and not all of it is frozen"
    if kind.stages == 0:
        return "auto: the embeddings are not frozen"
    if kind.stages == 1:
        return f"auto: {list(model.parts)[1]} is not frozen, and embeddings alone are computed as fast as read"
    return None


class _Filler:
    """Looks texts up in the store, and computes and writes those that are missing."""

    def __init__(
        self, model: SentenceOrdererModel, index: TextIndex, kind: PrefixKind, config: CacheConfig, runtime: Runtime
    ) -> None:
        self.model, self.index, self.config, self.runtime = model, index, config, runtime
        self.store = Store(cache_folder(config.dir))
        self.dtype = getattr(torch, config.dtype.value)
        self.key = prefix_key(model, self.dtype, runtime.precision, in_linear_layers=runtime.kernels.bf16 == "all")
        encoder = model.encoder.config
        self.width = int(encoder.hidden_size)
        self.description = {
            "encoder": f"{encoder.model_type}, {model.num_layers} layers of {encoder.hidden_size}",
            "prefix": f"embeddings to {list(model.parts)[min(kind.stages, len(model.blocks)) - 1]}",
            "texts": "sentences" if kind.local else "documents",
            "holds": "sentence vectors" if kind.pooled else "token states",
            "dtype": config.dtype.value,
        }
        self.limit = BatchLimit(runtime.device, "lower data.max_sentence_tokens, or add cache=off")
        self.used: set[Path] = set()

    def fill(self, tokens_read: int, batch_tokens: int) -> str | None:
        """Returns None if the store then has all texts, or the reason not to use it. Raises OSError."""
        missing = self._look_up()
        if len(missing):
            tokens = int(self.index.tokens[missing].sum())
            if self.config.dir is None and tokens_read <= tokens:
                return f"auto: {tokens_read:,} tokens will be read, and filling it would compute {tokens:,} first"
            with self.store.lock(self.key):
                missing = self._look_up()  # another process may have added to it
                if len(missing):
                    size = gigabytes(self._make_room(missing))
                    self._log(f"; computing {len(missing):,} that are missing ({size})")
                    self._compute(missing, batch_tokens)
                    return None
        self._log("")
        return None

    def _make_room(self, texts: IntArray) -> int:
        """Returns the bytes that these texts take."""
        size = int(self.index.rows[texts].sum()) * self.width * self.dtype.itemsize
        self.store.make_room(size, self.config.max_gb * 1e9, self.used)
        return size

    def _log(self, addition: str) -> None:
        what = f"{self.description['prefix']} of {len(self.index.digests):,} {self.description['texts']}"
        log.info("prefix cache: on; reading %s from %s%s", what, self.store.folder / self.key, addition)

    def _look_up(self) -> IntArray:
        """Registers the states in the store, unless they are damaged; returns the texts that are missing."""
        shards = self.store.open(self.key)
        with progress_bar(transient=True) as bar:
            task = bar.add_task("checking the cache", total=len(shards), unit="shards", note="")
            for shard in shards:
                bar.advance(task)
                entries, texts = self.index.lookup(shard)
                if not len(entries):
                    continue
                form = shard.states.shape[1], shard.states.dtype.name
                fits = (shard.count[entries] == self.index.rows[texts]).all()
                if form != (self.width, self.config.dtype.value) or not fits:
                    self.store.discard(shard.path, "damaged (unexpected shape)")
                elif shard.intact(entries):
                    self._add(shard, entries, texts)
                else:
                    self.store.discard(shard.path, "damaged (wrong checksum)")
        return self.index.missing()

    def _add(self, shard: Shard, entries: IntArray, texts: IntArray) -> None:
        self.index.add_shard(shard, entries, texts)
        self.used.add(shard.path)
        with suppress(OSError):  # a folder of another user
            os.utime(shard.path)  # the least recently used is removed first

    def _compute(self, missing: IntArray, batch_tokens: int) -> None:
        """Writes the states of the missing texts. Raises OSError, after removing what it has written."""
        written: list[Path] = []
        try:
            with progress_bar() as bar:
                task = bar.add_task("filling the cache", total=len(missing), unit=self.description["texts"], note="")
                for part in self._parts(missing):
                    count = self.index.rows[part]
                    states = torch.empty(int(count.sum()), self.width, dtype=self.dtype)
                    batches = make_batches(self.index.tokens[part], batch_tokens)  # in the order of `part`
                    targets = states.split([int(count[batch].sum()) for batch in batches])
                    for batch, target in zip(batches, targets, strict=True):
                        texts = self.index.batch(part[batch])
                        target.copy_(torch.cat([rows for _, rows in self.limit.run(self._run_prefix, [texts])]))
                        bar.advance(task, len(batch))
                        self.store.report_progress(self.key)

                    self._make_room(part)  # again: others may be writing
                    shard = self.store.add(self.key, self.description, self.index.digests[part], count, states)
                    written.append(shard.path)
                    self._add(shard, np.arange(len(part)), part)
        except OSError:
            for path in written:
                self.store.discard(path, "the others could not be written")
            raise

    def _parts(self, texts: IntArray) -> Iterator[IntArray]:
        """The texts of each new shard, long ones first, so that one that does not fit in memory fails at once.

        Each begins where the one before it is full: after a killed writer the remaining ones hold the texts that they
        would have held, and so are computed in the same batches, which states depend on by their rounding.
        """
        texts = texts[np.argsort(-self.index.tokens[texts], kind="stable")]
        ends = self.index.rows[texts].cumsum() * self.width * self.dtype.itemsize
        first = 0
        while first < len(texts):
            written = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, written + SHARD_BYTES, side="right")))
            yield texts[first:last]
            first = last

    def _run_prefix(self, batches: Sequence[Batch]) -> Tensor:
        device, batch = self.runtime.device, batches[0]
        with self.runtime.autocast():
            return self.model.encode_prefix(batch["input_ids"].to(device), batch["lengths"])
