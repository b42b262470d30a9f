"""Trains a sentence orderer, or many: python -m sentence_order.train [overrides] [sweep=NAME | -m]."""

from sentence_order import cli
from sentence_order.checks import check_train
from sentence_order.config import TrainConfig


def train(config: TrainConfig, readers: int = 1) -> None:
    """One run, from the config to `results.json`; see `training/run.py`."""
    check_train(config)
    # The heavy imports wait until the configuration is known to be good.
    from sentence_order.training.run import run

    run(config, readers)


def main() -> None:
    """The console script `sentence-order-train`."""
    cli.run("train", train)


if __name__ == "__main__":
    main()
