"""The training config that a benchmark runs with: as `train` would compose it."""

import sys
from typing import NoReturn

import hydra
from hydra.errors import HydraException

from sentence_order.checks import check_train
from sentence_order.cli import as_hydra_takes_them, one_line
from sentence_order.config import TrainConfig, config_dir, parse_config, register_schemas
from sentence_order.errors import UserError

NEVER = 10**9  # for trainer.eval_every: what times steps does not evaluate


def compose(overrides: list[str]) -> TrainConfig:
    """Raises UserError for what `train` would refuse."""
    register_schemas()
    try:
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            config = parse_config(hydra.compose("train", as_hydra_takes_them(overrides)), TrainConfig)
    except HydraException as error:
        raise UserError(one_line(error, TrainConfig)) from error
    check_train(config)
    return config


def stop(error: UserError) -> NoReturn:
    """One line and exit code 2."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
