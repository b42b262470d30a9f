"""Log lines show what files contain without obeying it, progress is lines without a terminal, and nobody need read."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sentence_order.runtime.console import add_log_file, console, log, log_error_to_file, progress_bar, set_up_logging


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


@pytest.mark.usefixtures("console_log")
def test_without_a_terminal_progress_is_a_line_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging()
    clock = iter(range(0, 10_000, 4))
    monkeypatch.setattr(console, "get_time", lambda: float(next(clock)))
    with progress_bar() as bar:
        task = bar.add_task("training", total=40, unit="steps", note="")
        for _ in range(40):
            bar.update(task, advance=1, note="loss 0.500")
    lines = capsys.readouterr().err.splitlines()
    assert 3 < len(lines) < 40
    assert re.search(
        r" training: steps \d+ of 40 \(\d+%\), loss 0.500, \d\.\d per second, about 0:0\d:\d\d left$", lines[1]
    )
    assert not any("\x1b" in line or "\r" in line for line in lines)


@pytest.mark.usefixtures("console_log")
def test_progress_of_an_unknown_length(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging()
    monkeypatch.setattr("sentence_order.runtime.console.LINE_SECONDS", 0)
    with progress_bar(transient=True) as bar:
        bar.advance(bar.add_task("reading train", total=None, unit="documents", note=""), 1000)
    assert capsys.readouterr().err.endswith("reading train: documents 1,000\n")


@pytest.mark.parametrize(("columns", "width"), [({}, 100), ({"COLUMNS": "70"}, 70)])
def test_without_a_terminal_tables_have_a_fixed_width(columns: dict[str, str], width: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | columns
    line = [sys.executable, "-c", "from sentence_order.runtime.console import console; print(console.width)"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{width}\n", done.stderr


@pytest.mark.parametrize(
    "sweep",
    [(), *(pytest.param(line, marks=pytest.mark.slow) for line in (("-m",), ("-m", "hydra/launcher=joblib")))],
    ids=" ".join,
)
def test_training_goes_on_when_nobody_reads_the_console(tmp_path: Path, sweep: tuple[str, ...]) -> None:
    """Its log has every line, and it ends as it would have ended."""
    if "hydra/launcher=joblib" in sweep:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra 'slow' is not installed")
    small = (*(f"data.limit_{split}=9" for split in ("train", "validation", "test")), "trainer.max_steps=2")
    line = [sys.executable, "-m", "sentence_order.train", *sweep, "debug=smoke", *small, "output_dir=out"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(line, cwd=tmp_path, env=dict(os.environ), stdout=writer, stderr=writer, timeout=280)
    os.close(writer)
    assert done.returncode == 0
    run = tmp_path / "out" / ("run" if sweep else "")
    assert (run / "results.json").exists()
    assert "best tau at step" in (run / "train.log").read_text()
    assert (tmp_path / "out" / "report" / "report.md").exists() == bool(sweep)
