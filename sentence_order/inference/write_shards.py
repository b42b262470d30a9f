"""Predictions in parts, which processes share and which a later start does not compute again."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from sentence_order.config.schema import PredictConfig
from sentence_order.data.documents import Document, nothing_to_order
from sentence_order.data.files import listed
from sentence_order.errors import UserError
from sentence_order.inference.shards import (
    PARTS,
    STOP_FILE,
    check_description,
    claim_folder,
    cut_into_shards,
    describe_shards,
    part_path,
)
from sentence_order.runtime.device import Runtime
from sentence_order.runtime.distributed import Processes
from sentence_order.runtime.files import atomic_file


class _Readable:
    """Documents up to the first that cannot be read, where all processes stop; a fault, this or another, is kept."""

    def __init__(self, documents: Iterator[Document]) -> None:
        self.fault: UserError | None = None
        self._documents = documents

    def __iter__(self) -> Iterator[Document]:
        try:
            yield from self._documents
        except UserError as fault:
            self.fault = fault


class _IncompleteError(Exception):
    """Raised behind the last documents that can be read, so that their part is not kept."""


def write_shards(
    config: PredictConfig,
    documents: Iterator[Document],
    checkpoint: Path,
    format_orders: Callable[[Iterator[Document]], Iterator[str]],
    counts: Counter[str],
    runtime: Runtime,
) -> None:
    """Writes the parts of this process that are not there yet, and waits for the others.

    `format_orders` gives the text of a part, chunk by chunk. Afterwards the counts are those of all processes. Raises
    UserError.
    """
    folder, readable, processes = Path(str(config.output)), _Readable(documents), runtime.processes
    with ExitStack() as stack:
        with processes.errors_once():
            description = describe_shards(config, checkpoint, runtime.precision_name)
            if processes.is_main:
                stack.enter_context(claim_folder(folder, description))
        with processes.errors_once():
            check_description(folder, description)

        try:
            _write_own(config, readable, format_orders, counts, processes)
            processes.barrier()  # which may take long, unlike the exchange of the counts
            total = sum(processes.gather(counts), Counter[str]())
            counts.clear()
            counts.update(total)
            with processes.errors_once():
                if readable.fault is not None:
                    raise readable.fault
                if not counts["orderable"] and not counts["parts_there"]:
                    raise UserError(f"{', '.join(listed(config.input))}: {nothing_to_order(counts['documents'])}")
        except BaseException as error:
            if any(folder.glob(PARTS)):
                again = "with on_error=skip the same command" if readable.fault is error else "the same command"
                note = "" if config.input == "-" else f"; {again} writes the others"
                error.add_note(f"complete parts are in {folder}{note}")
            raise


def _write_own(
    config: PredictConfig,
    readable: _Readable,
    format_orders: Callable[[Iterator[Document]], Iterator[str]],
    counts: Counter[str],
    processes: Processes,
) -> None:
    """Predicts the parts whose turn it is, up to the first document that cannot be read, or that a process refuses."""
    assert config.shard_documents is not None, "there would be one file"
    folder = Path(str(config.output))
    for number, shard in cut_into_shards(iter(readable), config.shard_documents):
        path = part_path(folder, number)
        if number % processes.world_size != processes.rank:
            continue
        if path.exists():
            counts["parts_there"] += 1
            continue
        if (folder / STOP_FILE).exists():
            return
        with suppress(_IncompleteError), atomic_file(path) as stream:
            try:
                for text in format_orders(shard):
                    stream.write(text)
            except UserError as fault:  # of this process alone; the others finish the parts that they are at
                readable.fault = fault
                (folder / STOP_FILE).touch()
            if readable.fault is not None:
                raise _IncompleteError
        counts["parts"] += path.exists()
        if readable.fault is not None:
            return
