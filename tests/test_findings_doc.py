from __future__ import annotations

import ast
import re
from pathlib import Path

import synthsift

SOURCE = Path(synthsift.__file__).parent
MANUAL = Path(__file__).parents[1] / "docs" / "findings.md"
HEADINGS = ["How it is detected", "Why it matters", "What to do"]


def made_findings() -> dict[str, str]:
    """Code and title of every `Finding(...)` in the source."""
    found: dict[str, str] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                code, _, title = (argument for argument in node.args[:3])
                assert isinstance(code, ast.Constant) and isinstance(title, ast.Constant), f"{file}:{node.lineno}"
                assert code.value not in found, f"{code.value} is made in two places"
                found[code.value] = title.value
    return found


def sections() -> dict[str, tuple[str, list[str]]]:
    """Title and sub-headings of each section of the manual, by code."""
    parts = re.split(r"^## ", MANUAL.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    named = [(part.splitlines()[0].split(": ", 1), re.findall(r"^### (.+)$", part, re.MULTILINE)) for part in parts]
    return {code: (title, headings) for (code, title), headings in named}


def test_every_finding_has_a_section_and_every_section_a_finding() -> None:
    made = made_findings()
    assert len(made) > 15
    assert {code: title for code, (title, _) in sections().items()} == made


def test_sections_are_in_order_and_have_the_same_three_parts() -> None:
    assert list(sections()) == sorted(sections())
    assert {code: headings for code, (_, headings) in sections().items() if headings != HEADINGS} == {}
    empty = re.findall(r"^### .+\n+(?=#|\Z)", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)
    assert empty == []


def test_codes_are_named_nowhere_without_being_made() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in sorted(SOURCE.rglob("*.py")))
    assert set(re.findall(r"\bSS\d{3}\b", text)) <= set(made_findings())
