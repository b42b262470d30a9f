"""Imports run one way: a room imports rooms of lower tiers only, also inside functions, and modules form no circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOMS = """
errors arrays | config decoding | runtime | losses data | model | inference prefix_cache | evaluation | training
| experiments | train evaluate predict report cache demo | __main__
"""
TIER_OF = {room: tier for tier, rooms in enumerate(ROOMS.split("|")) for room in rooms.split()}
PACKAGE = Path(__file__).resolve().parent.parent / "sentence_order"
MODULES = {
    ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): ast.parse(file.read_text())
    for file in PACKAGE.rglob("*.py")
}


def imports_of(module: str) -> set[str]:
    """The modules of the package that a module imports, as dotted paths within it."""
    nodes = list(ast.walk(MODULES[module]))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {f"{node.module}.{a.name}" for node in nodes if isinstance(node, ast.ImportFrom) for a in node.names}
    paths = {name.removeprefix("sentence_order.") for name in names if name.startswith("sentence_order.")}
    return {path if path in MODULES else path.rpartition(".")[0] for path in paths} & MODULES.keys() - {module}


def test_rooms_import_rooms_of_lower_tiers_only() -> None:
    for module in MODULES.keys() - {"__init__"}:
        room = module.split(".")[0]
        for other in {name.split(".")[0] for name in imports_of(module)} - {room}:
            assert TIER_OF[other] < TIER_OF[room], f"{module} imports {other}"


def test_modules_do_not_import_each_other_in_circles() -> None:
    TopologicalSorter({module: imports_of(module) for module in MODULES}).prepare()  # raises CycleError
