"""Lists and clears the cache: python -m sentence_order.cache [list | clear [KEY ...]] [--dir DIR]."""

import argparse
import logging
import sys
from collections import defaultdict
from datetime import datetime

from sentence_order import version_text
from sentence_order.config import cli
from sentence_order.errors import UserError, printable
from sentence_order.runtime.files import cache_folder
from sentence_order.runtime.threads import spin_briefly

KEY_CHARACTERS = 12


def main() -> None:
    """The console script `sentence-order-cache`."""
    spin_briefly()
    parser = argparse.ArgumentParser(
        prog="sentence-order-cache",
        description="What later runs read: hidden states of frozen layers, documents and their tokens (group cache).",
    )
    parser.add_argument("action", nargs="?", choices=["list", "clear"], default="list", help="default: list")
    parser.add_argument("keys", nargs="*", metavar="KEY", help="what to clear, by its first characters; default: all")
    parser.add_argument("--dir", type=cli.path, help="default: $SENTENCE_ORDER_CACHE or ~/.cache/sentence_order")
    parser.add_argument("--version", action="version", version=version_text())
    with cli.one_line_errors():
        cli.refuse_overrides(sys.argv[1:], ["dir"])
        arguments = parser.parse_args()
        if arguments.action == "list" and arguments.keys:
            parser.error("list takes no KEY")
        cli.check_open(sys.stdout, "standard output")
        _run(parser, arguments)


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from sentence_order.data.arrow_cache import FOLDER, ArrowCache
    from sentence_order.prefix_cache.store import Store, gigabytes

    logging.basicConfig(level=logging.INFO, format="%(message)s")  # clearing may wait for a process that is filling
    store = Store(cache_folder(arguments.dir))
    if store.folder.exists() and not store.folder.is_dir():
        raise UserError(f"--dir: {store.folder} is a file; name a folder")
    corpora = ArrowCache(store.folder / FOLDER, 0)
    files, shards = corpora.files(), defaultdict(list)
    for entry in store.entries():  # the most recently used first
        shards[entry.key].append(entry)
    sizes = {FOLDER: sum(size for _, size, _ in files)} if files else {}
    sizes |= {key: sum(entry.bytes for entry in entries) for key, entries in shards.items()}
    for wanted in arguments.keys:
        if not any(key.startswith(wanted) for key in sizes):
            available = ", ".join(key[:KEY_CHARACTERS] for key in sizes) or "none"
            parser.error(f"no KEY begins with {wanted}. Available: {available}")

    if arguments.action == "clear":
        chosen = [key for key in sizes if not arguments.keys or key.startswith(tuple(arguments.keys))]
        for key in chosen:
            if key == FOLDER:
                corpora.clear()
            else:
                store.clear(key)
        print(f"cleared {gigabytes(sum(sizes[key] for key in chosen))} in {store.folder}")
        return

    print(f"{store.folder}: {gigabytes(sum(sizes.values()))}")
    table = Table("key", "encoder", "prefix", "of", "holds", "files", "size", "last used")
    if files:
        used = datetime.fromtimestamp(files[0][2]).isoformat(" ", "minutes")
        table.add_row(FOLDER, "-", "-", "documents", "texts or tokens", f"{len(files)}", gigabytes(sizes[FOLDER]), used)
    for key, entries in shards.items():
        about, damaged = entries[0].about, sum(entry.damaged() for entry in entries)
        table.add_row(
            key[:KEY_CHARACTERS],
            *(Text(printable(str(about.get(name, "?")))) for name in ("encoder", "prefix", "texts")),
            Text(printable(f"{about.get('holds', '?')} in {about.get('dtype', '?')}")),
            f"{len(entries)}" + (f", {damaged} damaged" if damaged else ""),
            gigabytes(sizes[key]),
            datetime.fromtimestamp(entries[0].used).isoformat(" ", "minutes"),
        )
    if sizes:
        Console(width=None if sys.stdout.isatty() else 200).print(table)


if __name__ == "__main__":
    main()
