"""docs/methods/theory.md names every formula: its module cites the number, its functions and its tests exist."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
THEORY = ROOT / "src" / "synthsift" / "theory"
PAGE = (ROOT / "docs" / "methods" / "theory.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| ([MCA]\d+) \|(.*)$", PAGE, flags=re.MULTILINE))
FUNCTION = re.compile(r"`([a-z_]+)\.([a-z_]+)`")


def public_functions(start: tuple[str, ...]) -> set[str]:
    """Names of the theory's public functions that begin so."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in THEORY.glob("*.py")]
    return {
        node.name
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith(start)
    }


def test_numbers_are_complete() -> None:
    for letter, last in (("M", 12), ("C", 14), ("A", 9)):
        assert [key for key in ROWS if key[0] == letter] == [f"{letter}{k}" for k in range(1, last + 1)]


@pytest.mark.parametrize("number", ROWS)
def test_a_row_has_functions_that_cite_it_and_tests_that_exist(number: str) -> None:
    named = FUNCTION.findall(ROWS[number])
    assert named
    for home, function in named:
        module = importlib.import_module(f"synthsift.theory.{home}")
        assert callable(getattr(module, function))
    modules = {home for home, _ in named}
    cited = {
        home
        for home in modules
        if re.search(rf"\b{number}\b", importlib.import_module(f"synthsift.theory.{home}").__doc__ or "")
    }
    assert cited, f"no module of {sorted(modules)} cites {number}"
    tests = re.findall(r"`(test_[a-z_]+\.py)::(test_[a-z_]+)`", ROWS[number])
    assert tests
    for file, test in tests:
        assert re.search(rf"def {test}\(", (HERE / file).read_text(encoding="utf-8")), f"{file} has no {test}"


def test_every_prediction_and_every_simulation_is_named() -> None:
    named = {function for row in ROWS.values() for _, function in FUNCTION.findall(row)}
    assert public_functions(("predict_", "simulate_")) - named == {"simulate_stack"}  # the inside of simulate_sources


def test_every_cited_number_exists() -> None:
    for path in THEORY.glob("*.py"):
        lines = re.findall(
            r"^Equations?: (.*) of docs/methods/theory.md", path.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        for number in re.findall(r"[MCA]\d+", " ".join(lines)):
            assert number in ROWS, f"{path.name} cites {number}"
