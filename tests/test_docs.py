"""The documents: pages that are made of the code are up to date, links lead somewhere, and the site builds."""

import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import pages
from tests.links import find_broken_links, find_links

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/**/*.md")])


def test_pages_that_are_made_of_the_code_are_up_to_date() -> None:
    stale = [path.name for path, text in pages().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "python -m docs.generate writes them"


def test_links_between_documents_lead_somewhere() -> None:
    broken = [problem for file in DOCUMENTS for problem in find_broken_links(file)]
    assert not broken, "\n".join(broken)


def test_the_index_lists_every_page() -> None:
    listed = {link for _, link in find_links(ROOT / "docs/index.md")}
    assert {path.name for path in ROOT.glob("docs/*.md")} - {"index.md"} <= listed


def test_broken_links_are_found_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "other.md").write_text("# Two `words`, and-more!\n\n## Again\n\n## Again\n")
    good = ["other.md", "folder", "other.md#two-words-and-more", "other.md#again-1", "#own", "https://nowhere.invalid"]
    (tmp_path / "good.md").write_text("# Own\n\n" + "\n".join(f"[text]({link})" for link in good))
    assert find_broken_links(tmp_path / "good.md") == []

    (tmp_path / "bad.md").write_text(
        "# Own\n\nA [link](other.md),\nanother `[no link](x)` [one](missing.md),\nand [more](other.md#again-2)\n\n"
        "| a | b |\n|---|---|\n| [c](#none) | d |\n\n![picture](picture.png)\n\n    [code](x)\n\n"
        '<img src="image.png">\n\n[root](/other.md)\n'
    )
    assert [problem.removeprefix(f"{tmp_path}/") for problem in find_broken_links(tmp_path / "bad.md")] == [
        "bad.md:4: no file missing.md",
        "bad.md:5: no heading again-2 in other.md",
        "bad.md:9: no heading none in bad.md",
        "bad.md:11: no file picture.png",
        "bad.md:15: no file image.png",
        "bad.md:17: no file /other.md",
    ]


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", ".", str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "docs/index.html").read_text(encoding="utf-8")
    assert all(f'href="{path.stem}.html"' in home for path in ROOT.glob("docs/*.md") if path.stem != "index")
