"""`reproduce`: rebuild what was published, write figures and numbers, and say how printed values compare."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from synthsift.cli.console import Console
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.reproduction import ROUNDS, Rebuilt, compare_lines, prepare_folder, write_numbers, write_rebuilt

#: Name on the command line -> module with ``rebuild(seeds, *, quick, data) -> iterator of Rebuilt``.
STUDIES = {
    "rmt": "synthsift.studies.reproduce_rmt",
    "collapse": "synthsift.studies.reproduce_collapse",
    "drift": "synthsift.studies.reproduce_drift",
}
Rebuild = Callable[..., Iterator[Rebuilt]]


def execute_reproduce(
    name: str,
    out: Path | None,
    data: Path | None,
    console: Console,
    *,
    quick: bool = False,
    seed: int = 0,
    device: str | None = None,
    rows: int | None = None,
) -> int:
    """Rebuild the figures of study `name`, each written as soon as it is there.

    With a `device` only the picture loop of drift, at published size; its generations are kept in the folder. `rows` is
    the size of drift's loop with kernel scores.

    Raises
    ------
    DataError
        If there is no such study, the folder cannot be used, or the data or the device given are not there.
    """
    if name not in STUDIES:
        raise DataError(f"there is nothing to reproduce under the name {name!r}; choose one of {', '.join(STUDIES)}")
    if seed < 0:
        raise DataError(f"--seed is {seed}; give a whole number of at least 0")
    if device is not None:
        _check_device(name, device)
    if rows is not None:
        _check_rows(name, rows, device)
    folder = out if out is not None else Path("synthsift-reproduce") / name
    prepare_folder(folder)
    finished, seeds = [], Seeds(seed).child("reproduce", name)
    if device is not None:
        from synthsift.studies.reproduce_drift_pictures import rebuild_published

        console.say(f"Finished generations are kept in {folder / ROUNDS}; the same command goes on from there.")
        found = iter([rebuild_published(seeds, data, device, folder / ROUNDS, quick=quick)])
    else:
        rebuild: Rebuild = importlib.import_module(STUDIES[name]).rebuild
        found = rebuild(seeds, quick=quick, data=data, **({} if rows is None else {"rows": rows, "tell": console.say}))
    for rebuilt in found:
        write_rebuilt(rebuilt, folder)
        finished.append(rebuilt)
        console.say(f"{rebuilt.name} is written ({len(finished)})")
    write_numbers(finished, {"study": name, "quick": quick, "seed": seed, **_told(device, rows)}, folder)
    sys.stdout.write("\n".join(compare_lines(finished)) + f"\nFigures and numbers: {folder}\n")
    return 0


def _told(device: str | None, rows: int | None) -> dict[str, str | int]:
    """Settings that were given, for the record."""
    return ({} if device is None else {"device": device}) | ({} if rows is None else {"rows": rows})


def _check_rows(name: str, rows: int, device: str | None) -> None:
    """Refuse a size where no loop has one, or one that no loop can have."""
    from synthsift.studies.reproduce_drift_kernel import LEAST_ROWS
    from synthsift.studies.reproduce_drift_kernel_figures import PUBLISHED_ROWS

    if name != "drift" or device is not None:
        raise DataError(
            f"--rows {rows} is given, but only drift's loop with kernel scores, which has no --device, has a size to "
            "set. Leave it out"
        )
    if not LEAST_ROWS <= rows <= PUBLISHED_ROWS:
        raise DataError(f"--rows is {rows}; from {LEAST_ROWS} to {PUBLISHED_ROWS:,} (the published size) are possible")


def _check_device(name: str, device: str) -> None:
    """Refuse a device where nothing is computed on one, or that is not there."""
    if name != "drift":
        raise DataError(f"--device {device} is given, but {name} computes on the CPU. Leave it out")
    if device not in ("cpu", "cuda"):
        raise DataError(f"--device is {device}; write cuda (or cpu, which takes days at published size)")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise DataError(
                "--device cuda is given, but torch finds no such device. Leave --device out for the reduced size"
            )
