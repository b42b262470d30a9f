"""The README.md of a checkpoint: what it was trained on and how, how good it is, how to use it and to make it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from omegaconf import OmegaConf

from sentence_order.commands import shell
from sentence_order.config import TrainConfig
from sentence_order.files import atomic_file
from sentence_order.metrics import MAIN_METRICS
from sentence_order.model.freezing import BlockReport
from sentence_order.statistics import told

CARD_FILE = "README.md"


@dataclass(frozen=True)
class CardFacts:
    """What the cards of all checkpoints of a run tell alike.

    Attributes:
        corpora: what each split holds, by its name.
        command: what makes the run again.
        revision: of the source tree, where it runs from one.
    """

    config: TrainConfig
    blocks: list[BlockReport]
    corpora: dict[str, str]
    command: str
    revision: str | None


def write_card(folder: Path, facts: CardFacts, step: int, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the card of the checkpoint in `folder`, taken at `step`.

    Args:
        results: by split, what was found of it: metrics with intervals (`statistics.with_intervals`), and `documents`.
    """
    with atomic_file(folder / CARD_FILE) as stream:
        stream.write(_card(facts, step, results))


def _card(facts: CardFacts, step: int, results: Mapping[str, Mapping[str, Any]]) -> str:
    config = facts.config
    encoder = config.encoder.name
    named = config.data.hub_id or config.data.source.value
    scores = [
        EvalResult(
            task_type="sentence-ordering",
            dataset_type=named,
            dataset_name=f"{named}, {split}",
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
    trained = [block.name for block in facts.blocks if block.trained_from is not None]
    frozen = [block.name for block in facts.blocks if block.trained_from is None]
    lines = [
        "---",
        data.to_yaml(),
        "---",
        "",
        f"# A sentence orderer over {encoder}",
        "",
        "Given the shuffled sentences of a text, it recovers their order.",
        "",
        "```python",
        "from sentence_order import SentenceOrderer",
        "",
        'model = SentenceOrderer.from_pretrained("PATH_OF_THIS_FOLDER")',
        'model.order(["He ate it.", "Tom baked a cake."])  # the indices of the sentences, in predicted order',
        "```",
        "",
        f"    {shell('predict', 'checkpoint=PATH_OF_THIS_FOLDER', 'input=FILE')}",
        "",
        "## How good it is",
        "",
        *_metric_table(results),
        "",
        "Values with 95 % intervals: bootstrap over documents, each of which is shuffled by a fixed permutation.",
        "",
        "## What it was trained on",
        "",
        *(f"- {name}: {told}" for name, told in facts.corpora.items()),
        "",
        "## How",
        "",
        f"After {step:,} steps of this command" + (f", at revision {facts.revision}" if facts.revision else ""),
        "",
        f"    {facts.command}",
        "",
        f"Trained: {', '.join(trained)}. Frozen: {', '.join(frozen) or 'nothing'}. The whole configuration:",
        "",
        "```yaml",
        OmegaConf.to_yaml(OmegaConf.structured(config)).rstrip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _metric_table(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not results:
        return ["It has not been evaluated yet."]
    lines = ["| split | documents | " + " | ".join(MAIN_METRICS) + " |", "|---|---|" + "---|" * len(MAIN_METRICS)]
    for split, found in results.items():
        cells = [told(found[metric]) for metric in MAIN_METRICS]
        lines.append(f"| {split} | {found['documents']:,} | {' | '.join(cells)} |")
    return lines
