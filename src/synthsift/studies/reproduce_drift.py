"""Figures on error propagation in retrained diffusion models (arXiv 2602.16601, 2606.13796), rebuilt as far as known.

The published mixture experiment (ten dimensions, five modes, width 0.6, a kernel density estimate of bandwidth 0.6 as
model) has a closed form for its second moments. Its plotted chi2 has none: with width = bandwidth the population chi2
is infinite after the first round, as every mode's variance doubles, so what was plotted are finite-sample estimates.
The loop with its scores and paths is in `reproduce_drift_kernel`. No numbers were printed; the growth held against
ours is that of an independent calculation. The recursion on images is rebuilt at reduced size
(`reproduce_drift_pictures`), and beside it a loop of text (`reproduce_drift_text`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm as normal
from scipy.stats import t as student

from synthsift.drift.kernels import five_modes
from synthsift.drift.loops_blur import blur_drift, predict_blur, predict_truncation, simulate_truncation
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.laboratory import OFF_CENTER
from synthsift.studies.reproduction import COLORS, Check, Rebuilt, Table, label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIM, REACH, WIDTH, BANDWIDTH, ROUNDS = 10, 4.0, 0.6, 0.6, 20
GROWTH_PRINTED = {0.1: 1.08, 0.5: 0.247, 0.9: 0.138}
BANDWIDTHS = (0.1, 0.2, 0.4, 0.6)
GAIN_PRINTED = {
    0.1: (0.5310, 0.3288, 0.2283, 0.1709),
    0.5: (0.8262, 0.6931, 0.5883, 0.5041),
}
STOP, TRUNCATED_ROUNDS = 0.2, 12


def rebuild(
    seeds: Seeds,
    *,
    quick: bool = False,
    data: Path | None = None,
    rows: int | None = None,
    tell: Callable[[str], None] | None = None,
) -> Iterator[Rebuilt]:
    """Rebuild every figure, cheap ones first.

    Parameters
    ----------
    seeds : Seeds
        Source of all simulations.
    quick : bool
        Fewer simulated rows and runs, smaller networks.
    data : Path, optional
        Folder with tinyshakespeare/input.txt, or a file of text; without it (and without SYNTHSIFT_DATA) the loop of
        text is left out, and the last figure's note says so.
    rows : int, optional
        Rows of each round of the loop with kernel scores.
    tell : callable, optional
        Given a line after each of these rounds.

    Raises
    ------
    DataError
        If `data` is given and holds no such text, or there are too few rows.
    """
    from synthsift.studies.reproduce_drift_kernel_figures import rebuild_kernels
    from synthsift.studies.reproduce_drift_pictures import rebuild_pictures
    from synthsift.studies.reproduce_drift_text import FILE, find_text, rebuild_text

    text = find_text(data)
    if text is None and data is not None:
        raise DataError(f"{data} holds no {FILE}. Put the text there, or name a file of text with --data")
    yield rebuild_growth(seeds, quick=quick)
    yield rebuild_chi2()
    yield rebuild_filter(seeds, quick=quick)
    yield from rebuild_kernels(seeds, quick=quick, rows=rows, tell=tell)
    pictures = rebuild_pictures(seeds, quick=quick)
    if text is None:
        yield replace(pictures, note=f"{pictures.note} The loop of text is left out: give --data FOLDER with {FILE}.")
        return
    yield pictures
    yield rebuild_text(seeds, text, quick=quick)


def rebuild_growth(seeds: Seeds, *, quick: bool = False) -> Rebuilt:
    """Growth of the second moment of the ten-dimensional mixture when a kernel density estimate is the model."""
    table, checks = Table(), []
    rows, runs = (1000, 16) if quick else (20_000, 10)
    # The error itself is an estimate from few runs: widened so that 4 of it mean what 4 known deviations do.
    wider = float(student.isf(normal.sf(4), runs - 1)) / 4
    law = five_modes(DIM, reach=REACH, width=WIDTH)
    outer = float(np.sum(law.weights[:, None] * law.centers**2))
    for alpha, printed in GROWTH_PRINTED.items():
        spread = predict_blur(alpha, BANDWIDTH**2, ROUNDS, dim=DIM, variance=WIDTH**2).terms["variance"]
        growth = (outer + DIM * spread) / (outer + DIM * WIDTH**2) - 1
        drawn = np.array(
            [simulate_kernel_loop(alpha, rows, seeds.child("kernel", alpha, run)) for run in range(runs)]
        ) / (outer + DIM * WIDTH**2)
        drawn, error = drawn.mean(axis=0) - 1, wider * drawn.std(axis=0, ddof=1) / math.sqrt(runs)
        for k in range(ROUNDS + 1):
            table.add(fraction=alpha, round=k, curve="predicted", growth=float(growth[k]))
            table.add(fraction=alpha, round=k, curve="simulated", growth=float(drawn[k]))
        name = f"growth at round {ROUNDS}, alpha = {alpha:g}"
        checks.append(Check(name, printed, float(growth[-1]), float(drawn[-1]), float(error[-1])))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for color, alpha in zip(COLORS, GROWTH_PRINTED, strict=False):
            axes.plot(
                *table.where("round", "growth", fraction=alpha, curve="predicted"),
                color=color,
                label=f"{100 * alpha:g} % fresh",
            )
            axes.plot(*table.where("round", "growth", fraction=alpha, curve="simulated"), "o", color=color)
        label_axes(axes, "Second moment above that of the data; points: simulated", "round", "relative growth")
        axes.legend()

    return Rebuilt(
        "kernel_growth",
        "Five modes in ten dimensions, kernel density estimate as model: growth of the second moment",
        table.columns,
        draw,
        checks=tuple(checks),
        note="Rows are drawn from the kernels directly, without scores. The printed values are an independent "
        "calculation of the population loop; its 13.8 % at alpha = 0.9 lies "
        "0.1 points above the formula, beyond rounding. Standard errors, from few runs, are widened by Student's t.",
    )


def simulate_kernel_loop(alpha: float, num_rows: int, seeds: Seeds) -> np.ndarray:
    """Mean squared norm of every generation (rounds + 1,) of a loop that samples a kernel density estimate."""
    law, rng = five_modes(DIM, reach=REACH, width=WIDTH), seeds.numpy("loop")
    own = law.sample(num_rows, rng)
    found = [float((own**2).sum(axis=1).mean())]
    for _ in range(ROUNDS):
        fresh = rng.random(num_rows) < alpha
        mix = np.where(fresh[:, None], law.sample(num_rows, rng), own)
        picked = mix[rng.integers(num_rows, size=num_rows)]
        own = picked + BANDWIDTH * rng.standard_normal(picked.shape)
        found.append(float((own**2).sum(axis=1).mean()))
    return np.array(found)


def rebuild_chi2() -> Rebuilt:
    """Population chi2 of one mode of that loop: finite for a while at small bandwidths, never at the published one."""
    table = Table()
    for h in BANDWIDTHS:
        for k in range(1, ROUNDS + 1):
            drift = blur_drift(0.5, h**2, k, dim=DIM, variance=WIDTH**2)
            table.add(bandwidth=h, round=k, drift=drift if math.isfinite(drift) else None)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for color, h in zip(COLORS, BANDWIDTHS, strict=False):
            rounds, drift = table.where("round", "drift", bandwidth=h)
            last = "" if len(rounds) == ROUNDS else f", infinite from round {len(rounds) + 1}"
            axes.plot(rounds, drift, "o-", color=color, label=f"bandwidth {h:g}{last}")
        label_axes(axes, "Population chi2 of one mode, 50 % fresh data", "round", "chi2", logs="y")
        axes.set_xlim(0, ROUNDS + 1)
        axes.legend()

    return Rebuilt(
        "kernel_chi2",
        "One mode of width 0.6 in ten dimensions, kernel density estimate as model: population chi2",
        table.columns,
        draw,
        note="At the published bandwidth 0.6 chi2 is infinite at once: plotted values can only be finite-sample ones.",
    )


def rebuild_filter(seeds: Seeds, *, quick: bool = False) -> Rebuilt:
    """Share of each Hermite coefficient that a sampler stopped at t0 leaves: a low-pass filter."""
    table, checks = Table(), []
    for alpha, gains in GAIN_PRINTED.items():
        for order, printed in enumerate(gains, start=1):
            exact = predict_truncation(alpha, STOP, order, TRUNCATED_ROUNDS)
            node = seeds.child("filter", alpha, order)
            drawn = simulate_truncation(
                OFF_CENTER, alpha, STOP, order, TRUNCATED_ROUNDS, num_rows=20_000 if quick else 400_000, seeds=node
            )
            for curve, found in (("predicted", exact), ("simulated", drawn)):
                for k, share in zip(found.at.tolist(), found.mean.tolist(), strict=True):
                    table.add(fraction=alpha, order=order, round=k, curve=curve, share=share)
            error = float(drawn.terms["standard_error"][-1])
            name = f"order {order}, alpha = {alpha:g}"
            checks.append(Check(name, printed, float(exact.mean[-1]), float(drawn.mean[-1]), error))

    def draw(figure: Figure) -> None:
        places = figure.subplots(1, len(GAIN_PRINTED), sharey=True)
        for axes, alpha in zip(places, GAIN_PRINTED, strict=True):
            for color, order in zip(COLORS, range(1, 5), strict=False):
                chosen = {"fraction": alpha, "order": order}
                axes.plot(
                    *table.where("round", "share", curve="predicted", **chosen), color=color, label=f"order {order}"
                )
                axes.plot(*table.where("round", "share", curve="simulated", **chosen), "o", color=color)
            label_axes(axes, f"{100 * alpha:g} % fresh data", "round", "share that is left")
        places[0].legend()

    return Rebuilt(
        "truncation_filter",
        f"Sampler stopped at t0 = {STOP:g}: share of the Hermite coefficients that is left",
        table.columns,
        draw,
        checks=tuple(checks),
        note="The printed values are those of our specification after 12 rounds.",
    )
