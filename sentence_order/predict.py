"""Orders new text: python -m sentence_order.predict checkpoint=DIR input=FILE|- [output=FILE]."""

from sentence_order import cli
from sentence_order.checks import check_positive
from sentence_order.config import PredictConfig
from sentence_order.errors import UserError
from sentence_order.files import check_output


def predict(config: PredictConfig) -> None:
    """Reads documents, writes one JSON object a line: `id`, `order`, `sentences` in predicted order, `confidence`.

    Below `threshold` it abstains: `order` is null, and the sentences stand as they were given.
    """
    for key in ("batch_tokens", "shuffles"):
        check_positive(key, getattr(config, key))
    if not 0 <= config.threshold <= 1:
        raise UserError(f"threshold: a probability between 0 and 1, not {config.threshold}")
    check_positive("decoder.beam_width", config.decoder.beam_width)
    check_output("output", config.output)
    # The heavy imports wait until the configuration is known to be good.
    from sentence_order.prediction import predict_file

    predict_file(config)


def main() -> None:
    """The console script `sentence-order-predict`."""
    cli.run("predict", predict)


if __name__ == "__main__":
    main()
