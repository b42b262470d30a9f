"""Checks the links of Markdown files: files and folders exist, and headings by the names that GitHub gives them."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable("table")


@cache
def parse(file: Path) -> list[Token]:
    return PARSER.parse(file.read_text(encoding="utf-8"))


def find_broken_links(file: Path) -> list[str]:
    """A line for each link of a file that leads nowhere: FILE:LINE, and what there is not."""
    broken = []
    for line, link in find_links(file):
        if re.match(r"[a-z]+:", link):  # of another host
            continue
        path, _, anchor = unquote(link).partition("#")
        target = file.parent / path if path else file
        if path.startswith("/") or not target.exists():
            broken.append(f"{file}:{line}: no file {path}")
        elif anchor and target.suffix == ".md" and anchor not in find_anchors(target):
            broken.append(f"{file}:{line}: no heading {anchor} in {target.name}")
    return broken


def find_links(file: Path) -> Iterator[tuple[int, str]]:
    """The targets of links and pictures, in Markdown and in HTML, with the lines where they are."""
    for token in parse(file):
        line = token.map[0] + 1 if token.map else 0
        for part in token.children or [token]:
            if part.type in ("softbreak", "hardbreak"):
                line += 1
            elif part.type.startswith("html"):
                yield from ((line, link) for link in re.findall(r'(?:href|src)="([^"]+)"', part.content))
            elif link := part.attrGet("href") or part.attrGet("src"):
                yield line, str(link)


@cache
def find_anchors(file: Path) -> set[str]:
    """The names of a file's headings; a name that comes again is numbered."""
    names, counts = set(), Counter[str]()
    for before, heading in pairwise(parse(file)):
        if before.type == "heading_open":
            name = re.sub(r"[^\w\- ]", "", plain_text(heading).lower()).replace(" ", "-")
            names.add(f"{name}-{counts[name]}" if counts[name] else name)
            counts[name] += 1
    return names


def plain_text(inline: Token) -> str:
    return "".join(part.content for part in inline.children or [] if part.type in ("text", "code_inline"))
