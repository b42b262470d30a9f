"""The grid of a sweep, before its first job: depths of freezing made from the encoder, and jobs that cannot exist."""

import argparse
import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

import hydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from sentence_order.config import cli
from sentence_order.config.commands import override, parse_override
from sentence_order.config.parsing import CONFIG_DIR
from sentence_order.config.schema import EncoderConfig, TrainConfig
from sentence_order.errors import UserError, counted
from sentence_order.experiments.job import print_line
from sentence_order.model.freezing import first_joint_layer, freeze_phases
from sentence_order.model.locations import find_depth

DEPTH = "freeze.depth"
# Its value in the file of a sweep: the depths that the encoder has.
FROM_ENCODER = "from_encoder"
ENCODER_GROUPS = ("encoder", "experiment", "debug")  # whose options and keys may say which encoder it is
MAX_NUMBERS = 6  # of depths between the embeddings and the whole encoder
MAX_CHECKED = 64  # combinations of values, which take a tenth of a second each


def check_grid(words: list[str]) -> list[str] | None:
    """Raises UserError if a job of a sweep's command line names layers that its encoder does not have.

    Returns the depths of freezing, if the sweep's file leaves these to the encoder.
    """
    overrides = {text: parsed for text in words if (parsed := parse_override(text)) is not None}
    keys = {parsed.key_or_group for parsed in overrides.values()}
    swept = {parsed.key_or_group: parsed for parsed in overrides.values() if parsed.is_sweep_override()}
    given = [*_search_path(words), *(text for text, parsed in overrides.items() if not parsed.is_sweep_override())]
    try:
        with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            sweeper = hydra.compose("train", given, return_hydra_config=True).hydra.sweeper
        own = {str(key): str(value) for key, value in (sweeper.get("params") or {}).items() if key not in keys}
    except (HydraException, OmegaConfBaseException, ValueError, OSError):  # of which Hydra complains when it starts
        return None

    parsed_own = {key: parse_override(f"{key}={value}") for key, value in own.items()}
    swept |= {key: parsed for key, parsed in parsed_own.items() if parsed and parsed.is_sweep_override()}
    values = {
        key: [*parsed.sweep_string_iterator()] if parsed.is_discrete_sweep() else [] for key, parsed in swept.items()
    }
    if own.get(DEPTH) == FROM_ENCODER:
        return _choose_depths([config.encoder for config, _ in _configs(given, values, ENCODER_GROUPS)])
    for config, job in _configs(given, values, (*ENCODER_GROUPS, "freeze")):
        _check_layers(config, job)
    return None


def depths_of(layers: int) -> list[str]:
    """Nothing, the embeddings, some depths, and the whole encoder; in steps of one layer for up to six.

    Example:
        >>> depths_of(12)
        ['none', 'embeddings', '2', '4', '6', '8', '10', 'all']
    """
    step = -(-layers // MAX_NUMBERS)
    return ["none", "embeddings", *map(str, range(step, layers, step)), "all"]


def _choose_depths(encoders: list[EncoderConfig]) -> list[str]:
    """The depths for the encoders of a sweep, by number if all have as many layers.

    Raises UserError if no number is known.
    """
    counts = {find_depth(encoder, download=True) for encoder in encoders}
    if counts == {None}:
        raise UserError(
            f"{DEPTH}: the number of layers of {encoders[0].name} is not known, since its config.json is not here, and "
            f"could not be loaded from the hub; name the depths, such as {DEPTH}=none,embeddings,half,all"
        )
    if len(counts) == 1 and (layers := counts.pop()):
        depths, why = depths_of(layers), f"the encoder has {counted(layers, 'layer')}"
    else:
        depths, why = ["none", "embeddings", "half", "all"], "the encoders differ in their numbers of layers"
    print_line(f"{DEPTH}={','.join(depths)}: {why}")
    return depths


def _check_layers(config: TrainConfig, job: str) -> None:
    """Raises UserError if a job names layers that its encoder does not have."""
    try:
        if (layers := find_depth(config.encoder)) is not None:
            freeze_phases(config.freeze, layers)
            first_joint_layer(config.encoder, layers)
    except UserError as error:
        if job:
            error.add_note(f"in the job {job}")
        raise


def _configs(
    given: list[str], values: Mapping[str, list[str]], groups: tuple[str, ...]
) -> Iterator[tuple[TrainConfig, str]]:
    """The configs of a sweep that differ in some groups, each with the overrides that distinguish it."""
    chosen = {key: own for key, own in values.items() if key.split(".")[0] in groups and own}
    for combination in itertools.islice(itertools.product(*chosen.values()), MAX_CHECKED):
        job = [f"{key}={value}" for key, value in zip(chosen, combination, strict=True)]
        with suppress(UserError):  # the job will fail
            yield cli.compose("train", [*given, *job]), " ".join(job)


def _search_path(words: list[str]) -> list[str]:
    """The override that stands for `--config-dir`."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd")
    folder = parser.parse_known_args(words)[0].config_dir
    return [override("hydra.searchpath", [f"file://{os.path.abspath(folder)}"])] if folder else []
