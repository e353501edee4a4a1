"""Flags of ``score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthsift.cli import flags
from synthsift.cli.flags import DATA, MORE, OUTPUT, option


def score(
    run_folder: Annotated[Path, option("Finished run folder.", DATA, "--run", metavar="RUN")],
    synthetic: Annotated[list[str], option("[NAME=]FILE of new labelled rows, or a folder of images.", DATA)],
    out: Annotated[Path, option(".parquet file to write: id, source, row, learned_weight.", OUTPUT)],
    label: flags.Label = None,
    text: flags.Text = None,
    id_column: flags.IdColumn = None,
    source_column: Annotated[str | None, option("Column that names the source of each row.", MORE)] = None,
    embeddings: flags.Embeddings = None,
    overwrite: Annotated[bool, option("Replace an earlier file.", OUTPUT, "--overwrite")] = False,
    quiet: Annotated[bool, option("Print nothing but errors.", OUTPUT, "--quiet")] = False,
    debug: flags.Debug = False,
) -> None:
    """Weigh new labelled rows with the meta-network of a finished run; columns are those of the run by default."""
    from synthsift.cli.score import NewRows, execute_score

    rows = NewRows(tuple(synthetic), label, text, id_column, source_column, tuple(embeddings or ()))
    raise typer.Exit(execute_score(run_folder, rows, out, overwrite=overwrite, quiet=quiet))
