"""Orders new text: python -m sentence_order.predict checkpoint=DIR input=FILE|- [output=FILE]."""

from sentence_order.config import cli
from sentence_order.config.schema import PredictConfig
from sentence_order.config.validation import check_ranges
from sentence_order.training.outputs import check_overwrites


def predict(config: PredictConfig) -> None:
    """Reads documents, writes one JSON object per line: `id`, `order`, `sentences` in predicted order, `confidence`.

    Below `threshold` it abstains: `order` is null, and the sentences are in the order of the input.
    """
    check_ranges(config)
    check_overwrites("output", config.output, [config.input, config.checkpoint])
    # The heavy imports wait until the configuration is known to be good.
    from sentence_order.inference.predict_file import predict_file

    predict_file(config)


def main() -> None:
    """The console script `sentence-order-predict`."""
    cli.run("predict", predict)


if __name__ == "__main__":
    main()
