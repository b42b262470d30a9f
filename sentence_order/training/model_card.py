"""The README.md of a checkpoint: how good it is, its training data, its command and its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from omegaconf import OmegaConf

from sentence_order.config.commands import shell
from sentence_order.config.schema import TrainConfig
from sentence_order.data.groups import group_label
from sentence_order.evaluation.metrics import MAIN_METRICS
from sentence_order.evaluation.statistics import format_interval
from sentence_order.model.freezing import BlockReport
from sentence_order.runtime.files import atomic_file
from sentence_order.runtime.manifest import CARD_FILE

USAGE = f"""\
```python
from sentence_order import SentenceOrderer

orderer = SentenceOrderer.from_pretrained("PATH_OF_THIS_FOLDER")
orderer.order(["He ate it.", "Tom baked a cake."])  # the indices of the sentences, in predicted order
```

    {shell("predict", "checkpoint=PATH_OF_THIS_FOLDER", "input=FILE")}
"""


@dataclass(frozen=True)
class ModelCardContext:
    """What the cards of all checkpoints of a run have in common."""

    config: TrainConfig
    blocks: list[BlockReport]
    corpora: dict[str, str]  # a description of each split
    command: str  # repeats the run
    revision: str | None  # of the source tree, if the program runs from one


def write_card(folder: Path, context: ModelCardContext, step: int, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the card of a checkpoint; `results` are, by split, metrics with intervals and the number of documents."""
    revision = f", at revision {context.revision}" if context.revision else ""
    trained = ", ".join(block.name for block in context.blocks if block.trained_from is not None)
    frozen = ", ".join(block.name for block in context.blocks if block.trained_from is None) or "nothing"

    lines = [
        "---",
        _metadata(context.config, results),
        "---",
        "",
        f"# A sentence orderer over {context.config.encoder.name}",
        "",
        "Given the shuffled sentences of a text, it predicts their order.",
        "",
        USAGE,
        "## Evaluation",
        "",
        *_metric_table(results),
        "",
        "Values with 95 % intervals: bootstrap over documents, each of which is shuffled by a fixed permutation.",
        "",
        "## Training data",
        "",
        *(f"- {name}: {description}" for name, description in context.corpora.items()),
        "",
        "## Training",
        "",
        f"After {step:,} steps of this command{revision}",
        "",
        f"    {context.command}",
        "",
        f"Trained: {trained}. Frozen: {frozen}. The whole configuration:",
        "",
        "```yaml",
        OmegaConf.to_yaml(OmegaConf.structured(context.config)).rstrip(),
        "```",
    ]
    with atomic_file(folder / CARD_FILE) as stream:
        stream.write("\n".join(lines) + "\n")


def _metadata(config: TrainConfig, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The card's YAML header, which the hub reads."""
    encoder = config.encoder.name
    corpus = config.data.hub_id or (config.data.source.value if config.data.source else "unknown")
    scores = [
        EvalResult(
            task_type="sentence-ordering",
            dataset_type=corpus,
            dataset_name=f"{corpus}, {split}",
            dataset_split=split,
            metric_type=metric,
            metric_value=round(found[metric]["value"], 4),
        )
        for split, found in results.items()
        for metric in MAIN_METRICS
    ]
    data = ModelCardData(
        library_name="sentence_order",
        tags=["sentence-ordering"],
        base_model=encoder if encoder.count("/") == 1 and not encoder.startswith((".", "~")) else None,
        model_name=f"sentence_order, {encoder}" if scores else None,
        eval_results=scores or None,
    )
    return str(data.to_yaml())


def _metric_table(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not results:
        return ["It has not been evaluated yet."]
    lines = ["| split | documents | " + " | ".join(MAIN_METRICS) + " |", "|---|---|" + "---|" * len(MAIN_METRICS)]
    for split, found in results.items():
        groups = {f"{split}, {group_label(own['group'])}": own for own in found.get("by_group", ())}
        for name, own in {split: found, **groups}.items():
            cells = " | ".join(format_interval(own[metric]) for metric in MAIN_METRICS)
            lines.append(f"| {name.replace('|', '&#124;')} | {own['documents']:,} | {cells} |")
    return lines
