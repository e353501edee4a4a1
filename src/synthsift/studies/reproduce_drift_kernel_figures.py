"""Figures of the published mixture experiment with kernel scores: samples by round, bounds, heat map.

The loops are those of `reproduce_drift_kernel`. Published are plots without numbers; what is held against what is said
in each figure's note.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from synthsift.drift.closed_forms import chi2_gaussian, kl_gaussian
from synthsift.drift.guarantees import one_round_band
from synthsift.drift.kernels import five_modes
from synthsift.drift.laws import contributions
from synthsift.seeds import Seeds
from synthsift.studies.reproduce_drift_kernel import (
    BANDWIDTH,
    DIM,
    REACH,
    WIDTH,
    KernelLoop,
    KernelRound,
    draw_moment,
    predict_moment,
    run_kernels,
)
from synthsift.studies.reproduction import COLORS, Rebuilt, Table, label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRACTIONS = (0.1, 0.5, 0.9)
PUBLISHED_ROWS = 100_000
TWINS = 20  # loops that sample the kernels directly, for the spread of one loop
QUICK = KernelLoop(200, 3, 60, 100, 40, 300)
Loops = dict[float, list[KernelRound]]


def rebuild_kernels(
    seeds: Seeds, *, quick: bool = False, rows: int | None = None, tell: Callable[[str], None] | None = None
) -> Iterator[Rebuilt]:
    """Rebuild the published figures of the mixture: samples by round, divergences against their bounds, heat map.

    Parameters
    ----------
    seeds : Seeds
        Source of all loops.
    quick : bool
        Few rows, steps and rounds.
    rows : int, optional
        Rows of each training mix; the cost grows with their square.
    tell : callable, optional
        Given a line after each round.

    Raises
    ------
    DataError
        If there are fewer than 100 rows.
    """
    loop = QUICK if quick else KernelLoop()
    loop = loop if rows is None else replace(loop, num_rows=rows)
    rounds: Loops = {alpha: [] for alpha in FRACTIONS}
    for alpha, found in rounds.items():
        for one in run_kernels(alpha, loop, seeds.child("kernel scores", alpha)):
            found.append(one)
            if tell is not None:
                done = sum(map(len, rounds.values()))
                tell(f"kernel loop: {done} of {len(rounds) * loop.num_rounds} rounds of {loop.num_rows:,} rows")
    yield _samples(rounds, loop, seeds)
    yield _bounds(rounds, loop)
    yield _heat(rounds)


def _samples(rounds: Loops, loop: KernelLoop, seeds: Seeds) -> Rebuilt:
    """First two principal coordinates of real rows and of what the sampler made; growth of the second moment."""
    data = five_modes(DIM, reach=REACH, width=WIDTH)
    real = data.sample(1000, seeds.numpy("shown"))
    axes_of = np.linalg.svd(real - real.mean(axis=0), full_matrices=False)[2][:2].T
    table, outer = Table(), float(np.mean((data.centers**2).sum(axis=1))) + DIM * WIDTH**2
    shown = sorted({1, max(1, loop.num_rounds // 4), loop.num_rounds})
    for alpha, found in rounds.items():
        growth = predict_moment(alpha, loop.num_rounds, loop.t0)
        for k, one in enumerate(found):
            table.add(fraction=alpha, round=k + 1, growth=one.moment / outer - 1, predicted=float(growth[k]))

    def draw(figure: Figure) -> None:
        places = figure.subplots(len(FRACTIONS), len(shown), sharex=True, sharey=True)
        for (alpha, found), line in zip(rounds.items(), places, strict=True):
            for axes, k in zip(line, shown, strict=True):
                for rows, color in ((real, "#777777"), (found[k - 1].rows[:1000], COLORS[1])):
                    flat = rows @ axes_of
                    axes.plot(*flat.T, ".", color=color, markersize=1.2, alpha=0.5, rasterized=True)
                label_axes(axes, f"{100 * alpha:g} % fresh, round {k}", "", "")
                axes.set(xlim=(-13, 13), ylim=(-13, 13), aspect="equal")
        figure.supxlabel("first principal coordinate (real rows gray)", fontsize=9)
        figure.supylabel("second", fontsize=9)

    twins = {
        alpha: [draw_moment(alpha, loop, seeds.child("kernel twin", alpha, run).numpy("rows")) for run in range(TWINS)]
        for alpha in rounds
    }
    last = "; ".join(
        f"{100 * alpha:g} %: {100 * (found[-1].moment / outer - 1):.0f} % "
        f"(formula {100 * predict_moment(alpha, loop.num_rounds, loop.t0)[-1]:.0f} %, loops without scores "
        f"{100 * np.mean(twins[alpha]):.0f} % with a standard deviation of {100 * np.std(twins[alpha], ddof=1):.1f})"
        for alpha, found in rounds.items()
    )
    return Rebuilt(
        "kernel_samples",
        "Five modes in ten dimensions, score of a kernel density estimate: samples by round",
        table.columns,
        draw,
        (7.2, 7.4),
        note=f"{loop.num_rows:,} rows a round (published {PUBLISHED_ROWS:,}), {loop.num_steps} steps, one loop a "
        f"fraction. Growth of the second moment at round {loop.num_rounds} by fresh data: {last}; stopping at t0 makes "
        "it less than that of the kernels alone.",
    )


def _bounds(rounds: Loops, loop: KernelLoop) -> Rebuilt:
    """KL against half the path divergence, chi2 against its band, round by round."""
    table, inside, held, equal, total = Table(), 0, 0, 0, 0
    for alpha, found in rounds.items():
        for k, one in enumerate(found):
            low, high = one_round_band(one.eta, one.eps2)
            error = math.hypot(one.kl_error, one.epshat2_error / 2)
            held += one.kl <= one.epshat2 / 2 + 3 * error
            equal += abs(one.kl - one.epshat2 / 2) <= 3 * error
            inside += low <= one.chi2_plane <= high
            total += 1
            table.add(
                fraction=alpha,
                round=k + 1,
                eps2=one.eps2,
                eps2_error=one.eps2_error,
                epshat2=one.epshat2,
                epshat2_error=one.epshat2_error,
                eta=one.eta,
                kl=one.kl,
                kl_error=one.kl_error,
                chi2_plane=one.chi2_plane,
                chi2_draws=one.chi2_draws,
                band_low=low,
                band_high=high,
                start_kl=one.start_kl,
            )

    largest = max(one.eps2 for found in rounds.values() for one in found)

    def draw(figure: Figure) -> None:
        places = figure.subplots(2, len(FRACTIONS), sharex=True, sharey="row")
        for column, alpha in enumerate(FRACTIONS):
            top, low = places[0, column], places[1, column]
            cells = {name: table.where("round", name, fraction=alpha)[1] for name in table.columns}
            at, half = cells["round"], np.divide(cells["epshat2"], 2)
            top.errorbar(at, cells["kl"], yerr=np.multiply(2, cells["kl_error"]), fmt="o", color=COLORS[0], label="KL")
            top.plot(at, half, color=COLORS[2], label="half the energy of learned paths")
            label_axes(top, f"{100 * alpha:g} % fresh", "", "KL to the mix, 10-D" if column == 0 else "")
            top.set_ylim(bottom=0)
            band = (cells["band_low"], cells["band_high"])
            low.fill_between(at, *band, color=COLORS[2], alpha=0.2, linewidth=0, label="eta eps^2/4 to 4 eps^2")
            low.plot(at, cells["chi2_plane"], "o-", color=COLORS[0], label="2 coordinates, blurred")
            low.plot(at, cells["chi2_draws"], "x", color=COLORS[1], label="10-D, as a sample shows it")
            label_axes(low, "", "round", "chi2 to the mix" if column == 0 else "", logs="y")
            low.set_xticks(at[:: max(1, len(at) // 5)])
        for axes in places[:, -1]:
            axes.legend(fontsize=7, loc="upper right")

    return Rebuilt(
        "kernel_bounds",
        "The same loops: KL against half the path energy, chi2 against its band",
        table.columns,
        draw,
        (9.6, 5.4),
        note=f"KL is at most epshat^2/2 in {held} of {total} rounds (3 standard errors) and equals it in {equal}, as "
        f"it must where the learned score is the true score of some law. {_chance()} chi2 of two coordinates lies in "
        f"the band in {inside} of {total}; the band holds for small errors, and eps^2 is up to {largest:.2g} here. "
        f"{_infinite(rounds, loop)}",
    )


def _chance() -> str:
    """The most that KL can be in the population, by joint convexity its value for the narrowest kernels."""
    width, blurred = WIDTH**2 * np.eye(DIM), (WIDTH**2 + BANDWIDTH**2) * np.eye(DIM)
    most = kl_gaussian(np.zeros(DIM), blurred, np.zeros(DIM), width)
    return f"With all kernels KL would be at most {most:.2g} in every round; what is above is the chance of few ones."


def _infinite(rounds: Loops, loop: KernelLoop) -> str:
    """What chi2 of the first round is at most in the population (that of one mode, by convexity), and in samples."""
    keep = math.exp(-loop.t0)
    aim, made = (keep * v + 1 - keep for v in (WIDTH**2, WIDTH**2 + BANDWIDTH**2))
    exact = chi2_gaussian(np.zeros(DIM), made * np.eye(DIM), np.zeros(DIM), aim * np.eye(DIM))
    seen = sorted(found[0].chi2_draws for found in rounds.values())
    return (
        "Round 1 doubles the variance of every mode: its population chi2 is infinite to real data and at most "
        f"{exact:.2g} (of one mode) to them noised to t0; the loops' samples show {seen[0]:.2g} to {seen[-1]:.2g}. "
        "What was plotted as chi2 can only be such estimates."
    )


def _heat(rounds: Loops) -> Rebuilt:
    """What is left of the errors of each past round, (1-alpha)^(2(N-m)) eps_m^2, as a share of their sum."""
    table, maps = Table(), {}
    for alpha, found in rounds.items():
        heat = contributions(alpha, [one.eps2 for one in found])
        maps[alpha] = heat / heat.sum(axis=1, keepdims=True)
        for k, line in enumerate(maps[alpha]):
            for m in range(k + 1):
                table.add(fraction=alpha, round=k + 1, origin=m + 1, share=float(line[m]))

    def draw(figure: Figure) -> None:
        places, images = figure.subplots(1, len(FRACTIONS), sharey=True), []
        for axes, (alpha, heat) in zip(places, maps.items(), strict=True):
            n = len(heat)
            shown, extent = np.where(np.tri(n) > 0, heat, np.nan), (0.5, n + 0.5, n + 0.5, 0.5)
            images.append(axes.imshow(shown, vmin=0, vmax=1, cmap="viridis", extent=extent))
            label_axes(axes, f"{100 * alpha:g} % fresh", "round of the error", "round" if axes is places[0] else "")
            axes.set(xticks=range(1, n + 1, max(1, n // 5)), yticks=range(1, n + 1, max(1, n // 5)))
        figure.colorbar(images[0], ax=places, shrink=0.8)

    ages = "; ".join(
        f"{100 * alpha:g} %: {float(heat[-1, ::-1] @ np.arange(len(heat))):.1f}" for alpha, heat in maps.items()
    )
    return Rebuilt(
        "kernel_heat",
        "The same loops: share of the discounted sum of eps^2 by the round of the error",
        table.columns,
        draw,
        (9.0, 3.2),
        note=f"Mean age of an error in that sum at the last round, in rounds, by fresh data: {ages}.",
    )
