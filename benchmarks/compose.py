"""The training config that a benchmark runs with: as `train` would compose it."""

import sys
from typing import NoReturn

from sentence_order.config import cli
from sentence_order.config.schema import TrainConfig
from sentence_order.config.validation import check_train
from sentence_order.errors import UserError

NEVER = 10**9  # for trainer.eval_every: what times steps does not evaluate


def compose(overrides: list[str]) -> TrainConfig:
    """Raises UserError for what `train` would refuse."""
    config: TrainConfig = cli.compose("train", overrides)
    check_train(config)
    return config


def stop(error: UserError) -> NoReturn:
    """One line and exit code 2."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
