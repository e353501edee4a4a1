"""Flags of ``plan mixing`` and ``plan collapse``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthsift.cli import flags
from synthsift.cli.flags import DATA, MORE, OUTPUT, option

ASK = "What is asked"
MODEL = "Numbers (instead of data)"
plan = typer.Typer(
    no_args_is_help=True,
    help="Predict before paying: how much synthetic data, how strict a verifier, how big a model, where it collapses.",
)

Run = Annotated[Path | None, typer.Argument(metavar="[RUN]", help="Run folder to plan from, instead of files.")]
Audit = Annotated[Path | None, option("Audited synthetic rows, a CSV such as: right,kept / 1,1 / 0,1 / 1,0.", DATA)]
Skipped = Annotated[str | None, option("Column that is no input, such as a group.", MORE, "--group")]
Positive = Annotated[str | None, option("Class planned against the rest.", DATA)]
NumReal = Annotated[float | None, option("Real rows.", MODEL)]
NumSynth = Annotated[float | None, option("Synthetic rows you think of.", ASK)]
Dim = Annotated[int | None, option("Number of features.", MODEL)]
Spectrum = Annotated[Path | None, option("File of feature variances, one number a line; all 1 by default.", MODEL)]
Ridge = Annotated[float | None, option("Ridge; by default the best one for the real rows alone.", ASK)]
Weight = Annotated[float | None, option("Weight of a synthetic row where a real one has 1.", ASK)]
Seed = Annotated[int, option("Seed of draws and folds.", ASK)]
Out = Annotated[Path | None, option("Folder for plan.json and plan.svg.", OUTPUT)]
Json = Annotated[bool, option("Print the plan as JSON.", OUTPUT, "--json")]
Quiet = Annotated[bool, option("Print the advice only.", OUTPUT, "--quiet")]


@plan.command()
def mixing(
    run: Run = None,
    real: flags.Real = None,
    synthetic: flags.Synthetic = None,
    label: flags.Label = None,
    text: flags.Text = None,
    data: flags.Data = None,
    source_column: flags.SourceColumn = None,
    split_column: flags.SplitColumn = None,
    train_split: flags.TrainSplit = "train",
    valid_split: flags.ValidSplit = "val",
    test_split: flags.TestSplit = "test",
    id_column: flags.IdColumn = None,
    group: Skipped = None,
    embeddings: flags.Embeddings = None,
    max_real: flags.MaxReal = None,
    max_rows_per_source: flags.MaxRowsPerSource = None,
    audit: Audit = None,
    positive: Positive = None,
    num_real: NumReal = None,
    dim: Dim = None,
    mean_norm: Annotated[float | None, option("Half the distance of the class means, in feature sds.", MODEL)] = None,
    spectrum: Spectrum = None,
    mean: Annotated[Path | None, option("File with the class mean in each direction.", MODEL)] = None,
    real_label_noise: Annotated[float | None, option("Share of wrong real labels.", MODEL)] = None,
    num_synth: NumSynth = None,
    label_noise: Annotated[float | None, option("Share of wrong synthetic labels.", ASK)] = None,
    keep_right: Annotated[float | None, option("Share of right labels your verifier keeps.", ASK)] = None,
    keep_wrong: Annotated[float | None, option("Share of wrong labels it keeps.", ASK)] = None,
    audited: Annotated[int | None, option("Rows behind these three shares: gives intervals.", ASK)] = None,
    generator: Annotated[str | None, option("fresh, exact or self (fitted on the same real rows).", ASK)] = None,
    generator_size: Annotated[float | None, option("Real rows the generator was fitted on.", ASK)] = None,
    ridge: Ridge = None,
    synth_weight: Weight = None,
    draws: Annotated[int, option("Posterior draws behind the intervals.", ASK)] = 300,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Accuracy against the number of synthetic rows, for no, your and a perfect verifier."""
    from synthsift.cli.plan import PlanOutput, PlanSource, execute_plan_mixing
    from synthsift.data.spec import DataSpec

    spec = DataSpec(
        real=tuple(real or ()),
        synthetic=tuple(synthetic or ()),
        label=label,
        text=text,
        data=data,
        source_column=source_column,
        split_column=split_column,
        train_split=train_split,
        valid_split=valid_split,
        test_split=test_split,
        id=id_column,
        group=group,
        embeddings=tuple(embeddings or ()),
        max_real=max_real,
        max_rows_per_source=max_rows_per_source,
        seed=seed,
    )
    numbers = {
        "num_real": num_real,
        "dim": dim,
        "mean_norm": mean_norm,
        "spectrum": spectrum,
        "mean": mean,
        "real_label_noise": real_label_noise,
        "num_synth": num_synth,
        "label_noise": label_noise,
        "keep_right": keep_right,
        "keep_wrong": keep_wrong,
        "audited": audited,
        "generator": generator,
        "generator_size": generator_size,
        "ridge": ridge,
        "synth_weight": synth_weight,
        "draws": draws,
        "seed": seed,
    }
    source = PlanSource(run, spec, positive, audit)
    raise typer.Exit(execute_plan_mixing(source, numbers, PlanOutput(out, as_json, quiet)))


@plan.command()
def collapse(
    run: Run = None,
    real: flags.Real = None,
    synthetic: flags.Synthetic = None,
    label: flags.Label = None,
    text: flags.Text = None,
    data: flags.Data = None,
    source_column: flags.SourceColumn = None,
    split_column: flags.SplitColumn = None,
    train_split: flags.TrainSplit = "train",
    valid_split: flags.ValidSplit = "val",
    test_split: flags.TestSplit = "test",
    id_column: flags.IdColumn = None,
    group: Skipped = None,
    embeddings: flags.Embeddings = None,
    max_real: flags.MaxReal = None,
    max_rows_per_source: flags.MaxRowsPerSource = None,
    audit: Audit = None,
    positive: Positive = None,
    num_real: NumReal = None,
    num_synth: Annotated[float | None, option("Synthetic rows.", MODEL)] = None,
    dim: Dim = None,
    mismatch: Annotated[float | None, option("Mean squared difference of the label rules (c^2).", MODEL)] = None,
    mismatch_error: Annotated[float | None, option("Its standard error: gives intervals.", MODEL)] = None,
    real_noise_variance: Annotated[float | None, option("Variance of real label noise; 1 by default.", MODEL)] = None,
    synth_noise_variance: Annotated[float | None, option("Of synthetic label noise; the real one.", MODEL)] = None,
    spectrum: Spectrum = None,
    ridge: Annotated[float | None, option("Ridge of the fit; 0 by default.", MODEL)] = None,
    width: Annotated[int | None, option("Size of your model: features of its last layer.", ASK)] = None,
    draws: Annotated[int, option("Draws behind the intervals.", ASK)] = 300,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Error against synthetic rows, all rows of a mix and model size: where the floor is, and what avoids it."""
    from synthsift.cli.plan import PlanOutput, PlanSource, execute_plan_collapse
    from synthsift.data.spec import DataSpec

    spec = DataSpec(
        real=tuple(real or ()),
        synthetic=tuple(synthetic or ()),
        label=label,
        text=text,
        data=data,
        source_column=source_column,
        split_column=split_column,
        train_split=train_split,
        valid_split=valid_split,
        test_split=test_split,
        id=id_column,
        group=group,
        embeddings=tuple(embeddings or ()),
        max_real=max_real,
        max_rows_per_source=max_rows_per_source,
        seed=seed,
    )
    numbers = {
        "num_real": num_real,
        "num_synth": num_synth,
        "dim": dim,
        "mismatch": mismatch,
        "mismatch_error": mismatch_error,
        "real_noise_variance": real_noise_variance,
        "synth_noise_variance": synth_noise_variance,
        "spectrum": spectrum,
        "ridge": ridge,
        "width": width,
        "draws": draws,
        "seed": seed,
    }
    source = PlanSource(run, spec, positive, audit)
    raise typer.Exit(execute_plan_collapse(source, numbers, PlanOutput(out, as_json, quiet)))
