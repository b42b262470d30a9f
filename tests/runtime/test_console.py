"""Log lines show what files contain without obeying it."""

import logging
from pathlib import Path

import pytest

from sentence_order.runtime.console import add_log_file, log, log_error_to_file, set_up_logging


@pytest.mark.usefixtures("console_log")
def test_control_characters_in_log_lines_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Such as a document's id that would set the title of the terminal, clear it, or forge a line."""
    set_up_logging()
    add_log_file(tmp_path / "train.log")
    logging.getLogger("sentence_order.data").info("document %s", "a\x1b]0;title\x07\x1b[2J\x9b31m\r\n12:00:00 forged")
    log_error_to_file("Traceback:\n  line\x1b[2J")
    for handler in log.handlers:
        handler.close()
    shown = r"document a\x1b]0;title\x07\x1b[2J\x9b31m\r\n12:00:00 forged"
    assert capsys.readouterr().err.splitlines()[-1].endswith(shown)
    first, *traceback = (tmp_path / "train.log").read_text().splitlines()[-3:]
    assert first.endswith(shown)
    assert [line.split("ERROR ")[-1] for line in traceback] == ["Traceback:", r"  line\x1b[2J"]
