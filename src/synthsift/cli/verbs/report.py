"""Flags of ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthsift.cli import flags
from synthsift.cli.flags import OUTPUT, option


def report(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Finished run folder.")],
    as_json: Annotated[bool, option("Print the report as JSON.", OUTPUT, "--json")] = False,
    markdown: Annotated[bool, option("Print the report as Markdown.", OUTPUT, "--markdown")] = False,
    debug: flags.Debug = False,
) -> None:
    """Rebuild report.html from the files of a run."""
    from synthsift.cli.export import execute_report

    raise typer.Exit(execute_report(run_folder, as_json=as_json, markdown=markdown))
