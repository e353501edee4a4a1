"""Flags of ``simulate`` and its five loops."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthsift.cli import flags
from synthsift.cli.flags import DATA, HOW, OUTPUT, option

simulate = typer.Typer(
    no_args_is_help=True,
    help="Recursion laboratory: loops whose laws are known, formula beside simulation.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Alpha = Annotated[float, option("Fresh fraction, 0 to 1.", HOW)]
Rounds = Annotated[int, option("Rounds of retraining.", HOW)]
Runs = Annotated[int, option("Independent loops.", HOW)]
Dim = Annotated[int, option("Dimensions.", HOW)]
Seed = Annotated[int, option("Randomness.", HOW)]
Out = Annotated[Path | None, option("Folder for simulate.json, .csv, .png and .svg.", OUTPUT)]
AsJson = Annotated[bool, option("Print simulate.json.", OUTPUT, "--json")]


@simulate.command()
def gaussian(
    alpha: Alpha = 0.2,
    rows: Annotated[int, option("Rows of each training set.", HOW)] = 50,
    rounds: Rounds = 20,
    runs: Runs = 2000,
    dim: Dim = 1,
    fixed_real: Annotated[bool, option("Reuse one real set instead of fresh data.", HOW, "--fixed-real")] = False,
    random_composition: Annotated[
        bool, option("Every row is real by chance, instead of an exact share.", HOW, "--random-composition")
    ] = False,
    unbiased: Annotated[bool, option("Divide the variance by n-1.", HOW, "--unbiased")] = False,
    seed: Seed = 0,
    out: Out = None,
    overwrite: flags.Overwrite = False,
    as_json: AsJson = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """A Gaussian refitted to real data and its own samples: how much variance is left."""
    from synthsift.cli.console import Console
    from synthsift.cli.simulate import SimulateOutput, execute_gaussian

    code = execute_gaussian(
        SimulateOutput(out, seed, overwrite),
        Console(quiet, as_json),
        rounds=rounds,
        runs=runs,
        dim=dim,
        num_rows=rows,
        alpha=alpha,
        kind="fixed_real" if fixed_real else "fresh",
        random_composition=random_composition,
        ddof=int(unbiased),
    )
    raise typer.Exit(code)


@simulate.command()
def accumulate(
    rows: Annotated[int, option("New rows of each round.", HOW)] = 50,
    rounds: Rounds = 20,
    runs: Runs = 2000,
    dim: Dim = 1,
    seed: Seed = 0,
    out: Out = None,
    overwrite: flags.Overwrite = False,
    as_json: AsJson = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Keep the data of all rounds, or replace them by the newest samples."""
    from synthsift.cli.console import Console
    from synthsift.cli.simulate import SimulateOutput, execute_accumulate

    where = SimulateOutput(out, seed, overwrite)
    raise typer.Exit(execute_accumulate(where, Console(quiet, as_json), rows=rows, rounds=rounds, runs=runs, dim=dim))


@simulate.command()
def mixture(
    alpha: Alpha = 0.3,
    eps: Annotated[float, option("Size of each round's error; its chi2 is the square.", HOW)] = 0.1,
    rounds: Rounds = 30,
    runs: Runs = 400,
    seed: Seed = 0,
    out: Out = None,
    overwrite: flags.Overwrite = False,
    as_json: AsJson = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Errors of one size on a two-mode mixture: random, the same every round, or alternating."""
    from synthsift.cli.console import Console
    from synthsift.cli.simulate import SimulateOutput, execute_mixture

    where = SimulateOutput(out, seed, overwrite)
    raise typer.Exit(execute_mixture(where, Console(quiet, as_json), alpha=alpha, eps=eps, rounds=rounds, runs=runs))


@simulate.command()
def truncation(
    alpha: Alpha = 0.3,
    t0: Annotated[float, option("Time at which the sampler stops.", HOW)] = 0.2,
    rounds: Rounds = 12,
    rows: Annotated[int, option("Simulated rows.", HOW)] = 40_000,
    seed: Seed = 0,
    out: Out = None,
    overwrite: flags.Overwrite = False,
    as_json: AsJson = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """A perfect sampler that stops early: a low-pass filter on what is learned."""
    from synthsift.cli.console import Console
    from synthsift.cli.simulate import SimulateOutput, execute_truncation

    where = SimulateOutput(out, seed, overwrite)
    raise typer.Exit(execute_truncation(where, Console(quiet, as_json), alpha=alpha, t0=t0, rounds=rounds, rows=rows))


@simulate.command()
def diffusion(
    data: Annotated[
        str, option("mixture (a known density), digits, mnist:FOLDER, or FILE.npy/.npz of gray pictures.", DATA)
    ] = "mixture",
    alpha: Alpha = 0.3,
    generations: Annotated[int, option("Models trained one after the other.", HOW)] = 5,
    dim: Annotated[int | None, option("Dimensions of the mixture, at least 2. [2]", HOW)] = None,
    rows: Annotated[int | None, option("Rows every model makes for the next. [4096, pictures 1500]", HOW)] = None,
    paths: Annotated[
        int | None, option("Paths, or noised pictures, that score errors rest on. [1000, pictures 4000]", HOW)
    ] = None,
    steps: Annotated[int | None, option("Training steps of each model. [1500, pictures 1200]", HOW)] = None,
    width: Annotated[int | None, option("Units of a layer, or channels of the U-Net. [96, pictures 16]", HOW)] = None,
    batch: Annotated[int | None, option("Rows of a training step. [384, pictures 64]", HOW)] = None,
    sampling_steps: Annotated[int | None, option("Time steps of the sampler. [80, pictures 60]", HOW)] = None,
    t0: Annotated[float | None, option("Time at which the sampler stops. [0.05, pictures 0.01]", HOW)] = None,
    sampler: Annotated[str, option("sde (Euler-Maruyama) or ode (probability flow).", HOW)] = "sde",
    warm_start: Annotated[bool, option("Go on from the last network.", HOW, "--warm-start")] = False,
    device: Annotated[str, option("cpu or cuda.", HOW)] = "cpu",
    seed: Seed = 0,
    out: Annotated[Path | None, option("Folder for record, table, figure and checkpoints; resumes.", OUTPUT)] = None,
    overwrite: flags.Overwrite = False,
    as_json: AsJson = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Real diffusion models trained on fresh data and their own samples, held against the theory."""
    from synthsift.cli.console import Console
    from synthsift.cli.simulate import SimulateOutput
    from synthsift.cli.simulate_diffusion import DiffusionFlags, execute_diffusion

    given = DiffusionFlags(
        data,
        dim,
        {"alpha": alpha, "num_rounds": generations, "pool_rows": rows, "num_paths": paths, "warm_start": warm_start},
        {
            "steps": steps,
            "width": width,
            "batch": batch,
            "sampling_steps": sampling_steps,
            "t0": t0,
            "sampler": sampler,
            "device": device,
        },
    )
    raise typer.Exit(execute_diffusion(SimulateOutput(out, seed, overwrite), Console(quiet, as_json), given))
