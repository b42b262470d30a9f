"""The grid of a sweep, before its first job: depths of freezing made from the encoder, and jobs that cannot exist."""

import itertools
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import hydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from sentence_order.config import cli
from sentence_order.config.commands import key_of, parse_override
from sentence_order.config.parsing import initialized_hydra, parse_flags, search_path
from sentence_order.config.schema import EncoderConfig, TrainConfig
from sentence_order.errors import UserError, counted
from sentence_order.experiments.job import print_line
from sentence_order.model.freezing import first_joint_layer, freeze_phases
from sentence_order.model.locations import find_depth, shares_layers

DEPTH = "freeze.depth"
# Its value in the file of a sweep: the depths that the encoder has.
FROM_ENCODER = "from_encoder"
ENCODER_GROUPS = ("encoder", "experiment", "debug")  # whose options and keys may say which encoder it is
MAX_NUMBERS = 6  # of depths between the embeddings and the whole encoder
MAX_CHECKED = 64  # combinations of values, which take a tenth of a second each


def swept_keys(
    sweeper: Any, swept: Mapping[str, list[str] | None], fixed: Collection[str]
) -> dict[str, list[str] | None]:
    """All swept keys with their values, if known: those of the sweep's own file, `sweeper.params`, come first.

    The command line sweeps over `swept`, and gives `fixed` one value.
    """
    params = {str(key): value for key, value in (sweeper.get("params") or {}).items() if key not in fixed}
    own = {key: parse_override(f"{key}={value}") for key, value in params.items()}
    found = {key: values_of(one) for key, one in own.items() if one and one.is_sweep_override()} | {**swept}
    return {key: found[key] for key in (*own, *found) if key in found}


def values_of(override: Override) -> list[str] | None:
    """The values that an override sweeps over, if they are known."""
    return list(override.sweep_string_iterator()) if override.is_discrete_sweep() else None


def check_grid(words: list[str], swept: Mapping[str, list[str] | None], fixed: Collection[str]) -> list[str] | None:
    """Raises UserError if jobs of a sweep are the same run, or name layers that their encoder does not have.

    Returns the depths of freezing, if the sweep's file leaves these to the encoder. `swept`, `fixed`: see `swept_keys`.
    """
    folder = parse_flags(words).config_dir
    given = [*search_path([folder] if folder else []), *(text for text in words if key_of(text) in fixed)]
    try:
        with initialized_hydra():
            sweeper = hydra.compose("train", given, return_hydra_config=True).hydra.sweeper
        keys = swept_keys(sweeper, swept, fixed)
        leaves_depths = DEPTH not in {*keys, *fixed} and (sweeper.get("params") or {}).get(DEPTH) == FROM_ENCODER
    except (HydraException, OmegaConfBaseException, ValueError, OSError):  # of which Hydra complains when it starts
        return None

    configs = [*_configs(given, keys, ENCODER_GROUPS if leaves_depths else (*ENCODER_GROUPS, "freeze"))]
    _check_distinct(configs, [*keys, *fixed])
    if leaves_depths:
        return _choose_depths([config.encoder for config, _ in configs])
    for config, job in configs:
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
    if any(map(shares_layers, encoders)):
        depths, why = ["none", "embeddings", "all"], "the layers of an encoder share their weights"
    elif len(counts) == 1 and (layers := counts.pop()):
        depths, why = depths_of(layers), f"the encoder has {counted(layers, 'layer')}"
    else:
        depths, why = ["none", "embeddings", "half", "all"], "the encoders differ in their numbers of layers"
    print_line(f"{DEPTH}={','.join(depths)}: {why}")
    return depths


def _check_distinct(configs: list[tuple[TrainConfig, str]], keys: list[str]) -> None:
    """Raises UserError for two jobs that are the same run: `keys` replace what the options of a group say."""
    jobs: dict[str, str] = {}
    for config, job in configs:
        run = repr(replace(config, output_dir=""))  # whose default names the second
        if (first := jobs.setdefault(run, job)) != job:
            groups = {override.partition("=")[0] for override in job.split()}
            replacing = next((key for key in keys if key.partition(".")[0] in groups - {key}), None)
            hint = f"{replacing} replaces what they differ in; sweep over it alone: -m {replacing}=A,B"
            raise UserError(f"the jobs {first} and {job} are the same run{f': {hint}' if replacing else ''}")


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
    given: list[str], keys: Mapping[str, list[str] | None], groups: tuple[str, ...]
) -> Iterator[tuple[TrainConfig, str]]:
    """The configs of a sweep that differ in some groups, each with the overrides that distinguish it."""
    chosen = {key: own for key, own in keys.items() if key.split(".")[0] in groups and own}
    for combination in itertools.islice(itertools.product(*chosen.values()), MAX_CHECKED):
        job = [f"{key}={value}" for key, value in zip(chosen, combination, strict=True)]
        with suppress(UserError):  # the job will fail
            yield cli.compose("train", [*given, *job]), " ".join(job)
