"""The README.md of a checkpoint: how good it is, its training data, its command and its configuration."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from omegaconf import DictConfig, ListConfig, OmegaConf

from sentence_order.config.commands import key_of, override, parse_override, shell
from sentence_order.config.keys import flatten_config
from sentence_order.config.schema import TrainConfig
from sentence_order.data.groups import group_label
from sentence_order.evaluation.metrics import MAIN_METRICS
from sentence_order.evaluation.statistics import format_interval
from sentence_order.model.freezing import BlockReport
from sentence_order.model.locations import is_hub_id
from sentence_order.runtime.files import atomic_file
from sentence_order.runtime.manifest import CARD_FILE

USAGE = f"""\
```python
from sentence_order import SentenceOrderer

orderer = SentenceOrderer.from_pretrained("PATH_OF_THIS_FOLDER")
orderer.order(["He ate it.", "Tom baked a cake."])  # the indices of the sentences, in predicted order
```

    {shell("predict", "checkpoint=PATH_OF_THIS_FOLDER", "input=FILE")}"""

LICENCE = """\
Trained with sentence_order, a program under the Apache-2.0 licence. The licence of these weights is their author's to
state, as `license` in the header of this file."""


@dataclass(frozen=True)
class ModelCardContext:
    """What the cards of all checkpoints of a run have in common."""

    config: TrainConfig
    blocks: list[BlockReport]
    corpora: dict[str, str]  # a description of each split
    overrides: Sequence[str]  # of the command that repeats the run
    arguments: Sequence[str] | None  # by which a program has passed documents; None for a run of a command
    revision: str | None  # of the source tree, if the program runs from one


def write_card(folder: Path, context: ModelCardContext, step: int, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the card of a checkpoint; `results` are, by split, metrics with intervals and the number of documents.

    Cards are published: instead of a path on this machine they show the name of the file or folder.
    """
    config = OmegaConf.structured(context.config)
    for key, value in flatten_config(context.config).items():
        if (name := _without_folder(value)) != value:
            OmegaConf.update(config, key, name)
    overrides = [_override_without_folder(text) for text in context.overrides]
    found = override("trainer.batch_tokens", config.trainer.batch_tokens)  # which may have been auto
    overrides = [found if key_of(text) == "trainer.batch_tokens" else text for text in overrides]
    if context.arguments is None:
        how, lines = "this command", textwrap.indent(shell("train", *overrides), "    ")
    else:
        how, lines = "these lines", f"```python\n{_program(overrides, context.arguments)}\n```"
    revision = f", at revision {context.revision}" if context.revision else ""
    trained = ", ".join(block.name for block in context.blocks if block.trained_from is not None)
    frozen = ", ".join(block.name for block in context.blocks if block.trained_from is None) or "nothing"

    paragraphs = [
        f"---\n{_metadata(config, results)}\n---",
        f"# Sentence orderer based on {config.encoder.name}",
        "Given the shuffled sentences of a text, it predicts their order.",
        USAGE,
        "## Evaluation",
        _metric_table(results),
        "Values with 95 % intervals: bootstrap over documents, each of which is shuffled by a fixed permutation.",
        "## Training data",
        "\n".join(f"- {name}: {description}" for name, description in context.corpora.items()),
        "## Training",
        f"After {step:,} steps of {how}{revision} (files and folders by their names only)",
        lines,
        f"Trained: {trained}. Frozen: {frozen}. The whole configuration:",
        f"```yaml\n{OmegaConf.to_yaml(config)}```",
        "## Licence",
        LICENCE,
    ]
    with atomic_file(folder / CARD_FILE) as stream:
        stream.write("\n\n".join(paragraphs) + "\n")


def _program(overrides: Sequence[str], arguments: Sequence[str]) -> str:
    """The lines of Python that repeat a run, but for the documents."""
    given = ", ".join(["config", *(f"{name}=..." for name in arguments)])
    return f"""\
from sentence_order import Trainer, load_config

config = load_config({", ".join(map(json.dumps, overrides))})
result = Trainer({given}).train()"""


def _without_folder(value: Any) -> Any:
    """The last part of a path, or of each of a list; ids of the hub, and what is no path, as they are."""
    if isinstance(value, list):
        return [_without_folder(item) for item in value]
    if not isinstance(value, str) or "/" not in value or (is_hub_id(value) and not Path(value).exists()):
        return value
    return Path(value).name


def _override_without_folder(text: str) -> str:
    parsed = parse_override(text)
    value = parsed and parsed.value()
    name = _without_folder(value)
    return text if name == value else override(text.partition("=")[0], name)


def _metadata(config: DictConfig, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The card's YAML header, which the hub reads."""
    data, encoder = config.data, config.encoder.name
    named = {split: data.hub_id or data[split] or data.train or data.source.value for split in results}
    corpora = {split: ", ".join(name) if isinstance(name, ListConfig) else str(name) for split, name in named.items()}
    scores = [
        EvalResult(
            task_type="sentence-ordering",
            dataset_type=corpora[split],
            dataset_name=f"{corpora[split]}, {split}",
            dataset_split=split,
            metric_type=metric,
            metric_value=round(found[metric]["value"], 4),
        )
        for split, found in results.items()
        for metric in MAIN_METRICS
    ]
    header = ModelCardData(
        library_name="sentence_order",
        tags=["sentence-ordering"],
        base_model=encoder if "/" in encoder else None,  # not for a folder, nor for a name of ours
        model_name=f"sentence_order, {encoder}" if scores else None,
        eval_results=scores or None,
    )
    return str(header.to_yaml())


def _metric_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    if not results:
        return "It has not been evaluated yet."
    lines = ["| split | documents | " + " | ".join(MAIN_METRICS) + " |", "|---|---|" + "---|" * len(MAIN_METRICS)]
    for split, found in results.items():
        groups = {f"{split}, {group_label(own['group'])}": own for own in found.get("by_group", ())}
        for name, own in {split: found, **groups}.items():
            cells = " | ".join(format_interval(own[metric]) for metric in MAIN_METRICS)
            lines.append(f"| {name.replace('|', '&#124;')} | {own['documents']:,} | {cells} |")
    return "\n".join(lines)
