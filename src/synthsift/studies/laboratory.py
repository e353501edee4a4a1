"""What `simulate` runs: loops with a closed form beside their simulation, each as a table, a sentence and a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.drift.loops import GaussianLoop, limit_gaussian, predict_gaussian, simulate_gaussian
from synthsift.drift.loops_blur import predict_truncation, simulate_truncation, truncation_gain
from synthsift.drift.loops_tilt import Pattern, Quadrature, predict_tilt, simulate_tilt
from synthsift.drift.mixtures import BIMODAL, Mixture1D
from synthsift.records import DataError, Prediction
from synthsift.seeds import Seeds
from synthsift.studies.reproduction import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NUMBERS = 100_000_000  # rows times runs times width held at once: 0.8 GB
PATTERNS: tuple[Pattern, ...] = ("random", "same", "alternate")
MOST_ROUNDS = 5000
ORDERS = (1, 2, 3, 4)
#: Its Hermite coefficients of orders 1 to 4 are all large, so that their shares can be simulated.
OFF_CENTER = Mixture1D((0.5, 0.5), (0.5, 2.5), (0.3, 0.3))


@dataclass(frozen=True)
class Simulated:
    """One simulation, ready to print, plot and store.

    Parameters
    ----------
    kind, title : str
        Which loop, and what the figure shows.
    columns : mapping of str to sequence
        The table; all of one length.
    sentence : str
        What was found.
    draw : callable
        Draws it into an empty figure.
    size : tuple of float
        Of the figure, inches.
    more : mapping
        Further numbers for the record.
    """

    kind: str
    title: str
    columns: Mapping[str, Sequence[Any]]
    sentence: str
    draw: Callable[[Figure], None]
    size: tuple[float, float]
    more: Mapping[str, Any]


def check_sizes(**sizes: float) -> None:
    """Refuse sizes below 1, and rounds without end.

    Raises
    ------
    DataError
        Naming the first of them.
    """
    for name, value in sizes.items():
        if value < 1:
            raise DataError(f"--{name.replace('_', '-')} is {value}; a whole number of at least 1 is needed")
        if name == "rounds" and value > MOST_ROUNDS:
            raise DataError(f"--rounds is {value}; at most {MOST_ROUNDS} are simulated, when every loop has settled")


def check_memory(*sizes: int) -> None:
    """Refuse a simulation whose arrays would not fit.

    Raises
    ------
    DataError
        If the product of the sizes is above `MOST_NUMBERS`.
    """
    count = int(np.prod([float(size) for size in sizes]))
    if count > MOST_NUMBERS:
        raise DataError(
            f"the simulation holds {count:.2g} numbers at once ({8e-9 * count:.1f} GB); at most {MOST_NUMBERS:.0e} are "
            f"allowed. Lower --runs or --rows"
        )


def simulate_gaussian_study(loop: GaussianLoop, rounds: int, runs: int, seeds: Seeds, dim: int = 1) -> Simulated:
    """A Gaussian that is refitted to fresh (or fixed) real data and its own samples."""
    check_sizes(rounds=rounds, runs=runs, dim=dim)
    check_memory(loop.num_rows, runs, dim)
    exact = predict_gaussian(loop, rounds)
    drawn = simulate_gaussian(loop, rounds, num_runs=runs, seeds=seeds, dim=dim)
    if loop.alpha > 0:
        found = f" In the long run the variance is {limit_gaussian(loop)[0]:.4g}."
    elif loop.ddof == 0:
        found = " In the long run nothing is left: there is no fresh data."
    else:
        found = f" The mean stays, but half of the loops are below {drawn.terms['median'][-1]:.2g}: most collapse."
    return _curves(
        "gaussian",
        f"Variance of a refitted Gaussian: {loop.num_rows} rows a round, {100 * loop.alpha:g} % real",
        {"variance": (exact, drawn)},
        f"After {rounds} rounds the fitted variance is {exact.mean[-1]:.4g} of 1 by the formula and "
        f"{drawn.mean[-1]:.4g} +- {1.96 * drawn.terms['standard_error'][-1]:.2g} in {runs} simulated loops.{found}",
        "fitted variance, truth 1",
        {"two_kl": drawn.terms["two_kl"], "two_kl_error": drawn.terms["two_kl_error"]},
    )


def simulate_accumulate_study(rows: int, rounds: int, runs: int, seeds: Seeds, dim: int = 1) -> Simulated:
    """Keep all data of all rounds, or replace them by the newest samples."""
    check_sizes(rounds=rounds, runs=runs, dim=dim)
    check_memory(rows, runs, dim)
    pairs = {}
    for name, loop in (
        ("accumulate", GaussianLoop(rows, kind="accumulate")),
        ("replace", GaussianLoop(rows, alpha=0.0)),
    ):
        drawn = simulate_gaussian(loop, rounds, num_runs=runs, seeds=seeds.child(name), dim=dim)
        pairs[name] = predict_gaussian(loop, rounds), drawn
    kept, lost = (pairs[name][0].mean[-1] for name in ("accumulate", "replace"))
    limit = limit_gaussian(GaussianLoop(rows, kind="accumulate"))[0]
    return _curves(
        "accumulate",
        f"Variance of a refitted Gaussian, {rows} new rows a round: keep all data, or replace them",
        pairs,
        f"After {rounds} rounds {100 * kept:.1f} % of the variance is left if all data are kept (never less than "
        f"{100 * limit:.1f} %), and {100 * lost:.1f} % if each round replaces them.",
        "fitted variance, truth 1",
    )


def simulate_mixture_study(alpha: float, eps: float, rounds: int, runs: int, seeds: Seeds) -> Simulated:
    """Errors of one size on a two-mode mixture: new every round, always the same, or with alternating sign."""
    check_sizes(rounds=rounds, runs=runs)
    check_memory(601, runs)
    if not 0 < eps <= 0.5:
        raise DataError(
            f"--eps is {eps}; an error size above 0 and at most 0.5 is needed, so that densities stay positive"
        )
    places = np.linspace(-4.5, 4.5, 601)
    density = BIMODAL.density(places)
    law = Quadrature(places[:, None], density / density.sum())
    pairs: dict[str, tuple[Prediction, Prediction]] = {}
    for pattern in PATTERNS:
        count = runs if pattern == "random" else max(2, runs // 20)
        drawn = simulate_tilt(law, alpha, eps, pattern, rounds, num_runs=count, seeds=seeds.child(pattern))
        pairs[pattern] = predict_tilt(alpha, eps, pattern, rounds), drawn
    random, same = (pairs[name][1].mean[-1] for name in ("random", "same"))
    law_holds = "The law for repeating and alternating errors holds to first order in the drift."
    if alpha == 0:
        law_holds = (
            f"Without fresh data there is no steady state: drift grows like N J when errors are random and like N^2 J "
            f"when they repeat (N rounds, J = {eps**2:.3g}); alternating ones cancel every second round. All of this "
            "holds to first order in the drift."
        )
    return _curves(
        "mixture",
        f"Drift of a two-mode mixture when every round errs by {eps:g}, {100 * alpha:g} % fresh data",
        pairs,
        f"After {rounds} rounds drift (chi2) is {random:.3g} when errors are random and {same:.3g} when they repeat: "
        f"{same / random:.1f} times as much from errors of the same size. {law_holds}",
        "drift, chi2 to real data",
        first_order=("same", "alternate") if alpha > 0 else PATTERNS,
        logs=True,
    )


def simulate_truncation_study(alpha: float, t0: float, rounds: int, rows: int, seeds: Seeds) -> Simulated:
    """A perfect sampler that stops at t0: fine structure is filtered away."""
    check_sizes(rounds=rounds, rows=rows)
    check_memory(rows, rounds)
    if not t0 > 0:
        raise DataError(f"--t0 is {t0}; a stopping time above 0 is needed (at 0 nothing is lost)")
    pairs = {}
    for order in ORDERS:
        drawn = simulate_truncation(OFF_CENTER, alpha, t0, order, rounds, num_rows=rows, seeds=seeds)
        pairs[f"order {order}"] = predict_truncation(alpha, t0, order, rounds), drawn
    kept = {order: truncation_gain(alpha, order, t0) if alpha > 0 else 0.0 for order in ORDERS}
    return _curves(
        "truncation",
        f"What a sampler stopped at t0 = {t0:g} leaves of each Hermite coefficient, {100 * alpha:g} % fresh data",
        pairs,
        "In the long run "
        + ", ".join(f"{100 * share:.0f} % of order {order}" for order, share in kept.items())
        + " is left: the finer the structure, the more of it is lost.",
        "share that is left",
    )


def _curves(
    kind: str,
    title: str,
    pairs: Mapping[str, tuple[Prediction, Prediction]],
    sentence: str,
    label: str,
    more: Mapping[str, Any] | None = None,
    *,
    first_order: Iterable[str] = (),
    logs: bool = False,
) -> Simulated:
    """Formula and simulation of several curves by round; the exact ones among them are compared."""
    columns: dict[str, list[Any]] = {name: [] for name in ("curve", "round", "formula", "simulated", "standard_error")}
    worst, count = 0.0, 0
    for name, (exact, drawn) in pairs.items():
        error = np.asarray(drawn.terms["standard_error"])
        columns["curve"] += [name] * len(exact.at)
        for key, values in (("round", exact.at), ("formula", exact.mean), ("simulated", drawn.mean)):
            columns[key] += np.asarray(values).tolist()
        columns["standard_error"] += error.tolist()
        sure = (error > 1e-6 * np.abs(drawn.mean)) & np.isfinite(error)  # the first round has no randomness
        if name not in first_order and sure.any():
            worst = max(worst, float(np.max(np.abs(drawn.mean - exact.mean)[sure] / error[sure])))
            count += int(sure.sum())
    if count:
        sentence += f" Formula and simulation differ by at most {worst:.1f} standard errors at {count} points."

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.subplots()
        first = int(logs)  # drift is 0 at the start, which has no logarithm
        for color, (name, (exact, drawn)) in zip(COLORS, pairs.items(), strict=False):
            at = exact.at[first:]
            seen = exact.mean > 0 if logs else np.full(len(exact.at), True)  # errors may cancel every second round
            axes.plot(exact.at[seen], exact.mean[seen], color=color, label=f"{name}, formula")
            axes.fill_between(at, drawn.low[first:], drawn.high[first:], color=color, alpha=0.2, linewidth=0)
            axes.plot(at, drawn.mean[first:], "o", color=color, markersize=3.5, label=f"{name}, simulated")
        axes.set(title=title, xlabel="round", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if logs:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))

    return Simulated(
        kind, title, columns, sentence, draw, (8.4, 4.2), {"worst_z": worst, "compared": count, **(more or {})}
    )
