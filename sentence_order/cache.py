"""Lists and clears the prefix cache: python -m sentence_order.cache [list | clear [KEY ...]] [--dir DIR]."""

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sentence_order.runtime.files import cache_folder

if TYPE_CHECKING:
    from sentence_order.prefix_cache.store import Entry

KEY_CHARACTERS = 12


def main() -> None:
    """The console script `sentence-order-cache`."""
    parser = argparse.ArgumentParser(
        prog="sentence-order-cache",
        description="The cached output of frozen layers, which later runs read (config group cache).",
    )
    parser.add_argument("action", nargs="?", choices=["list", "clear"], default="list", help="default: list")
    parser.add_argument("keys", nargs="*", metavar="KEY", help="what to clear, by its first characters; default: all")
    parser.add_argument("--dir", type=Path, help="default: $SENTENCE_ORDER_CACHE or ~/.cache/sentence_order")
    arguments = parser.parse_args()
    if arguments.action == "list" and arguments.keys:
        parser.error("list takes no KEY")

    from sentence_order.prefix_cache.store import Store, gigabytes

    logging.basicConfig(level=logging.INFO, format="%(message)s")  # clearing may wait for a process that is filling
    store = Store(arguments.dir or cache_folder())
    keys: dict[str, list[Entry]] = {}
    for entry in store.entries():
        keys.setdefault(entry.key, []).append(entry)
    if arguments.action == "list":
        total = sum(entry.bytes for entries in keys.values() for entry in entries)
        print(f"{store.folder}: {gigabytes(total)}")
        if keys:
            _print_table(keys)
        return

    for wanted in arguments.keys:
        if not any(key.startswith(wanted) for key in keys):
            available = ", ".join(key[:KEY_CHARACTERS] for key in keys) or "none"
            parser.error(f"no KEY begins with {wanted}. Available: {available}")
    chosen = [key for key in keys if not arguments.keys or key.startswith(tuple(arguments.keys))]
    try:
        for key in chosen:
            store.clear(key)
    except OSError as error:
        parser.error(f"cannot clear the cache: {error}")
    print(f"cleared {gigabytes(sum(entry.bytes for key in chosen for entry in keys[key]))} in {store.folder}")


def _print_table(keys: "dict[str, list[Entry]]") -> None:
    """A row per frozen prefix, the most recently used first."""
    from datetime import datetime

    from rich.console import Console
    from rich.table import Table

    from sentence_order.prefix_cache.store import gigabytes

    table = Table("key", "encoder", "prefix", "of", "holds", "shards", "size", "last used")
    for key, entries in keys.items():
        descriptions = [entry.description() for entry in entries]
        about = next((description for description in descriptions if description), {})
        damaged = descriptions.count(None)
        table.add_row(
            key[:KEY_CHARACTERS],
            *(about.get(name, "?") for name in ("encoder", "prefix", "texts")),
            f"{about.get('holds', '?')} in {about.get('dtype', '?')}",
            f"{len(entries)}" + (f", {damaged} damaged" if damaged else ""),
            gigabytes(sum(entry.bytes for entry in entries)),
            datetime.fromtimestamp(max(entry.used for entry in entries)).isoformat(" ", "minutes"),
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)


if __name__ == "__main__":
    main()
