"""Flags of ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthsift.cli import flags
from synthsift.cli.flags import OUTPUT, option


def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Finished run folder.")],
    out: Annotated[Path, option("Folder to write the selected data into.", OUTPUT)],
    debug: flags.Debug = False,
) -> None:
    """Write the rows that the verdict keeps, in the format they came in, with a weight column."""
    from synthsift.cli.export import execute_export

    raise typer.Exit(execute_export(run_folder, out))
