"""Flags of ``run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthsift.cli import flags
from synthsift.cli.flags import HOW, OUTPUT, option


def run(
    out: Annotated[Path, option("Run folder to write; resumed if it holds the same run.", OUTPUT)],
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
    learner: Annotated[
        str, option("logistic, mlp, cnn (images), or package.module:Factory of a scikit-learn classifier.", HOW)
    ] = "logistic",
    policies: Annotated[
        str | None,
        option("Comma-separated, named as in a run's table; a wrong name lists all. All by default.", HOW),
    ] = None,
    metric: Annotated[str | None, option("accuracy, balanced_accuracy, macro_f1, auc or log_loss.", HOW)] = None,
    seeds: Annotated[int, option("Repetitions of the 5 folds (fewer if there are fewer groups).", HOW)] = 5,
    seed: flags.FirstSeed = 0,
    budget: Annotated[float, option("Minutes.", HOW)] = 5.0,
    encoder: Annotated[
        str | None, option("timm:NAME, open_clip:NAME/WEIGHTS or sentence-transformers:NAME (extras).", HOW)
    ] = None,
    pca: Annotated[int | None, option("Project a table to so many directions.", HOW)] = None,
    allow_leaks: Annotated[bool, option("Go on although rows copy test rows.", HOW, "--allow-leaks")] = False,
    config: Annotated[
        Path | None,
        option(
            "settings.json of an earlier run; replaces all flags above but --out. It may name code to import and call "
            "(a learner module:name), so take none from people you do not trust.",
            HOW,
        ),
    ] = None,
    gallery: Annotated[bool, option("Show raw rows in the report.", OUTPUT, "--gallery/--no-gallery")] = True,
    overwrite: flags.Overwrite = False,
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Compare ways of using the synthetic rows and say which one, if any, makes the model better."""
    given = dict(locals())
    from synthsift.cli.console import Console
    from synthsift.cli.crew import joined
    from synthsift.cli.settings import RunSettings

    if config is not None:
        settings = RunSettings.read(config)
    else:
        spec = flags.data_spec(given)
        settings = RunSettings(
            spec, learner, policies, seeds, seed, budget, metric, pca, generator_saw, allow_leaks, gallery, encoder
        )
    from synthsift.cli.run import execute  # after the settings: a slip in a flag is told at once

    raise typer.Exit(execute(settings, out, Console(quiet, as_json), overwrite=overwrite, crew=joined()))
