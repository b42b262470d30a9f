"""Compares all decoders on kept scores: python -m sentence_order.decode scores=FILE [output=FILE]."""

from sentence_order import cli
from sentence_order.checks import check_positive
from sentence_order.config import BEAM_WIDTH, DecodeConfig
from sentence_order.files import check_output


def decode(config: DecodeConfig) -> None:
    """Orders the documents of a file that `evaluate scores=FILE` wrote, by every decoder or the one that is named.

    The table goes to standard error; the JSON goes to `output`, or to standard output.
    """
    check_positive("bootstrap_resamples", config.bootstrap_resamples)
    check_positive("decoder.beam_width", config.decoder.beam_width)
    check_positive("seed", config.seed, zero=True)
    check_output("output", config.output)
    from sentence_order.console import console, decoder_table, progress_bar, set_up_logging
    from sentence_order.errors import UserError
    from sentence_order.kept_scores import KeptScores, decode_all
    from sentence_order.results import provenance, put_out

    set_up_logging()
    kept = KeptScores(config.scores)
    names = kept.decoders()
    if config.decoder.name is not None:
        if config.decoder.name.value not in names:
            raise UserError(f"decoder={config.decoder.name.value}: these scores suffice for {', '.join(names)}")
        names = [config.decoder.name.value]
    width = config.decoder.beam_width or BEAM_WIDTH
    with progress_bar() as bar:
        task = bar.add_task("decoding", total=len(names) * len(kept.ids), unit="documents", note="")
        found = {}
        for name in names:
            bar.update(task, note=name)
            found[name] = decode_all(kept, name, width, config.bootstrap_resamples, config.seed)
            bar.advance(task, len(kept.ids))
    console.print(decoder_table(f"{len(kept.ids):,} documents", found))
    record = {"decoders": found, **kept.about, "beam_width": width, **provenance()}
    put_out(record, config.output)


def main() -> None:
    """The console script `sentence-order-decode`."""
    cli.run("decode", decode)


if __name__ == "__main__":
    main()
