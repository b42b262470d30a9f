"""Writes the pages that are made of others or of the code: python -m docs.generate

configuration.md is made of the schema's metadata and the headers of the YAML files, as `--help` is; python_api.md of
signatures and docstrings, which are read without importing them; the table of names in from_other_libraries.md of the
aliases; and a notebook of the page on training from Python.
"""

import ast
import json
import re
import textwrap
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from sentence_order.config.aliases import ALIASES
from sentence_order.config.help import compose_typed, describe_groups, read_options
from sentence_order.config.keys import KeyInfo, OnResume, key_infos
from sentence_order.config.schema import SCHEMAS

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {"train": "Training", "evaluate": "Evaluating", "predict": "Predicting", "demo": "The page"}
# Groups whose keys are those of training in every command.
SAME_KEYS = ("data", "cache")
# The public Python API: classes and functions, by the files that define them.
API = {
    "sentence_order/training/run_dir.py": ["load_config"],
    "sentence_order/training/run.py": ["Trainer"],
    "sentence_order/training/results.py": ["TrainResult"],
    "sentence_order/training/callbacks.py": ["Callback"],
    "sentence_order/training/state.py": ["TrainerState"],
    "sentence_order/inference/orderer.py": ["SentenceOrderer"],
    "sentence_order/inference/ordering.py": ["Prediction"],
    "sentence_order/inference/details.py": ["RankedOrder", "OrderProbability", "DoubtedPair"],
    "sentence_order/evaluation/evaluate_documents.py": ["evaluate_documents", "EvaluationResult"],
    "sentence_order/errors.py": ["UserError", "TrainingError", "Interrupted"],
}
MAX_SIGNATURE = 100
ABOUT_NAMES = """\
<!-- Made by `python -m docs.generate` from sentence_order/config/aliases.py. -->

| there | here |
|---|---|"""

ABOUT_CONFIGURATION = """\
# Configuration

<!-- Made by `python -m docs.generate` from sentence_order/config/schema.py and the headers of configs/*/*.yaml. -->

Every command takes options of groups (`encoder=bert_base`) and keys (`trainer.epochs=3`), in any order. What is typed
wins over what an option sets; the defaults below are those of the default options (such as `data=synthetic`). `null`
unsets a key, a list is `[a,b]`, and a value with special characters has quotes that the shell leaves in place:
`'data.train="my stories.jsonl"'`. A mistake is reported in one line that names the key and what is accepted.

The same texts in a terminal, for all groups and keys or for some, with the values that the other arguments give them:

    python -m sentence_order.train --help
    python -m sentence_order.train encoder=tiny --help encoder optim.warmup
"""
ABOUT_RESUMING = """\
## What may change when a run resumes

`resume=RUN` alone resumes a run with its own config. Of the keys that are typed beside it, these may differ from the
run's, and the log says so: {}.

The documents of `data.train`, `data.validation` and `data.test` must be the same ones, wherever they lie now. All other
keys must be as they were, since they determine what is learned; one that differs is refused by its name.
"""
ABOUT_API = """\
# Python API

<!-- Made by `python -m docs.generate` from the docstrings. -->

How they go together: [training from Python](training_from_python.md). `sentence_order.__version__` is the version that
is installed. `import sentence_order` is fast; PyTorch is imported with the first class or function that needs it.
`Documents` are an iterable, such as a list or a `datasets.Dataset`, of lists of sentences or of dicts.
"""
NOTEBOOK = "docs/notebooks/training.ipynb"


def pages() -> dict[Path, str]:
    """The text of every page that is made."""
    made = {"configuration": configuration(), "python_api": python_api(), "from_other_libraries": other_libraries()}
    return {**{ROOT / f"docs/{name}.md": text for name, text in made.items()}, ROOT / NOTEBOOK: notebook()}


def configuration() -> str:
    """Every group with its options, and every key, of every command."""
    infos = key_infos(SCHEMAS["train"])
    changeable = ", ".join(f"`{key}`" for key, info in infos.items() if info.on_resume is OnResume.CHANGEABLE)
    commands = chain.from_iterable(map(_command, COMMANDS))
    return "\n".join([ABOUT_CONFIGURATION, *(f"{part}\n" for part in commands), ABOUT_RESUMING.format(changeable)])


def other_libraries() -> str:
    """The page as it is, with the table of the names that the commands answer."""
    page = (ROOT / "docs/from_other_libraries.md").read_text(encoding="utf-8")
    rows = [
        f"| {', '.join(f'`{name}`' for name in names.split())} | {_answer(text)} |" for text, names in ALIASES.items()
    ]
    table = "\n".join([ABOUT_NAMES, *rows])
    return re.sub(rf"{re.escape(ABOUT_NAMES)}.*?(?=\n\n)", lambda _: table, page, flags=re.DOTALL)


def _answer(text: str) -> str:
    """An answer of the table of names, with what can be typed as code."""
    target, *notes = re.sub(r"\{\}", "VALUE", text).split("; ")
    marked = re.sub(r"[a-z_]+(?:\.\w+)*=\S+", lambda word: f"`{word[0]}`", "; ".join(notes))
    is_override = re.match(r"[\w.]+=", target)
    return "; ".join(filter(None, [f"`{target}`" if is_override else target, marked]))


def _command(name: str) -> Iterator[str]:
    values, choices = compose_typed(name, [])
    infos = key_infos(SCHEMAS[name])
    yield f"## {COMMANDS[name]}\n\nKeys of `python -m sentence_order.{name}` that belong to no group:"
    yield _key_table({key: info for key, info in infos.items() if "." not in key}, values)
    for group, text in describe_groups(name).items():
        keys = {key: info for key, info in infos.items() if key.startswith(f"{group}.")}
        yield f"### {COMMANDS[name]}: {group}\n\n{text} Default: `{choices[group]}`."
        own = name == "train" or group not in SAME_KEYS
        if name == "train":
            yield _option_table(group)
        else:
            yield f"Options{'' if own else ' and keys'}: see [training](#training-{group})."
        if keys and own:
            yield _key_table(keys, values)


def _option_table(group: str) -> str:
    rows = [["option", "what it is"]]
    for option, (command, text) in read_options(group).items():
        has_more = not command.endswith(f" {group}={option}")
        example = f" Example: `{command.partition('sentence_order.')[2]}`." if has_more else ""
        rows.append([f"[`{option}`](../configs/{group}/{option}.yaml)", f"{text.removesuffix('.')}.{example}"])
    return _table(rows)


def _key_table(infos: dict[str, KeyInfo], values: dict[str, str]) -> str:
    rows = [["key", "default", "meaning", "accepts"]]
    for key, info in infos.items():
        value = values[key].partition("=")[2]
        rows.append([f"`{key}`", "required" if value == "VALUE" else f"`{value}`", info.help, info.accepted])
    return _table(rows)


def _table(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])


def notebook() -> str:
    """The page on training from Python as a notebook: its texts, and its blocks of Python as cells to run."""
    page = (ROOT / "docs/training_from_python.md").read_text(encoding="utf-8")
    page = re.sub(r"\]\((?!https?:|#)", "](../", page.partition("\nNext: ")[0])
    cells: list[dict[str, Any]] = []
    for number, part in enumerate(re.split(r"```(?:python)?\n", page)):
        kind = ("markdown", "code")[number % 2]
        more = {"execution_count": None, "outputs": []} if kind == "code" else {}
        source = part.strip("\n").splitlines(keepends=True)
        cells.append({"cell_type": kind, "id": f"cell-{number}", "metadata": {}, **more, "source": source})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def python_api() -> str:
    """The public classes with their fields and methods, and the public functions."""
    parts = [ABOUT_API]
    for file, names in API.items():
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        found = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        for name in names:
            parts += [f"## {name}\n", _code(f"from sentence_order import {name}")]
            node = found[name]
            if isinstance(node, ast.FunctionDef):
                parts += [_code(_signature(node)), _markdown(node)]
                continue
            methods = {method.name: method for method in node.body if isinstance(method, ast.FunctionDef)}
            if "Args:" in (ast.get_docstring(node) or ""):  # those of its making
                parts.append(
                    _code(_signature(methods["__init__"]).replace("__init__", name, 1).removesuffix(" -> None"))
                )
            parts.append(_markdown(node))
            for method in methods.values():
                if not method.name.startswith("_") and ast.get_docstring(method):
                    parts += [f"### {name}.{method.name}\n", _code(_signature(method)), _markdown(method)]
    return "\n".join(parts)


def _signature(method: ast.FunctionDef) -> str:
    """The method as it is called, on one line, or with a line for each argument."""
    given, returns = method.args, f" -> {ast.unparse(method.returns)}" if method.returns else ""
    no_defaults: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
    defaults = [*no_defaults, *given.defaults, *given.kw_defaults]
    texts = [
        ast.unparse(argument) + (f" = {ast.unparse(default)}" if default else "")
        for argument, default in zip([*given.args, *given.kwonlyargs], defaults, strict=True)
    ]
    if given.vararg:
        texts.insert(len(given.args), f"*{ast.unparse(given.vararg)}")
    elif given.kwonlyargs:
        texts.insert(len(given.args), "*")
    if given.kwarg:
        texts.append(f"**{ast.unparse(given.kwarg)}")
    if texts[0] in ("self", "cls"):
        del texts[0]
    line = f"{method.name}({', '.join(texts)}){returns}"
    if len(line) <= MAX_SIGNATURE:
        return line
    return "\n".join([f"{method.name}(", *(f"    {text}," for text in texts), f"){returns}"])


def _markdown(node: ast.ClassDef | ast.FunctionDef) -> str:
    """A docstring as Markdown: its lists of arguments and attributes as lists, its examples as code."""
    parts = []
    for block in re.split(r"\n\n", ast.get_docstring(node) or ""):
        title, _, rest = block.partition("\n")
        if title in ("Args:", "Attributes:"):
            entries = re.split(r"\n(?=\S)", textwrap.dedent(rest))
            parts.append("".join(re.sub(r"^([\w, *]+): ", r"- `\1`: ", entry) + "\n" for entry in entries))
        elif title == "Example:":
            parts.append(_code(textwrap.dedent(rest), "pycon"))
        else:
            parts.append(block + "\n")
    return "\n".join(parts)


def _code(text: str, language: str = "python") -> str:
    return f"```{language}\n{text}\n```\n"


def main() -> None:
    """Writes the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
