"""How a run looks in TensorBoard: its tags, the page of custom scalars and the table of hyper-parameters."""

import os
import re
from collections.abc import Sequence

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from torch.utils.tensorboard.summary import custom_scalars, hparams

from sentence_order.config.commands import SWEPT_VARIABLE, key_of
from sentence_order.config.keys import flatten_config, key_infos
from sentence_order.config.schema import TrainConfig
from sentence_order.config.summary import describe_frozen, describe_losses

# The charts of custom scalars. TensorBoard shows those of the first kind from the last to the first.
QUALITY = {
    "accuracy": ["validation/accuracy"],
    "perfect match ratio": ["metrics/pmr"],
    "Kendall's tau": ["metrics/tau"],
    "loss per pair: ■ train, ◆ validation": ["loss/train", "loss/validation"],
}
TRAINING = {  # by regular expression
    "learning rates": ["train/lr/.*"],
    "gradient norm": ["train/gradient_norm$"],
    "documents per second": ["train/documents_per_second$"],
}
# The scalars beside the settings in the table of hyper-parameters: test metrics, and totals of the training.
TOTALS = ("total/seconds_in_steps", "total/parameters_trained")
HPARAMS_METRICS = ("test/tau", "test/pmr", "test/accuracy", *TOTALS)
NUMBER_WIDTH = 7  # of numbers in columns of text


def tensorboard_tag(name: str) -> str:
    """The tag in TensorBoard of a number that is called `name` in metrics.jsonl.

    TensorBoard groups its cards by the first part of a tag, sorts groups and cards, and opens the first two groups:
    `loss`, and `metrics` with tau, also by group, and few others, which would come before it. The other names stay, and
    sort behind these.
    """
    split, metric, *group = name.split("/")
    if metric == "loss" and split in ("train", "validation"):
        return "/".join(["loss", split, *group])
    if name == "validation/pmr" or (split, metric) == ("validation", "tau"):
        return "/".join(["metrics", metric, *group])
    return name


def make_layout() -> Summary:
    """What arranges the page of custom scalars.

    All curves of a run have one colour. A margin chart, here with margins of nil, marks them in the order of its
    series, so that a title can say which is which; it does not smooth, and cuts no outlier off up to 13 points.
    """
    margins = layout_pb2.MarginChartContent
    quality = [
        layout_pb2.Chart(title=title, margin=margins(series=[margins.Series(value=t, lower=t, upper=t) for t in tags]))
        for title, tags in QUALITY.items()
    ]
    training = [
        layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags))
        for title, tags in TRAINING.items()
    ]
    charts = {"quality": quality, "training": training}.items()
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title=name, chart=chart) for name, chart in charts])
    summary = custom_scalars({})
    summary.value[0].tensor.string_val[0] = layout.SerializeToString()  # torch makes no margin chart of two series
    return summary


def make_hparams(config: TrainConfig, frozen: Sequence[str], overrides: Sequence[str]) -> tuple[Summary, ...]:
    """What adds a run to the table of hyper-parameters: what is frozen, its seed, and the settings of `overrides`.

    The table has the columns of its first run, so a sweep's jobs need the same ones, also for keys that no other run
    shows; and a column has one type.
    """
    names = [key_of(text) for text in overrides]
    swept = os.environ.get(SWEPT_VARIABLE, "").split()
    typed = {*names, *(f"{name}.name" for name in names)}  # `encoder=tiny` sets `encoder.name`
    own, infos = flatten_config(config), key_infos(TrainConfig)
    # Short, for narrow columns, and numbers of one width, for sorting.
    depth = re.sub(r" layers?$", "", describe_frozen(own, frozen))
    depth = re.sub(r"\d+", lambda number: number[0].rjust(2), depth)
    settings = {"frozen": "(none)" if depth == "none" else depth, "seed": config.seed}  # "(" sorts before letters
    if any(name.split(".")[0] == "loss" for name in names):
        settings["loss"] = describe_losses(own)
    settings |= {key: text.partition("=")[2] for key, text in zip(names, overrides, strict=True) if key in swept}
    for key, value in own.items():
        if key in swept or (infos[key].in_hparams and key in typed):
            # Text if it may be a number or something else; of one width, so that numbers sort.
            text = f"{value:>{NUMBER_WIDTH}}" if type(value) is int else str(value)
            settings[key] = value if infos[key].kind in (int, float, bool) or infos[key].found_once else text
    return tuple(hparams(settings, dict.fromkeys(HPARAMS_METRICS)))
