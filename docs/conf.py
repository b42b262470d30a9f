"""The site, which scripts/docs builds: the Markdown pages of the repository at their places.

So the links between them work there as on any host of Markdown.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.addnodes import pending_xref

project = html_title = "sentence_order"
project_copyright = "The sentence_order authors"
extensions = ["myst_parser"]
include_patterns = ["*.md", "docs/*.md", "benchmarks/**.md"]
exclude_patterns = [".venv", "build", "outputs"]
root_doc = "docs/index"
html_theme = "furo"
smartquotes = False  # what is quoted may be typed
myst_heading_anchors = 4  # as deep as links to headings reach, by the names that GitHub gives them
# Some pages are linked by another page only, and a report begins with its verdict.
suppress_warnings = ["toc.not_included", "myst.header"]

# Pages whose lists of links are the navigation, with a part for each heading.
INDEXES = ("docs/index", "docs/benchmarks")


def setup(app: Any) -> None:
    app.connect("source-read", add_navigation)
    app.connect("doctree-read", drop_links_to_folders)


def add_navigation(app: Any, page: str, source: list[str]) -> None:
    """Adds hidden tables of contents to a page that lists others."""
    for section in re.split(r"^## ", source[0], flags=re.M)[1:] if page in INDEXES else []:
        caption, *_ = section.splitlines()
        pages = [f"{title} <{path}>" for title, path in re.findall(r"^- \[(.+?)\]\((.+?\.md)\)", section, re.M)]
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])


def drop_links_to_folders(app: Any, doctree: Any) -> None:
    """Leaves the text of links to folders, which a site cannot show."""
    for node in list(doctree.findall(pending_xref)):
        if (Path(app.env.doc2path(app.env.docname)).parent / node["reftarget"]).is_dir():
            node.replace_self(node.children)
