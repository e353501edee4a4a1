"""Who may import whom, what loads when, how long a file may be, and what the package shows to its users."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import synthsift

ROOT = Path(synthsift.__file__).parent
FILES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.py"))}

# The table of the architecture: a part is a folder or a file beside the folders; a folder may import itself.
RECORDS = {"records", "seeds"}
EXACT = RECORDS | {"numerics"}
BUT_CLI = {name.split("/")[0].removesuffix(".py") for name in FILES} - {"cli", "__main__", "__init__"}
MAY_IMPORT = {
    "seeds": set(),
    "records": {"seeds"},
    "numerics": set(),
    "data": EXACT,
    "training": EXACT,
    "represent": EXACT | {"training"},
    "bilevel": EXACT | {"training"},
    "baselines": EXACT | {"training"},
    "theory": EXACT,
    "drift": EXACT | {"training", "represent"},
    "check": EXACT | {"data", "represent", "training"},
    "splits": EXACT,
    "race": EXACT | {"splits", "compare"},  # compare for type checkers only, or a circle would be found
    "judged_fold": EXACT | {"training", "splits", "compare"},  # compare for type checkers only
    "compare": EXACT | {"training", "splits", "race", "judged_fold", "together"},  # together for type checkers only
    "crew": RECORDS,
    "together": EXACT | {"training", "splits", "race", "judged_fold", "compare", "crew"},
    "paired": EXACT,
    "verdict": EXACT | {"training", "paired"},
    "sentence": EXACT | {"verdict"},
    "writing": EXACT,
    "locking": EXACT | {"writing"},
    "cells": EXACT | {"writing"},
    "runs": EXACT | {"writing", "locking", "cells"},
    "report": {"records"},
    "studies": BUT_CLI,
    "estimator": BUT_CLI,
    "cli": BUT_CLI | {"__init__"},  # the version
    "__main__": {"cli"},
    "__init__": set(),  # it imports a public name's home when the name is first used
}

# Libraries that a part loads on import, and those it may load inside a function. Heavy ones cost seconds at the start.
ON_IMPORT = {
    "seeds": {"numpy"},
    "records": {"numpy"},
    "numerics": {"numpy", "scipy"},
    "data": {"numpy"},
    "training": {"numpy", "scipy", "torch", "sklearn"},
    "represent": {"numpy", "scipy", "torch", "sklearn"},
    "bilevel": {"numpy", "torch"},
    "baselines": {"numpy", "sklearn"},
    "theory": {"numpy", "scipy"},
    "drift": {"numpy", "scipy"},
    "check": {"numpy", "sklearn"},
    "splits": {"numpy"},
    "race": {"numpy"},
    "compare": {"numpy"},
    "judged_fold": {"numpy"},
    "crew": {"numpy"},
    "together": {"numpy"},
    "paired": {"numpy"},
    "verdict": {"numpy"},
    "sentence": {"numpy"},
    "writing": {"numpy"},
    "cells": {"numpy"},
    "runs": {"numpy"},
    "report": {"numpy"},
    "studies": {"numpy", "scipy"},
    "estimator": {"numpy", "sklearn"},
    "cli": {"numpy", "typer", "rich", "threadpoolctl"},
}
IN_FUNCTIONS = {
    "seeds": {"torch"},
    "records": {"pandas", "torch"},
    "data": {"pandas", "pyarrow", "PIL", "sklearn"},
    "represent": {"safetensors", "PIL"},
    "drift": {"torch", "safetensors"},
    "bilevel": {"safetensors", "transformers"},
    "verdict": {"pandas"},
    "writing": {"pyarrow"},
    "cells": {"safetensors"},
    "crew": {"safetensors", "torch"},
    "report": {"jinja2", "markupsafe", "matplotlib", "pyarrow", "rich"},
    "studies": {"pandas", "pyarrow", "PIL", "matplotlib", "sklearn", "torch"},
    "estimator": {"torch", "threadpoolctl"},
    "cli": {"pandas", "pyarrow", "safetensors", "sklearn", "torch"},
}
MEASURE = "theory/measure"  # estimate the inputs of the formulas from data, so these files may train: the only ones

MAX_LINES = 320
LONG = {
    "records.py": "every record that folders exchange, in one place to look",
}
HEAVY = {"numpy", "pandas", "torch", "sklearn", "matplotlib"}


@dataclass(frozen=True)
class Import:
    """A module (dotted) that is imported when the file is ("import"), by a function, or for type checkers only."""

    module: str
    when: str


@cache
def imports_of(source: str) -> tuple[Import, ...]:
    """Return what a file imports; ``from a import b`` is a.b if synthsift has such a module."""
    return tuple(_imports_below(ast.parse(source), "import"))


def _imports_below(node: ast.AST, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, when) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            home = "." * child.level + (child.module or "")
            yield from (Import(_module(home, alias.name), when) for alias in child.names)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports_below(child, "function")
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports_below(child, "types")
        elif not isinstance(child, ast.expr):  # an expression holds no import
            yield from _imports_below(child, when)


def _module(home: str, name: str) -> str:
    inner = f"{home}.{name}".removeprefix("synthsift.").replace(".", "/")
    is_module = f"{inner}.py" in FILES or f"{inner}/__init__.py" in FILES
    return f"{home}.{name}" if home.split(".")[0] == "synthsift" and is_module else home


def part_of(name: str) -> str:
    return name.split("/")[0].removesuffix(".py")


def offences(name: str, source: str) -> list[str]:
    """Say which imports of the file `name` break the tables."""
    part, found = part_of(name), []
    if part not in MAY_IMPORT:
        return [f"{name}: {part} is in no table; decide what it may import"]
    own = MAY_IMPORT[part] | {part} | ({"training"} if name.startswith(MEASURE) else set())
    early = ON_IMPORT.get(part, set()) | ({"torch"} if name.startswith(MEASURE) else set())
    later = early | IN_FUNCTIONS.get(part, set())
    for seen in imports_of(source):
        top, _, rest = seen.module.partition(".")
        if seen.module.startswith("."):
            found.append(f"{name} imports relatively; write the full name")
        elif top == "synthsift" and (rest.split(".")[0] or "__init__") not in own:
            found.append(f"{name} imports {seen.module}; {part} may import {', '.join(sorted(own))}")
        elif top not in sys.stdlib_module_names | {"synthsift"} and seen.when == "import" and top not in early:
            found.append(f"{name} loads {top} on import; {part} may load {', '.join(sorted(early)) or 'nothing'}")
        elif top not in sys.stdlib_module_names | {"synthsift"} and seen.when == "function" and top not in later:
            found.append(f"{name} loads {top} in a function; {part} may load {', '.join(sorted(later)) or 'nothing'}")
    return found


def test_every_file_keeps_to_the_import_tables() -> None:
    assert [offence for name, source in FILES.items() for offence in offences(name, source)] == []


@pytest.mark.parametrize(
    ("name", "source", "word"),
    [
        ("theory/mixing.py", "import torch", "torch"),
        ("theory/mixing.py", "def f():\n    from torch import nn", "torch"),
        ("theory/mixing.py", "from synthsift.training.logistic import fit_logistic", "synthsift.training"),
        ("drift/diffusion.py", "import torch", "torch"),
        ("data/load.py", "try:\n    import pandas\nexcept ImportError:\n    pass", "pandas"),
        ("baselines/simple.py", "from synthsift.bilevel import learned", "synthsift.bilevel"),
        ("compare.py", "from synthsift.cli.run import Study", "synthsift.cli"),
        ("check/copies.py", "from synthsift.splits import find_leaks", "synthsift.splits"),
        ("check/models.py", "import torch", "torch"),
        ("estimator.py", "from synthsift import cli", "synthsift.cli"),
        ("numerics/metrics.py", "from ..records import Table", "relatively"),
        ("data/load.py", "from synthsift import Seeds", "synthsift"),
        ("novelty/thing.py", "", "in no table"),
    ],
)
def test_a_forbidden_import_is_found(name: str, source: str, word: str) -> None:
    (offence,) = offences(name, source)
    assert word in offence


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("theory/measure.py", "import torch\nfrom synthsift.training import logistic"),
        ("drift/diffusion.py", "class A:\n    def f(self):\n        import torch"),
        ("report/canvas.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import matplotlib"),
        ("check/models.py", "import sklearn\nfrom synthsift.training import logistic"),
        ("cli/run.py", "from synthsift.studies import digits\nfrom synthsift import __version__"),
    ],
)
def test_an_allowed_import_is_not_reported(name: str, source: str) -> None:
    assert offences(name, source) == []


def module_graph() -> dict[str, set[str]]:
    """Modules and the synthsift modules that each loads on import."""
    graph = {}
    for name, source in FILES.items():
        module = f"synthsift/{name}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        loaded = {seen.module for seen in imports_of(source) if seen.when == "import"}
        graph[module] = {other for other in loaded if other.split(".")[0] == "synthsift"}
    return graph


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = module_graph()
    assert "synthsift.records" in graph["synthsift.compare"]
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("synthsift.seeds") < order.index("synthsift.records") < order.index("synthsift.compare")


def test_a_circle_of_modules_is_found() -> None:
    graph = module_graph()
    graph["synthsift.records"] = {"synthsift.compare"}
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()


def test_nothing_but_the_start_imports_the_command_line() -> None:
    users = {
        name
        for name, source in FILES.items()
        if any(seen.module.startswith("synthsift.cli") for seen in imports_of(source))
    }
    assert {name for name in users if not name.startswith("cli/")} == {"__main__.py"}


def test_files_are_short() -> None:
    long = {name: source.count("\n") for name, source in FILES.items() if source.count("\n") > MAX_LINES}
    unknown = {name: lines for name, lines in long.items() if name not in LONG}
    assert unknown == {}, f"split these, each by its subjects (at most {MAX_LINES} lines)"
    assert LONG.keys() - long.keys() == set(), "these are short now; take them out of LONG"


def test_no_file_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "base"}
    words = {name: {part.removesuffix(".py").strip("_") for part in name.split("/")} for name in FILES}
    assert {name for name, parts in words.items() if parts & drawers} == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = f"import sys, synthsift; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "synthsift", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "synthsift.cli.app" in loaded and "run" in done.stdout
    assert loaded & HEAVY == set()


def test_public_names_resolve_and_say_what_they_are() -> None:
    assert synthsift.__all__ == sorted(set(synthsift.__all__)) == dir(synthsift)
    for name in synthsift.__all__:
        thing = getattr(synthsift, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            # a dataclass without a docstring gets its signature for one
            assert thing.__doc__ and not thing.__doc__.startswith(f"{name}("), f"{name} has no docstring"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = synthsift.nonsense
