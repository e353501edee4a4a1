"""Flags of ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthsift.cli import flags
from synthsift.cli.flags import OUTPUT, option


def demo(
    out: Annotated[Path, option("Folder to write.", OUTPUT)] = Path("synthsift-demo"),
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Handwritten digits against digits rendered from fonts, a known part of them flawed. Offline, under a minute."""
    from synthsift.cli.console import Console
    from synthsift.cli.demo import execute_demo

    raise typer.Exit(execute_demo(out, Console(quiet), overwrite=overwrite))
