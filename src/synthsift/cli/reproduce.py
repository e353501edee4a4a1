"""`reproduce`: rebuild what was published, write figures and numbers, and say how printed values compare."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from synthsift.cli.console import Console
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.reproduction import Rebuilt, compare_lines, prepare_folder, write_numbers, write_rebuilt

#: Name on the command line -> module with ``rebuild(seeds, *, quick, data) -> iterator of Rebuilt``.
STUDIES = {
    "rmt": "synthsift.studies.reproduce_rmt",
    "collapse": "synthsift.studies.reproduce_collapse",
    "drift": "synthsift.studies.reproduce_drift",
}
Rebuild = Callable[..., Iterator[Rebuilt]]


def execute_reproduce(
    name: str, out: Path | None, data: Path | None, console: Console, *, quick: bool = False, seed: int = 0
) -> int:
    """Rebuild the figures of study `name`, each written as soon as it is there.

    Raises
    ------
    DataError
        If there is no such study, the folder cannot be used, or the data given are not there.
    """
    if name not in STUDIES:
        raise DataError(f"there is nothing to reproduce under the name {name!r}; choose one of {', '.join(STUDIES)}")
    if seed < 0:
        raise DataError(f"--seed is {seed}; give a whole number of at least 0")
    folder = out if out is not None else Path("synthsift-reproduce") / name
    prepare_folder(folder)
    rebuild: Rebuild = importlib.import_module(STUDIES[name]).rebuild
    finished = []
    for rebuilt in rebuild(Seeds(seed).child("reproduce", name), quick=quick, data=data):
        write_rebuilt(rebuilt, folder)
        finished.append(rebuilt)
        console.say(f"{rebuilt.name} is written ({len(finished)})")
    write_numbers(finished, {"study": name, "quick": quick, "seed": seed}, folder)
    sys.stdout.write("\n".join(compare_lines(finished)) + f"\nFigures and numbers: {folder}\n")
    return 0
