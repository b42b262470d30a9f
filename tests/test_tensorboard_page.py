"""TensorBoard's own pages over the runs of a sweep, in a real browser. Set SCREENSHOTS to a folder to keep them."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
NAMES = {f"depth-{depth}_seed-{seed}" for depth in ("none", "2") for seed in (0, 1)}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a TensorBoard over four small runs."""
    place = tmp_path_factory.mktemp("board")
    arguments = ["freeze.depth=none,2", "seed=0,1", "-m", "debug=smoke", "output_dir=sweep"]
    train = [sys.executable, "-m", "sentence_order.train", *arguments]
    subprocess.run(train, cwd=place, env=dict(os.environ), capture_output=True, check=True, timeout=280)
    line = [sys.executable, "-m", "tensorboard.main", "--logdir", "sweep", "--port", "0", "--load_fast", "false"]
    server = subprocess.Popen(line, cwd=place, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        address = next(found[0] for text in server.stderr if (found := re.search(r"http://\S+:\d+/", text)))
        address = re.sub(r"//[^:]+:", "//localhost:", address)
        deadline = time.monotonic() + 60
        while set(_ask(address, "data/runs")) != NAMES and time.monotonic() < deadline:
            time.sleep(0.5)
        yield address
    finally:
        server.kill()


def _ask(address: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_the_data_of_the_pages_has_a_row_for_each_run(board: str) -> None:
    assert set(_ask(board, "data/runs")) == NAMES
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    wanted = {"experimentName": "", "allowedStatuses": statuses, "colParams": [], "startIndex": 0, "sliceSize": 10}
    table: Any = _ask(board, "data/plugin/hparams/session_groups", wanted)
    rows = {row["name"]: row for row in table["sessionGroups"]}
    assert set(rows) == NAMES, "one row per run"
    for row in rows.values():
        assert {value["name"]["tag"] for value in row["metricValues"]} > {"test/tau", "total/seconds_in_steps"}
    assert {row["hparams"]["frozen"] for row in rows.values()} == {"(none)", "embeddings +  2"}
    layout: Any = _ask(board, "data/plugin/custom_scalars/layout")
    assert [category["title"] for category in layout["category"]] == ["quality", "training"]


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no browser: neither chromium nor google-chrome is installed")
@pytest.mark.parametrize("page", ["hparams", "custom_scalars", "timeseries"])
def test_pages_are_not_blank(board: str, tmp_path: Path, page: str) -> None:
    picture = Path(os.environ.get("SCREENSHOTS", tmp_path)) / f"{page}.png"
    browser = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    patient = ["--window-size=1600,1000", "--virtual-time-budget=30000", f"--user-data-dir={tmp_path / 'profile'}"]
    for wanted in (f"--screenshot={picture}", "--dump-dom"):
        line = [*browser, *patient, wanted, f"{board}#{page}"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    if page == "timeseries":  # what the older pages show is hidden from the document's own text
        for text in (*NAMES, "loss/train", "loss/validation", "metrics/tau"):
            assert text in done.stdout, f"the page does not show {text}"
        assert "test/accuracy" not in done.stdout, "cards of one dot come first"
    colours = {tuple(pixel) for pixel in imread(picture)[::7, ::7, :3].reshape(-1, 3).tolist()}
    assert len(colours) > 20, "the page is blank"
