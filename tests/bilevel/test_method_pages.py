"""Every name that the formula tables of the method pages point to exists where they say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/synthsift"


def defined(path: Path) -> set[str]:
    """Functions, classes, methods and constants of a file, as `name` and `Class.name`."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return names


FILES = {path.relative_to(PACKAGE).as_posix(): defined(path) for path in PACKAGE.rglob("*.py")}
BILEVEL = {Path(name).stem: names for name, names in FILES.items() if name.startswith("bilevel/")}


def missing(text: str) -> list[str]:
    """Names in the last column of tables whose last column is called "where", that are nowhere."""
    found, seen, is_formula = [], 0, False
    for line in text.splitlines():
        if not line.startswith("|"):
            is_formula = False
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells[-1] == "where":
            is_formula = True
        if not is_formula or cells[-1] == "where" or set(cells[-1]) <= set("- "):
            continue
        names = re.findall(r"`([^`]+)`", cells[-1])
        assert names, line
        seen += len(names)
        found += unknown(names)
    assert seen
    return found


def unknown(names: list[str]) -> list[str]:
    """A path holds for the names after it; a module of `bilevel` may stand before a name."""
    found, here = [], set().union(*BILEVEL.values())
    for name in names:
        if name == "optimizer.step()":  # the user's own
            continue
        if "/" in name:
            here = FILES.get(name, set())
            found += [] if here else [name]
            continue
        module, _, rest = name.partition(".")
        is_there = rest in BILEVEL[module] if module in BILEVEL and rest else name in here
        found += [] if is_there else [name]
    return found


@pytest.mark.parametrize("page", ["engine", "learned-weights"])
def test_names_in_formula_tables_exist(page: str) -> None:
    assert missing((ROOT / f"docs/methods/{page}.md").read_text()) == []


def test_a_name_that_is_gone_is_found() -> None:
    table = "| term | where |\n|---|---|\n| x | `live.noise_of`, `live.gone`, `Selector.gone` |\n"
    assert missing(table) == ["live.gone", "Selector.gone"]
    assert missing("| formula | where |\n| --- | --- |\n| x | `bilevel/scores.py`: `noise_of` |\n") == ["noise_of"]
