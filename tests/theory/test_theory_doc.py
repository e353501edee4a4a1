"""docs/methods/theory.md numbers every formula; every public function that computes one cites it, and twins exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THEORY = ROOT / "src" / "synthsift" / "theory"
PAGE = (ROOT / "docs" / "methods" / "theory.md").read_text(encoding="utf-8")
CITED = re.compile(r"docs/methods/theory\.md, eq\. (\(\d+\)(?:,? (?:to )?\(\d+\))*)")
# What computes no formula: checks of inputs, shapes, searches for a minimum, and the drawing of random numbers.
NO_FORMULA = {
    "collapse_inputs": {
        "read_setting",
        "check_dim",
        "check_scalar",
        "check_fraction",
        "diagonal_of",
        "spectrum_of",
    },
    "collapse_sources": {"check_operator", "stack_sources", "stack_setting"},
    "collapse_search": {"zoom_minimum", "smallest_on_integers"},
    "collapse_simulate": {"prediction_from", "whole_number", "square_root", "quadratic_mean", "fit_ridge"},
    "collapse_generations": {"count_generations"},
    "collapse_weights": {"error_or_pole"},
    "measure_spectrum": {"checked_rows"},
    "mixing_bulk": {"group_spectrum"},
    "mixing_checks": {
        "checked_range",
        "checked_spectrum",
        "checked_mean",
        "check_ridge",
        "check_sizes",
        "generator_sizes",
        "check_generator",
    },
    "mixing_conditional": {"stratified_folds", "check_rows"},
    "mixing_settings": {"make_setting"},
    "mixing_simulation": {"draw_signs", "summarize_repeats", "check_repeats", "draw_kept", "covariance_root"},
    "mixing_sources": {"pilot_source"},
}


def numbered() -> dict[int, str]:
    """Text under every equation number of the page."""
    parts = re.split(r"^\*\*\((\d+)\)\*\*$", PAGE, flags=re.MULTILINE)
    return {int(parts[i]): parts[i + 1].split("\n## ")[0] for i in range(1, len(parts), 2)}


def numbers_in(text: str) -> set[int]:
    """Equation numbers that a docstring cites, ranges written out."""
    found: set[int] = set()
    for match in CITED.finditer(" ".join(text.split())):
        for first, last in re.findall(r"\((\d+)\)(?: to \((\d+)\))?", match.group(1)):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def public_functions() -> dict[tuple[str, str], set[int]]:
    """Numbers that every public function of the theory cites, by module and name."""
    found = {}
    for path in sorted(THEORY.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                found[path.stem, node.name] = numbers_in(ast.get_docstring(node) or "")
    return found


EQUATIONS, FUNCTIONS = numbered(), public_functions()


def test_numbers_run_from_one_without_a_gap() -> None:
    assert list(EQUATIONS) == list(range(1, len(EQUATIONS) + 1))
    assert f"(1) to ({len(EQUATIONS)})" in PAGE
    sections = [int(number) for number in re.findall(r"^## (\d+) ", PAGE, flags=re.MULTILINE)]
    assert sections == list(range(1, len(sections) + 1))


@pytest.mark.parametrize("function", [key for key in FUNCTIONS if key[1] not in NO_FORMULA.get(key[0], ())])
def test_a_function_cites_an_equation_that_names_it_and_its_origin(function: tuple[str, str]) -> None:
    cited = FUNCTIONS[function]
    assert cited, f"{'.'.join(function)} cites no equation of docs/methods/theory.md"
    assert cited <= set(EQUATIONS), f"{'.'.join(function)} cites {cited - set(EQUATIONS)}, which the page does not have"
    for number in cited:
        assert f"`{'.'.join(function)}`" in EQUATIONS[number], f"eq. ({number}) does not name {'.'.join(function)}"


def test_what_has_no_formula_exists_and_cites_none() -> None:
    for module, names in NO_FORMULA.items():
        for name in names:
            assert FUNCTIONS[module, name] == set()


@pytest.mark.parametrize("number", EQUATIONS)
def test_an_equation_has_a_formula_an_origin_a_function_and_a_twin(number: int) -> None:
    text = " ".join(EQUATIONS[number].split())
    assert re.search(r"^ {4}\S", EQUATIONS[number], flags=re.MULTILINE), "no formula"
    origin = re.search(r"- \*from\*: (.+?) - \*code\*", text)
    assert origin
    assert re.search(r"\b(RMT|VER|SMC|MCD|ACC|derived|textbook|heuristic|Yamada)\b", origin.group(1)), origin.group(1)
    code = re.search(r"- \*code\*: (.+?) - \*twin\*", text)
    named = re.findall(r"`(\w+)\.(\w+)`", code.group(1) if code else "")
    assert named, "no function"
    for function in named:
        assert number in FUNCTIONS[function], f"{'.'.join(function)} does not cite eq. ({number})"
    twins = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", text.split("- *twin*:")[1])
    assert twins, "no twin"
    for file, name in twins:
        assert name.split("::") in names_in(ROOT / file), f"{file} has no {name}"


def names_in(path: Path) -> list[list[str]]:
    """Names of the tests of a file, with their class where they have one."""
    found = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.append([node.name])
        if isinstance(node, ast.ClassDef):
            found += [[node.name, inner.name] for inner in node.body if isinstance(inner, ast.FunctionDef)]
    return found


def test_references_inside_the_page_and_to_modules_exist() -> None:
    prose = re.sub(r"^ {4}.*$", "", PAGE, flags=re.MULTILINE)
    for number in re.findall(r"(?<![\w'.^/*)])\((\d{1,3})\)", prose):
        assert int(number) in EQUATIONS
    for path in THEORY.glob("*.py"):
        heads = re.findall(
            r"^Equations? (.+) of docs/methods/theory\.md", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        for number in re.findall(r"\((\d+)\)", " ".join(heads)):
            assert int(number) in EQUATIONS, f"{path.name} cites eq. ({number})"
