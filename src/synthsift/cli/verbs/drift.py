"""Flags of ``drift``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthsift.cli import flags
from synthsift.cli.flags import DATA, HOW, OUTPUT, option


def drift(
    generations: Annotated[
        list[str],
        typer.Argument(metavar="GEN...", help="Samples of each generation, oldest first: a file or image folder each."),
    ],
    real: Annotated[
        str | None,
        option("Real rows no generation was trained on: .npy, .npz, a table, or a folder of images.", DATA),
    ] = None,
    state: Annotated[
        Path | None, option("File that remembers the stream. Without --real, generations are added to it.", DATA)
    ] = None,
    fresh_fraction: Annotated[
        str | None,
        option("Real share of each training mix: one, or one a step; with --state the last one goes on.", DATA),
    ] = None,
    accumulate: Annotated[
        bool | None,
        option(
            "Training sets keep the rows of all generations, or of the last one only. Stays as the stream began. "
            "[--replace]",
            DATA,
            "--accumulate/--replace",
        ),
    ] = None,
    label: Annotated[str | None, option("Column of classes (y in .npz), to see which ones are lost.", DATA)] = None,
    text: flags.Text = None,
    pixels: Annotated[int | None, option("Side that images are scaled to: 32 or 64. [32]", DATA)] = None,
    encoder: Annotated[
        str | None, option("timm:NAME, open_clip:NAME/WEIGHTS or sentence-transformers:NAME (extras).", DATA)
    ] = None,
    target: Annotated[
        float | None, option("Drift (MMD2) that is acceptable: plan for it, alarm only above it.", HOW)
    ] = None,
    horizon: Annotated[
        int | None, option("Generations that the false-alarm rate holds for and forecasts reach to. [20]", HOW)
    ] = None,
    false_alarms: Annotated[
        float | None, option("Probability of any false alarm within the horizon. [0.05]", HOW)
    ] = None,
    seed: Annotated[int | None, option("Randomness. [0]", HOW)] = None,
    out: Annotated[Path | None, option("Folder for drift.json, drift.csv, the figure and report.html.", OUTPUT)] = None,
    gallery: Annotated[
        bool, option("Keep a few raw rows of each generation for the page.", OUTPUT, "--gallery/--no-gallery")
    ] = True,
    overwrite: flags.Overwrite = False,
    as_json: Annotated[bool, option("Print drift.json.", OUTPUT, "--json")] = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Watch a generator that is retrained on its own output: how far it drifted, where it ends, what keeps it safe."""
    from synthsift.cli.console import Console
    from synthsift.cli.drift import DriftSettings, execute_drift

    settings = DriftSettings(
        generations=tuple(generations),
        real=real,
        state=state,
        fresh_fraction=fresh_fraction,
        accumulate=accumulate,
        label=label,
        text=text,
        pixels=pixels,
        encoder=encoder,
        target=target,
        horizon=horizon,
        false_alarms=false_alarms,
        seed=seed,
        out=out,
        gallery=gallery,
        overwrite=overwrite,
    )
    raise typer.Exit(execute_drift(settings, Console(quiet, as_json)))
