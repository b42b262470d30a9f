"""Takes the pictures of the page of sentence_order.demo beside this file: python docs/pictures/make_demo.py ADDRESS

ADDRESS is that of a page that is served. Needs Chromium, and `pip install playwright`.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

# Width and height of the window, and its colours; of the narrow page, the part with the answer.
PICTURES = {"wide": (1280, 1240, "light"), "dark": (1280, 1240, "dark"), "narrow": (360, 1060, "light")}


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "neither chromium nor google-chrome is installed"
    options = ["--no-sandbox"] if os.getuid() == 0 else []  # Chromium has no sandbox for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        for name, (width, height, scheme) in PICTURES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(sys.argv[1])
            page.locator(".so-down").nth(1).click()
            page.wait_for_selector(".so-compare")
            page.get_by_role("tab", name="Pairs").click()
            page.mouse.move(0, 0)
            if name == "narrow":
                page.locator(".so-verdict").evaluate("element => element.scrollIntoView()")
            page.wait_for_timeout(500)  # until nothing moves
            page.screenshot(path=Path(__file__).with_name(f"demo_{name}.png"))


if __name__ == "__main__":
    main()
