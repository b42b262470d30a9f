"""Orders new text: python -m sentence_order.predict checkpoint=DIR input=FILE|- [output=FILE]."""

from sentence_order import cli
from sentence_order.config import PredictConfig, check_positive
from sentence_order.files import check_output


def predict(config: PredictConfig) -> None:
    """Reads documents, writes one JSON object a line: `id`, `order`, `sentences` in predicted order, `confidence`."""
    check_positive("batch_tokens", config.batch_tokens)
    check_positive("decoder.beam_width", config.decoder.beam_width)
    check_output(config.output)
    # The heavy imports wait until the configuration is known to be good.
    from sentence_order.prediction import predict_file

    predict_file(config)


def main() -> None:
    """The console script `sentence-order-predict`."""
    cli.run("predict", predict)


if __name__ == "__main__":
    main()
