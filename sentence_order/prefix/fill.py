"""Gives corpora the states that a frozen prefix makes of their sentences: from the store, which is filled first."""

import dataclasses
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sentence_order.config import CacheConfig, CacheMode
from sentence_order.console import progress_bar
from sentence_order.data.batching import TokenBudgetBatches
from sentence_order.data.examples import collate
from sentence_order.data.states import IntArray
from sentence_order.data.tokenization import Corpus
from sentence_order.model.modeling import SentenceOrderer
from sentence_order.prefix.catalogue import Catalogue
from sentence_order.prefix.keys import PrefixKind, prefix_key
from sentence_order.prefix.store import Shard, Store, default_folder, gigabytes
from sentence_order.runtime import Runtime, give_back_memory, out_of_memory

log = logging.getLogger(__name__)

# The size of a shard bounds the memory that filling takes, and what a killed writer loses.
SHARD_BYTES = 2**27


def attach_states(
    model: SentenceOrderer,
    corpora: dict[str, Corpus],
    config: CacheConfig,
    runtime: Runtime,
    *,
    tokens_read: int,
    batch_tokens: int,
) -> dict[str, Corpus]:
    """Returns the corpora with their `states`, or as they are where the cache is off; logs which, and why.

    Args:
        tokens_read: how many tokens of these corpora will go through the model, all epochs and evaluations together,
            by which it is judged whether filling pays; in a folder that the config names, it always does.
        batch_tokens: how many of them the prefix reads at once while the store is filled.
    """
    kind = PrefixKind.of(model)
    reason = _nothing_to_keep(model, kind, config)
    if reason is None:
        catalogue = Catalogue(corpora, kind)
        try:
            reason = _Filler(model, catalogue, kind, config, runtime).fill(tokens_read, batch_tokens)
        except OSError as error:  # no room, no permission, a full disk
            reason = str(error)
    if reason is not None:
        log.info("prefix cache: off (%s)", reason)
        return corpora
    return {name: dataclasses.replace(corpus, states=catalogue.states(name)) for name, corpus in corpora.items()}


def _nothing_to_keep(model: SentenceOrderer, kind: PrefixKind, config: CacheConfig) -> str | None:
    if config.mode is CacheMode.off:
        return "as set"
    if model.knows_the_shuffle:
        return "auto: with encoder.position_ids=per_document, states depend on how a document is shuffled"
    if model.config.joint == "pairs" and not kind.local:
        return "auto: frozen layers read pairs of sentences, which are too many to keep"
    if kind.stages == 0:
        return "auto: the embeddings are not frozen"
    if kind.stages == 1:
        return f"auto: {list(model.parts)[1]} is not frozen, and embeddings alone are as quickly computed as read"
    return None


class _Filler:
    """Finds what the store has of a catalogue's texts, and computes and writes the rest."""

    def __init__(
        self, model: SentenceOrderer, catalogue: Catalogue, kind: PrefixKind, config: CacheConfig, runtime: Runtime
    ) -> None:
        self.model, self.catalogue, self.config, self.runtime = model, catalogue, config, runtime
        self.store = Store(Path(config.dir) if config.dir else default_folder())
        self.dtype = getattr(torch, config.dtype.value)
        self.key = prefix_key(model, self.dtype, runtime.precision)
        encoder = model.encoder.config
        self.width = int(encoder.hidden_size)
        self.about = {
            "encoder": f"{encoder.model_type}, {encoder.num_hidden_layers} layers of {encoder.hidden_size}",
            "prefix": f"embeddings to {list(model.parts)[min(kind.stages, len(model.blocks)) - 1]}",
            "texts": "sentences" if kind.local else "documents",
            "holds": "sentence vectors" if kind.pooled else "token states",
            "dtype": config.dtype.value,
        }
        self.used: set[Path] = set()

    def fill(self, tokens_read: int, batch_tokens: int) -> str | None:
        """Returns why the store is not to be used, or None: then it has all texts. Raises OSError."""
        missing = self._find()
        if len(missing):
            tokens = int(self.catalogue.tokens[missing].sum())
            if self.config.dir is None and tokens_read <= tokens:
                return f"auto: {tokens_read:,} tokens will be read, and to keep them {tokens:,} would be computed first"
            with self.store.lock(self.key):
                missing = self._find()  # another process may have added to it
                if len(missing):
                    self._make_room(missing)
                    size = gigabytes(self._bytes(missing))
                    self._tell(f", to which {len(missing):,} of them ({size}) are added now")
                    self._compute(missing, batch_tokens)
                    return None
        self._tell("")
        return None

    def _bytes(self, texts: IntArray) -> int:
        return int(self.catalogue.rows[texts].sum()) * self.width * self.dtype.itemsize

    def _make_room(self, texts: IntArray) -> None:
        self.store.make_room(self._bytes(texts), self.config.max_gb * 1e9, self.used)

    def _tell(self, addition: str) -> None:
        about, texts = self.about, len(self.catalogue.digests)
        log.info(
            "prefix cache: on; %s of %s %s are read from %s%s",
            *(about["prefix"], f"{texts:,}", about["texts"], self.store.folder / self.key, addition),
        )

    def _find(self) -> IntArray:
        """Takes what the store has, unless it is damaged; returns the texts that are missing still."""
        shards = self.store.open(self.key)
        with progress_bar(transient=True) as bar:
            task = bar.add_task("checking the cache", total=len(shards), unit="shards", note="")
            for shard in shards:
                entries = self.catalogue.find(shard)
                if len(entries) and not (self._fits(shard) and self.catalogue.fits(shard, entries)):
                    self.store.discard(shard.path, "damaged (its states are of another shape)")
                elif len(entries) and shard.intact(entries):
                    self._take(shard, entries)
                elif len(entries):
                    self.store.discard(shard.path, "damaged (its checksum is wrong)")
                bar.advance(task)
        return self.catalogue.missing()

    def _fits(self, shard: Shard) -> bool:
        return shard.states.shape[1] == self.width and torch.from_numpy(shard.states[:0]).dtype == self.dtype

    def _take(self, shard: Shard, entries: IntArray) -> None:
        self.catalogue.take(shard, entries)
        self.used.add(shard.path)
        with suppress(OSError):  # a folder that others own
            os.utime(shard.path)  # what was used last is removed last

    def _compute(self, missing: IntArray, batch_tokens: int) -> None:
        """Writes the states of the missing texts. Raises OSError: then what it has written is removed."""
        written: list[Path] = []
        try:
            with progress_bar() as bar:
                task = bar.add_task("filling the cache", total=len(missing), unit=self.about["texts"], note="")
                for part in self._parts(missing):
                    states = torch.empty(int(self.catalogue.rows[part].sum()), self.width, dtype=self.dtype)
                    done: list[int] = []
                    start = 0
                    for texts, rows in self._encode(part, batch_tokens):
                        states[start : start + len(rows)] = rows
                        start += len(rows)
                        done += texts.tolist()
                        bar.advance(task, len(texts))
                    self._make_room(part)  # again: others may be writing
                    digests, count = self.catalogue.digests[done], self.catalogue.rows[done]
                    shard = self.store.add(self.key, self.about, digests, count, states)
                    written.append(shard.path)
                    self._take(shard, np.arange(len(done)))
        except OSError:
            for path in written:
                self.store.discard(path, "the rest could not be written")
            raise

    def _parts(self, texts: IntArray) -> list[IntArray]:
        """The texts of each new shard, long ones first: so they fail at once if they do not fit in memory."""
        if not len(texts):
            return []
        texts = texts[np.argsort(-self.catalogue.tokens[texts], kind="stable")]
        shard = self.catalogue.rows[texts].cumsum() * self.width * self.dtype.itemsize // SHARD_BYTES
        return np.split(texts, np.flatnonzero(np.diff(shard)) + 1)

    def _encode(self, texts: IntArray, batch_tokens: int) -> Iterator[tuple[IntArray, Tensor]]:
        """The texts in batches, each with the rows that the prefix makes of it."""
        for batch in TokenBudgetBatches(self.catalogue.tokens[texts], batch_tokens):
            yield texts[batch], self._rows(texts[batch])

    def _rows(self, texts: IntArray) -> Tensor:
        """What the prefix makes of a batch; in halves, where that takes more memory than there is."""
        device, rows = self.runtime.device, None
        inputs = collate([self.catalogue.example(text) for text in texts])
        try:
            with self.runtime.autocast():
                rows = self.model.encode_prefix(inputs["input_ids"].to(device), inputs["lengths"].to(device))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or len(texts) == 1:
                raise
        if rows is None:
            give_back_memory(device)
            rows = torch.cat([self._rows(half) for half in np.array_split(texts, 2)])
        return rows
