"""The published mixture experiment with its scores: a kernel density estimate is the model, Euler-Maruyama the sampler.

Ten dimensions, five modes of width 0.6 at the origin and (+-4, +-4) in two coordinates; every round puts kernels of
bandwidth 0.6 on the rows of alpha p_data + (1-alpha) phat and runs the reverse process with their exact score,
500 steps from T = 4 to t0 = 0.02. Both the score that is used and the one that should be are mixtures in closed form,
so energies of paths, KL and chi2 of every round are measured, not fitted.

What differs from the publication: fewer rows (2,000 for 100,000, as each of the steps needs all pairs of rows and
kernels), one run for ten, and paths start in the noised mix, as the theorems assume, not in N(0, I).

References
----------
Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2, Section 5 and Props. 3.1, 3.3, Thms 3.4, 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from synthsift.drift.closed_forms import chi2_gaussian
from synthsift.drift.diffusion import DiffusionSettings, reverse_samples
from synthsift.drift.diffusion_loop import MixScore
from synthsift.drift.guarantees import one_round_band
from synthsift.drift.kernels import Kernels, five_modes
from synthsift.drift.laws import contributions
from synthsift.drift.paths import explained_share, simulate_round
from synthsift.drift.plane import Plane, chi2
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.reproduction import COLORS, Rebuilt, Table, label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIM, REACH, WIDTH, BANDWIDTH = 10, 4.0, 0.6, 0.6
FRACTIONS = (0.1, 0.5, 0.9)
PUBLISHED_ROWS = 100_000
LEAST_ROWS = 100
WAVES = 20  # cosines that observability is regressed on, beside linear and quadratic terms


@dataclass(frozen=True)
class KernelLoop:
    """Size of the experiment.

    Parameters
    ----------
    num_rows : int
        Rows of each training mix, one kernel each.
    num_rounds : int
        Rounds of retraining.
    num_steps : int
        Euler-Maruyama steps of the sampler.
    num_paths, path_steps : int
        Paths that energies are measured on, and their steps.
    num_draws : int
        Draws that KL and chi2 rest on.
    horizon, t0 : float
        T and the time at which the sampler stops.
    """

    num_rows: int = 2000
    num_rounds: int = 20
    num_steps: int = 500
    num_paths: int = 300
    path_steps: int = 125
    num_draws: int = 2000
    horizon: float = 4.0
    t0: float = 0.02

    def __post_init__(self) -> None:
        if self.num_rows < LEAST_ROWS:
            raise DataError(f"--rows is {self.num_rows}; at least {LEAST_ROWS} kernels are needed in {DIM} dimensions")


QUICK = KernelLoop(200, 3, 60, 100, 40, 300)


@dataclass(frozen=True)
class KernelRound:
    """What was measured in one round, and the rows that its sampler made.

    Parameters
    ----------
    rows : ndarray (n, 10)
        Of the sampler.
    eps2, eps2_error, epshat2, epshat2_error : float
        Energies of the score error along ideal and learned paths, with standard errors.
    eta : float
        Share of the path error that reaches the sample; a lower estimate.
    kl, kl_error : float
        KL(phat||q_t0) in ten dimensions and its standard error; phat is the law whose score is used.
    chi2_draws : float
        Average of phat/q over draws of phat, minus 1: chi2 in ten dimensions as far as a sample shows it.
    chi2_plane : float
        chi2 of the first two coordinates, both slightly blurred; at most chi2 in ten.
    start_kl : float
        KL(N(0, I)||q_T): what the start of the publication would add.
    moment : float
        Mean squared norm of the rows.
    """

    rows: np.ndarray
    eps2: float
    eps2_error: float
    epshat2: float
    epshat2_error: float
    eta: float
    kl: float
    kl_error: float
    chi2_draws: float
    chi2_plane: float
    start_kl: float
    moment: float


def run_kernels(alpha: float, loop: KernelLoop, seeds: Seeds) -> Iterator[KernelRound]:
    """Retrain kernel density estimates on fresh rows and on rows of the last one, measuring every round.

    Parameters
    ----------
    alpha : float
        Fresh fraction.
    loop : KernelLoop
        Size.
    seeds : Seeds
        Randomness.

    Yields
    ------
    KernelRound
        Rounds 1, 2, ...; the first learns real rows only.
    """
    data = five_modes(DIM, reach=REACH, width=WIDTH)
    plane = Plane(REACH + 4 * math.sqrt(WIDTH**2 + BANDWIDTH**2 * memory_spread(alpha, loop.num_rounds)))
    sampler = DiffusionSettings(sampling_steps=loop.num_steps, horizon=loop.horizon, t0=loop.t0)
    old, own = data, np.empty((0, DIM))
    for k in range(loop.num_rounds):
        node = seeds.child("round", k)
        rng, count = node.numpy("rows"), loop.num_rows - (round((1 - alpha) * loop.num_rows) if k else 0)
        rows = np.concatenate([data.sample(count, rng), own[: loop.num_rows - count]])
        model = Kernels(np.full(len(rows), 1 / len(rows)), rows, np.full(len(rows), BANDWIDTH**2))
        mix = data.blended(old, alpha) if k else data
        start = mix.noised(loop.horizon).sample(max(loop.num_rows - round(alpha * loop.num_rows), 500), rng)
        own = reverse_samples(lambda y, t, model=model: model.noised(t).score(y), start, sampler, rng)
        yield _measure(model, mix, own, plane, loop, node)
        old = model.noised(loop.t0)


def memory_spread(alpha: float, num_rounds: int) -> float:
    """Mean number of blurs that a row has gone through, (1 - (1-alpha)^n)/alpha."""
    return (1 - (1 - alpha) ** num_rounds) / alpha


def _measure(
    model: Kernels, mix: Kernels, rows: np.ndarray, plane: Plane, loop: KernelLoop, node: Seeds
) -> KernelRound:
    """Energies, divergences and moments of one round."""
    rng, exact = node.numpy("measures"), MixScore(mix)
    paths = simulate_round(
        mix.noised(loop.horizon).sample(loop.num_paths, rng),
        exact,
        lambda y, t: model.noised(t).score(y) - exact(y, t),
        horizon=loop.horizon,
        num_steps=loop.path_steps,
        seeds=node.child("paths"),
        t0=loop.t0,
    )
    made, aim = model.noised(loop.t0), mix.noised(loop.t0)
    draws = made.sample(loop.num_draws, rng)
    logs = made.evaluate(draws)[0] - aim.evaluate(draws)[0]
    normal = rng.standard_normal((loop.num_draws, DIM))
    log_normal = -(normal**2).sum(axis=1) / 2 - DIM / 2 * math.log(2 * math.pi)
    return KernelRound(
        rows,
        paths.eps2,
        paths.eps2_error,
        paths.epshat2,
        paths.epshat2_error,
        float(np.clip(explained_share(paths.ends, paths.martingale, node.numpy("eta"), WAVES), 0, 1)),
        float(logs.mean()),
        float(logs.std(ddof=1) / math.sqrt(len(logs))),
        float(np.exp(logs).mean() - 1),
        chi2(plane.masses(made), plane.masses(aim)),
        float(np.mean(log_normal - mix.noised(loop.horizon).evaluate(normal)[0])),
        float((rows**2).sum(axis=1).mean()),
    )



def rebuild_kernels(seeds: Seeds, *, quick: bool = False, rows: int | None = None) -> Iterator[Rebuilt]:
    """Rebuild the published figures of the mixture: samples by round, divergences against their bounds, heat map.

    Parameters
    ----------
    seeds : Seeds
        Source of all loops.
    quick : bool
        Few rows, steps and rounds.
    rows : int, optional
        Rows of each training mix; the cost grows with their square.

    Raises
    ------
    DataError
        If there are fewer than 100 rows.
    """
    loop = QUICK if quick else KernelLoop()
    loop = loop if rows is None else replace(loop, num_rows=rows)
    rounds = {alpha: list(run_kernels(alpha, loop, seeds.child("kernel scores", alpha))) for alpha in FRACTIONS}
    yield _samples(rounds, loop, seeds)
    yield _bounds(rounds, loop)
    yield _heat(rounds)


def predict_moment(alpha: float, num_rounds: int, t0: float) -> np.ndarray:
    """Mean squared norm of rounds 1..N when every round blurs by h^2 and noises to t0 (population of rows)."""
    real = float(np.sum(five_modes(DIM, reach=REACH, width=WIDTH).centers ** 2)) / 5 + DIM * WIDTH**2
    keep, found = math.exp(-t0), [real]
    for k in range(num_rounds):
        mix = real if k == 0 else alpha * real + (1 - alpha) * found[-1]
        found.append(keep * (mix + DIM * BANDWIDTH**2) + (1 - keep) * DIM)
    return np.array(found[1:]) / real - 1


def _samples(rounds: dict[float, list[KernelRound]], loop: KernelLoop, seeds: Seeds) -> Rebuilt:
    """First two principal coordinates of real rows and of what the sampler made; growth of the second moment."""
    data = five_modes(DIM, reach=REACH, width=WIDTH)
    real = data.sample(1000, seeds.numpy("shown"))
    axes_of = np.linalg.svd(real - real.mean(axis=0), full_matrices=False)[2][:2].T
    table, outer = Table(), float(np.mean((data.centers**2).sum(axis=1))) + DIM * WIDTH**2
    shown = sorted({1, (loop.num_rounds + 1) // 4, loop.num_rounds} - {0})
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
                    axes.plot(flat[:, 0], flat[:, 1], ".", color=color, markersize=1.2, alpha=0.5)
                label_axes(axes, f"{100 * alpha:g} % fresh, round {k}", "", "")
                axes.set(xlim=(-13, 13), ylim=(-13, 13), aspect="equal")
        figure.supxlabel("first principal coordinate (real rows gray)", fontsize=9)
        figure.supylabel("second", fontsize=9)

    last = "; ".join(
        f"{100 * alpha:g} %: {100 * (found[-1].moment / outer - 1):.0f} % "
        f"(formula {100 * predict_moment(alpha, loop.num_rounds, loop.t0)[-1]:.0f} %)"
        for alpha, found in rounds.items()
    )
    return Rebuilt(
        "kernel_samples",
        "Five modes in ten dimensions, score of a kernel density estimate: samples by round",
        table.columns,
        draw,
        (7.2, 7.4),
        note=f"{loop.num_rows:,} rows a round (published {PUBLISHED_ROWS:,}), {loop.num_steps} steps, one loop a fraction. "
        f"Growth of the second moment at round {loop.num_rounds} by fresh data: {last}; stopping at t0 makes it less than "
        "that of the kernels alone.",
    )


def _bounds(rounds: dict[float, list[KernelRound]], loop: KernelLoop) -> Rebuilt:
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

    def draw(figure: Figure) -> None:
        places = figure.subplots(2, len(FRACTIONS), sharex=True, sharey="row")
        for column, alpha in enumerate(FRACTIONS):
            top, low = places[0, column], places[1, column]
            at, kl = table.where("round", "kl", fraction=alpha)
            errors = table.where("round", "kl_error", fraction=alpha)[1]
            half = [e / 2 for e in table.where("round", "epshat2", fraction=alpha)[1]]
            top.errorbar(at, kl, yerr=np.multiply(2, errors), fmt="o", color=COLORS[0], label="KL(phat||q), 10-D")
            top.plot(at, half, color=COLORS[2], label="half the path energy, learned paths")
            label_axes(top, f"{100 * alpha:g} % fresh", "", "KL" if column == 0 else "")
            top.set_ylim(bottom=0)
            edges = [table.where("round", name, fraction=alpha)[1] for name in ("band_low", "band_high")]
            low.fill_between(at, *edges, color=COLORS[2], alpha=0.2, linewidth=0, label="eta eps^2/4 to 4 eps^2")
            low.plot(*table.where("round", "chi2_plane", fraction=alpha), "o-", color=COLORS[0], label="chi2, 2 coordinates, blurred")  # fmt: skip
            low.plot(*table.where("round", "chi2_draws", fraction=alpha), "x", color=COLORS[1], label="chi2, 10-D, as a sample shows it")  # fmt: skip
            label_axes(low, "", "round", "chi2 to the mix" if column == 0 else "", logs="y")
        places[0, 0].legend(fontsize=7)
        places[1, 0].legend(fontsize=7)

    return Rebuilt(
        "kernel_bounds",
        "The same loops: KL against half the path energy, chi2 against its band",
        table.columns,
        draw,
        (9.6, 5.4),
        note=f"KL is at most epshat^2/2 in {held} of {total} rounds (3 standard errors) and equals it in {equal}, as it "
        f"must where the learned score is the true score of some law. chi2 of two coordinates lies in the band in "
        f"{inside} of {total}; the band holds for small errors, and eps^2 is up to "
        f"{max(one.eps2 for found in rounds.values() for one in found):.2g} here. {_infinite(rounds, loop)}",
    )


def _infinite(rounds: dict[float, list[KernelRound]], loop: KernelLoop) -> str:
    """What chi2 of the first round is in the population, and what samples of it show."""
    keep = math.exp(-loop.t0)
    aim, made = (keep * v + 1 - keep for v in (WIDTH**2, WIDTH**2 + BANDWIDTH**2))
    exact = chi2_gaussian(np.zeros(DIM), made * np.eye(DIM), np.zeros(DIM), aim * np.eye(DIM))
    seen = sorted(found[0].chi2_draws for found in rounds.values())
    return (
        f"Round 1 doubles the variance of every mode: its population chi2 is infinite to real data and {exact:.2g} to "
        f"them noised to t0; the loops' samples show {seen[0]:.2g} to {seen[-1]:.2g}. What was plotted as chi2 can "
        "only be such estimates."
    )


def _heat(rounds: dict[float, list[KernelRound]]) -> Rebuilt:
    """What is left of the errors of each past round, (1-alpha)^(2(N-m)) eps_m^2, as a share of their sum."""
    table, maps = Table(), {}
    for alpha, found in rounds.items():
        heat = contributions(alpha, [one.eps2 for one in found])
        maps[alpha] = heat / heat.sum(axis=1, keepdims=True)
        for k, line in enumerate(maps[alpha]):
            for m in range(k + 1):
                table.add(fraction=alpha, round=k + 1, origin=m + 1, share=float(line[m]))

    def draw(figure: Figure) -> None:
        places, image = figure.subplots(1, len(FRACTIONS), sharey=True), None
        for axes, (alpha, heat) in zip(places, maps.items(), strict=True):
            n = len(heat)
            shown, extent = np.where(np.tri(n) > 0, heat, np.nan), (0.5, n + 0.5, n + 0.5, 0.5)
            image = axes.imshow(shown, vmin=0, vmax=1, cmap="viridis", extent=extent)
            label_axes(axes, f"{100 * alpha:g} % fresh", "round of the error", "round" if axes is places[0] else "")
            axes.set(xticks=range(1, n + 1, max(1, n // 5)), yticks=range(1, n + 1, max(1, n // 5)))
        figure.colorbar(image, ax=places, shrink=0.8)

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
