"""Flags of ``reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthsift.cli import flags
from synthsift.cli.flags import DATA, HOW, OUTPUT, option


def reproduce(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to rebuild: rmt (mixing), collapse or drift.")],
    out: Annotated[Path | None, option("Folder to write; synthsift-reproduce/NAME if left out.", OUTPUT)] = None,
    data: Annotated[
        Path | None,
        option("Folder with MNIST's idx files (or mnist/), for drift with a text; SYNTHSIFT_DATA else.", DATA),
    ] = None,
    quick: Annotated[
        bool, option("Fewer simulated points and trained networks, the same formulas.", HOW, "--quick")
    ] = False,
    seed: Annotated[int, option("Seed of all simulations.", HOW)] = 0,
    device: Annotated[
        str | None, option("cuda: only drift's picture loop, at published size; resumes in --out.", HOW)
    ] = None,
    rows: Annotated[
        int | None, option("Rows a round of drift's kernel loop, published 100,000; time grows squared. [2000]", HOW)
    ] = None,
    quiet: Annotated[bool, option("Print the comparison only, no progress.", OUTPUT, "--quiet")] = False,
    debug: flags.Debug = False,
) -> None:
    """Rebuild published figures and tables: formula, simulation and the printed values side by side."""
    from synthsift.cli.console import Console
    from synthsift.cli.reproduce import execute_reproduce

    raise typer.Exit(
        execute_reproduce(name, out, data, Console(quiet), quick=quick, seed=seed, device=device, rows=rows)
    )
