"""Takes the pictures of TensorBoard's pages beside this file: python docs/pictures/make_tensorboard.py LOGDIR

LOGDIR is a folder of finished runs. Needs Chromium, and `pip install playwright`.
"""

import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

OUTLIERS = "Ignore outliers in chart scaling"  # with which TensorBoard cuts off the ends of short curves
PAGES = {"time_series": "timeseries", "custom_scalars": "custom_scalars", "hparams": "hparams", "text": "text"}


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "neither chromium nor google-chrome is installed"
    folder = Path(sys.argv[1]).absolute()  # the pages name it as it is given: not by its path on this machine
    line = [sys.executable, "-m", "tensorboard.main", "--logdir", folder.name, "--port", "0", "--load_fast", "false"]
    server = subprocess.Popen(line, cwd=folder.parent, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        address = next(found[0] for text in server.stderr if (found := re.search(r"http://\S+:\d+/", text)))
        while urllib.request.urlopen(f"{address}data/runs").read().strip() == b"[]":
            time.sleep(0.5)
        time.sleep(10)  # until all events are read
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(device_scale_factor=0.75)
            for name, part in PAGES.items():
                # The table is wider than the charts, and three texts leave space below.
                size = {"width": 1760 if name == "hparams" else 1600, "height": 700 if name == "text" else 1000}
                page.set_viewport_size(size)
                page.goto("about:blank")
                page.goto(f"{address}#{part}")
                page.wait_for_timeout(8000)  # until its charts are drawn
                if name in ("time_series", "custom_scalars"):
                    page.get_by_text(OUTLIERS).click()
                if name == "time_series":
                    page.locator("input[type=number]").first.fill("0")  # the smoothing
                page.wait_for_timeout(2000)
                page.screenshot(path=Path(__file__).with_name(f"tensorboard_{name}.png"))
    finally:
        server.kill()


if __name__ == "__main__":
    main()
