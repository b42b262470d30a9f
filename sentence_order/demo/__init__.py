"""Serves a page that orders text in the browser: python -m sentence_order.demo [checkpoint=DIR]."""

import importlib.util
import os
from pathlib import Path

from sentence_order.config import cli
from sentence_order.config.commands import shell
from sentence_order.config.schema import DemoConfig
from sentence_order.config.validation import check_ranges
from sentence_order.demo.address import choose_address
from sentence_order.errors import UserError
from sentence_order.model.locations import check_checkpoint
from sentence_order.runtime.console import log, set_up_logging
from sentence_order.runtime.threads import spin_briefly

OUTPUTS = Path("outputs")  # where runs are by default


def demo(config: DemoConfig) -> None:
    """Loads a checkpoint and serves the page until it is interrupted."""
    check_ranges(config)
    host, port = choose_address(config, os.environ)
    checkpoint = config.checkpoint or str(find_newest_run(OUTPUTS))
    check_checkpoint(checkpoint, "checkpoint")
    check_gradio()

    # Whatever is imported from gradio later: it reports nothing to its makers.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # The heavy imports wait until the configuration is known to be good.
    from sentence_order.demo.page import build_page, load_orderer, serve_page

    set_up_logging()
    log.info("loading %s%s", checkpoint, "" if config.checkpoint else ", the newest run")
    serve_page(build_page(load_orderer(checkpoint, config.device), checkpoint), host, port)


def find_newest_run(folder: Path) -> Path:
    """The run in a folder, or in its sweeps, whose best checkpoint is the newest. Raises UserError without one."""
    found = [path for level in ("*", "*/*") for path in folder.glob(f"{level}/checkpoints/best/model.safetensors")]
    if not found:
        train = shell("train", f"output_dir={folder / 'first'}")
        raise UserError(f"checkpoint: no run is in {folder}/; name one, or train one in a minute or two: {train}")
    return max(found, key=lambda path: path.stat().st_mtime).parents[2]


def check_gradio() -> None:
    """Raises UserError if the library that serves the page is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the page needs gradio, which is not installed: pip install -e '.[demo]'")


def main() -> None:
    """The console script `sentence-order-demo`."""
    spin_briefly()
    cli.run("demo", demo)
