"""Flags of ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthsift.cli import flags
from synthsift.cli.flags import OUTPUT, option


def check(
    real: flags.Real = None,
    synthetic: flags.Synthetic = None,
    valid: flags.Valid = None,
    test: flags.Test = None,
    data: flags.Data = None,
    label: flags.Label = None,
    text: flags.Text = None,
    source_column: flags.SourceColumn = None,
    split_column: flags.SplitColumn = None,
    train_split: flags.TrainSplit = "train",
    valid_split: flags.ValidSplit = "val",
    test_split: flags.TestSplit = "test",
    id_column: flags.IdColumn = None,
    parent: flags.Parent = None,
    parent_split: flags.ParentSplit = None,
    group: flags.Group = None,
    embeddings: flags.Embeddings = None,
    max_real: flags.MaxReal = None,
    max_valid: flags.MaxValid = None,
    max_rows_per_source: flags.MaxRowsPerSource = None,
    pixels: flags.Pixels = 32,
    generator_saw: flags.GeneratorSaw = "unknown",
    seed: Annotated[int, option("Draws folds and --max-... rows.", OUTPUT)] = 0,
    out: Annotated[Path | None, option("File to write the findings to, as JSON.", OUTPUT)] = None,
    as_json: Annotated[bool, option("Print the findings as JSON.", OUTPUT, "--json")] = False,
    quiet: Annotated[bool, option("Print the findings only.", OUTPUT, "--quiet")] = False,
    debug: flags.Debug = False,
) -> None:
    """Look for leaks, copies, gaps and wrong labels in the data; exit code 1 if a finding is an error."""
    given = dict(locals())
    from synthsift.cli.console import Console
    from synthsift.cli.settings import check_generator_saw

    check_generator_saw(generator_saw)
    spec = flags.data_spec(given)
    from synthsift.cli.check import execute_check  # after the flags: a slip in one is told at once

    raise typer.Exit(execute_check(spec, generator_saw, out, Console(quiet, as_json)))
