"""Lists the commands, or runs one: python -m sentence_order [COMMAND ...]."""

import sys
from importlib import import_module

from sentence_order import version_text

# Each is a module of this package with a `main`, and the console script `sentence-order-COMMAND`.
COMMANDS = {
    "train": "train a model, resume a run, or run a sweep of many",
    "evaluate": "measure a checkpoint on documents whose order is known",
    "predict": "order new text",
    "demo": "order text in a browser",
    "report": "compare runs, or two results",
    "cache": "list or clear what later runs read",
}
USAGE = "\n".join(
    [
        "usage: python -m sentence_order COMMAND ...     python -m sentence_order COMMAND --help\n",
        *(f"  {name:11}{summary}" for name, summary in COMMANDS.items()),
        "  --version  show the versions of sentence-order, torch and Hydra",
    ]
)


def main() -> None:
    """The console script `sentence-order`."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        del sys.argv[1]
        import_module(f"sentence_order.{name}").main()
    elif name in ("--help", "-h", "--version"):
        print(version_text() if name == "--version" else USAGE)
    else:
        from sentence_order.config.cli import exit_with_error

        exit_with_error(f"unknown command {name!r}. Available: {', '.join(COMMANDS)}", 2)


if __name__ == "__main__":
    main()
