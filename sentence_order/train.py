"""Trains a sentence orderer, or many: python -m sentence_order.train [overrides] [sweep=NAME | -m]."""

import signal

from hydra.core.hydra_config import HydraConfig

from sentence_order import cli
from sentence_order.checks import check_train
from sentence_order.config import TrainConfig
from sentence_order.training.folder import taken_up


def train(config: TrainConfig, readers: int = 1) -> None:
    """One run, from the config to `results.json`; see `training/run.py`."""
    typed = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    config = taken_up(config, list(typed))
    check_train(config)
    # The heavy imports wait until the configuration is known to be good.
    if config.debug.replay:
        from sentence_order.training.nonfinite import replay

        replay(config)
    else:
        from sentence_order.training.run import run

        run(config, readers)


def main() -> None:
    """The console script `sentence-order-train`."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to save
    cli.run("train", train)


if __name__ == "__main__":
    main()
