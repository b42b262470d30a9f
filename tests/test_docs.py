"""The documents: pages that are made of the code are up to date, links lead somewhere, and the site builds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import NOTEBOOK, pages
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


def python_blocks(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


def test_code_of_the_page_on_training_from_python_runs(tmp_path: Path) -> None:
    """As a program, from top to bottom."""
    code = "\n".join(python_blocks("training_from_python.md"))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^0?-?\d?\.\d+ outputs/mine$", done.stdout, re.M), done.stdout
    assert re.search(r"^step 5 of 5: tau -?\d\.\d{3}$", done.stdout, re.M)
    for run in ("mine", "texts", "files", "good"):
        assert (tmp_path / "outputs" / run / "results.json").exists()


@pytest.mark.slow
def test_notebook_runs_in_a_kernel(tmp_path: Path) -> None:
    """Without widgets, and with progress."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = "\n".join(str(output.get("text") or output.get("data")) for output in outputs)
    assert "ipywidgets" not in shown
    assert re.search(r"training: steps \d+ of \d+ \(100%\)", shown)
    assert "validation loss" in shown


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", ".", str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "docs/index.html").read_text(encoding="utf-8")
    assert all(f'href="{path.stem}.html"' in home for path in ROOT.glob("docs/*.md") if path.stem != "index")
