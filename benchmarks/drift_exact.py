"""The acceptance numbers of the drift specification that need no sampling (7.1 to 7.4, one-round table): parts of `drift_laws`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.drift_learned import broken
from synthsift.drift.closed_forms import (
    chi2_gaussian,
    constant_push,
    eta_hermite,
    frechet_gaussian,
    frechet_null,
    linear_error,
)
from synthsift.drift.grid import GridRound, ReverseGrid, ScoreError
from synthsift.drift.guarantees import one_round_band, published_floor
from synthsift.drift.laws import drift_law, refresh_factor, smallest_fresh_fraction, steady_state
from synthsift.drift.loops import GaussianLoop, limit_gaussian, predict_gaussian
from synthsift.drift.loops_blur import blur_drift, truncation_gain
from synthsift.drift.loops_grid import GridRecursion, solve_recursion
from synthsift.drift.mixtures import BIMODAL, LOPSIDED
from synthsift.drift.weighting import best_fresh_weight
from synthsift.seeds import Seeds

ALPHAS = (0.1, 0.3, 0.5, 0.9)
EXACTLY = 1e-6  # the specification's relative tolerance for what needs no sampling


class Row(NamedTuple):
    """One comparison: agreement within `tolerance` in absolute terms; `n` runs, rounds or rows, 0 where nothing is drawn."""

    name: str
    law: float
    measured: float
    error: float
    tolerance: float
    n: int = 0

    @property
    def agrees(self) -> bool:
        """Whether the two are as close as promised; two infinities are."""
        return self.law == self.measured or abs(self.law - self.measured) <= self.tolerance


def solved(name: str, law: float, measured: float, share: float) -> Row:
    """A row without sampling, to a share of the law."""
    return Row(name, law, measured, math.nan, share * abs(law))


def printed(name: str, law: str, measured: float) -> Row:
    """A row to half a unit of the last digit that the specification prints; up to three digits are the exact number."""
    digits, _, power = law.partition("e")
    value, places = float(law), len(digits.partition(".")[2])
    if len(digits.replace(".", "").strip("0")) <= 3:
        return Row(name, value, float(measured), math.nan, EXACTLY * abs(value))
    return Row(name, value, float(measured), math.nan, 0.51 * 10.0 ** (int(power or 0) - places))


def wave(size: float) -> ScoreError:
    """The specification's error size sin(2x) exp(-x^2/12.5)."""
    return lambda x, t: size * np.sin(2 * x) * np.exp(-(x**2) / 12.5)


def laws(_seeds: Seeds, _scale: float) -> Iterator[Row]:
    """7.1."""
    cases = (
        (0.0, 0.0, ".04 .0596 .069204 .073910 .076216"),
        (1.0, 0.0, ".04 .1156 .191844 .256644 .307603"),
        (0.0, 0.5, ".285 .17965 .128028 .102734 .090340"),
    )
    for kappa, start, texts in cases:
        got = drift_law(0.3, [0.04] * 5, kappa, start)
        for k, text in enumerate(texts.split()):
            yield printed(f"drift law, alpha .3, J .04, kappa {kappa:g}, D0 {start:g}: round {k + 1}", text, got[k])
    for kappa, texts in ((0, ".052632 .019608 .013333 .010101"), (0.5, ".526316 .065359 .026667 .011223"), (1, "1.0 .111111 .04 .012346")):  # fmt: skip
        for alpha, text in zip(ALPHAS, texts.split(), strict=True):
            yield printed(
                f"steady state, J .01, kappa {kappa:g}, alpha {alpha}", text, steady_state(alpha, 0.01, kappa)
            )
    for kappa, text in ((0, ".105573"), (0.25, ".271158"), (0.5, ".347938"), (1, ".447214")):
        yield printed(f"alpha for target .05, J .01, kappa {kappa:g}", text, smallest_fresh_fraction(0.05, 0.01, kappa).alpha or math.nan)  # fmt: skip
    impossible = not smallest_fresh_fraction(0.005, 0.01).is_possible
    yield Row("target .005, J .01 is called impossible (1: yes)", 1.0, float(impossible), math.nan, 0.0)
    yield printed("published floor, alpha .5, eta .5, eps2 .01", "1.25e-4", published_floor(0.5, 0.5, 0.01))


def closed_forms(_seeds: Seeds, _scale: float) -> Iterator[Row]:
    """7.2."""
    mean, cov, still, round_ = [0.3, -0.2], [[1.2, 0.3], [0.3, 0.8]], [0, 0], np.eye(2)
    yield printed("chi2(N(.3, 1.2) || N(0, 1))", ".142148", chi2_gaussian(0.3, 1.2, 0, 1))
    yield printed("chi2(N(.5, 1) || N(0, 1))", ".284025", chi2_gaussian(0.5, 1, 0, 1))
    yield printed("chi2(N(0, .5) || N(0, 1))", ".154701", chi2_gaussian(0, 0.5, 0, 1))
    yield Row("chi2 at twice the variance", math.inf, chi2_gaussian(0, 2, 0, 1), math.nan, 0.0)
    yield printed("chi2, 2-D", ".295378", chi2_gaussian(mean, cov, still, round_))
    yield printed("squared Frechet, 2-D", ".157837", frechet_gaussian([0.3, 0], cov, still, round_))
    yield printed("Frechet null, I_10, n = m = 1000", ".075", frechet_null(np.eye(10), 1000, 1000))
    yield printed("Frechet null, diag(.5, 2), n 200, m 300", ".0345833", frechet_null(np.diag([0.5, 2]), 200, 300))
    push, up, down = constant_push(0.2, 4), linear_error(0.1, 4), linear_error(-0.2, 4)
    for name, text in (("eps2", ".16"), ("eta", ".747645"), ("chi2", ".127072"), ("kl", ".0598116")):
        yield printed(f"constant push .2: {name}", text, getattr(push, name))
    for name, text in (("eps2", ".04"), ("epshat2", ".0470024"), ("eta", ".481852"), ("variance", "1.239809"), ("chi2", ".0300571"), ("kl", ".0124259")):  # fmt: skip
        yield printed(f"linear error .1: {name}", text, getattr(up, name))
    for name, text in (("eps2", ".16"), ("epshat2", ".1224188"), ("variance", ".715342"), ("chi2", ".0431562"), ("kl", ".0251682")):  # fmt: skip
        yield printed(f"linear error -.2: {name}", text, getattr(down, name))
    yield printed("linear error .3: variance", "2.1972", linear_error(0.3, 4).variance)
    yield Row("linear error .3: chi2", math.inf, linear_error(0.3, 4).chi2, math.nan, 0.0)
    for order, text in enumerate((".74765", ".48185", ".33168", ".24983", ".19998")):
        yield printed(f"eta of the Hermite error of order {order}", text, eta_hermite(order, 4))
    for dim, h2, alpha, n, text in ((1, 0.02, 0.1, 20, ".0163535"), (1, 0.02, 0.5, 20, ".000802172"), (2, 0.05, 0.3, 10, ".0281510"), (10, 0.01, 0.1, 20, ".0408152")):  # fmt: skip
        yield printed(f"blur: D, d {dim}, h2 {h2}, alpha {alpha}, round {n}", text, blur_drift(alpha, h2, n, dim=dim))
    for alpha, order, t0, text in ((0.1, 1, 0.02, ".908676"), (0.1, 4, 0.2, ".168969"), (0.5, 2, 0.2, ".693094")):
        yield printed(
            f"truncation gain, alpha {alpha}, order {order}, t0 {t0}", text, truncation_gain(alpha, order, t0)
        )
    for c, text in ((0.25, ".82843"), (1, ".61803"), (4, ".39039"), (9, ".28238")):
        yield printed(f"best weight of fresh rows, c {c}", text, best_fresh_weight(c))


def refresh(_seeds: Seeds, _scale: float) -> Iterator[Row]:
    """7.3, by quadrature, for the measures whose ratio is exact."""
    x = np.linspace(-8, 8, 3201)
    step, p, model = x[1] - x[0], BIMODAL.density(x), LOPSIDED.density(x)
    kernel = np.exp(-((x[::16, None] - x[None, ::16]) ** 2) / 2)

    def distances(q: np.ndarray) -> dict[str, float]:
        gap = q - p
        below = np.cumsum(gap) * step
        return {
            "chi2": float(np.sum(gap**2 / p)),
            "mmd2": float(gap[::16] @ kernel @ gap[::16]),
            "energy": float(np.sum(below**2)),
            "l2": float(np.sum(gap**2)),
            "tv": float(np.sum(np.abs(gap))),
            "w1": float(np.sum(np.abs(below))),
        }

    before = distances(model)
    for alpha in ALPHAS:
        after = distances(BIMODAL.blended(LOPSIDED, 1 - alpha).density(x))
        for name, value in after.items():
            yield solved(f"{name} after / before, alpha {alpha}", refresh_factor(name, alpha).factor, value / before[name], EXACTLY)  # fmt: skip


ONE_ROUND: dict[str, tuple[ScoreError, float, float, float, float]] = {
    ".02 x bell": (lambda x, t: 0.02 * x * np.exp(-(x**2) / 12.5), 0.0012144, 0.51796, 0.00064979, 1.033),
    ".3 x bell": (lambda x, t: 0.3 * x * np.exp(-(x**2) / 12.5), 0.27325, 0.51796, 0.25583, 1.808),
    ".1": (lambda x, t: 0.1 + 0 * x, 0.039996, 0.80040, 0.032336, 1.010),
    ".02 wave": (wave(0.02), 0.00068, 0.24919, 1.685e-4, 0.993),
    ".1 wave": (wave(0.1), 0.01702, 0.24919, 0.004091, 0.965),
    ".3 wave": (wave(0.3), 0.15317, 0.24919, 0.033962, 0.890),
    ".3 tanh x bell e^-t": (
        lambda x, t: 0.3 * np.tanh(x) * np.exp(-(x**2) / 12.5 - t),
        0.017006,
        0.98752,
        0.017716,
        1.055,
    ),
}


def one_round(_seeds: Seeds, _scale: float) -> Iterator[Row]:
    """The grid solver's table; 1 % on eta and I is the tolerance of the specification."""
    grid = ReverseGrid()
    rounds: list[GridRound] = []
    for name, (error, eps2, eta, one, ratio) in ONE_ROUND.items():
        got = grid.one_round(error)
        rounds.append(got)
        for part, law, value in (("eps2", eps2, got.eps2), ("eta", eta, got.eta), ("I", one, got.chi2)):
            yield solved(f"{name}: {part}", law, value, 0.01)
        yield solved(f"{name}: I/(eta eps2)", ratio, got.chi2 / (got.eta * got.eps2), 0.01)
    flicker = ReverseGrid(num_points=161, num_steps=500).one_round(
        lambda x, t: 0.1 * math.sqrt(2) * np.cos(4 * np.pi * t) + 0 * x
    )
    rounds.append(flicker)
    yield solved("cos(16 pi t/T): eps2", 0.039997, flicker.eps2, 0.01)
    # 1 % of a number of two digits: half a unit of the last besides.
    yield Row("cos(16 pi t/T): eta", 0.00049, flicker.eta, math.nan, 0.01 * 0.00049 + 5e-6)
    yield solved("cos(16 pi t/T): I", 1.946e-5, flicker.chi2, 0.01)
    bands = [one_round_band(got.eta, got.eps2) for got in rounds]
    outside = sum(not low <= got.chi2 <= high for got, (low, high) in zip(rounds, bands, strict=True))
    above = sum(got.kl > got.epshat2 / 2 for got in rounds)
    yield Row("rounds outside eta eps2/4 <= I <= 4 eps2", 0.0, float(outside), math.nan, 0.0, len(rounds))
    yield Row("rounds with KL above epshat2/2", 0.0, float(above), math.nan, 0.0, len(rounds))


def bounds(seeds: Seeds, scale: float) -> Iterator[Row]:
    """7.4 on the grid: every identity and bound, in every round of recursions whose errors repeat, alternate or are drawn."""
    grid, rng = ReverseGrid(num_points=161, num_steps=100), seeds.numpy("bounds")
    signs: Callable[[], list[list[float]]] = lambda: [  # noqa: E731
        [1.0] * 15,
        [(-1.0) ** k for k in range(15)],
        *(list(rng.choice([-1.0, 1.0], 15)) for _ in range(max(1, int(3 * scale)))),
    ]
    runs: list[GridRecursion] = [
        solve_recursion(grid, alpha, [wave(0.25 * s) for s in pattern]) for alpha in ALPHAS for pattern in signs()
    ]
    total = 15 * len(runs)
    for name in broken(runs[0]):
        fails = sum(broken(run)[name] for run in runs)
        yield Row(f"rounds that break: {name}", 0.0, float(fails), math.nan, 0.0, total)


def gaussian_limits(_seeds: Seeds, _scale: float) -> Iterator[Row]:
    """7.2, Gaussian loops: variance V and its missing part M after ten rounds and in the end."""
    cases = (
        ("alpha .2", GaussianLoop(50, 0.2), ".9472846", ".9468085"),
        ("alpha .2, random composition", GaussianLoop(50, 0.2, random_composition=True), ".9468573", None),
        ("alpha .2, divided by n - 1", GaussianLoop(50, 0.2, ddof=1), None, "1.0470588"),
        ("fixed real, alpha .2", GaussianLoop(50, 0.2, kind="fixed_real"), None, ".8617021"),
        ("accumulate", GaussianLoop(50, kind="accumulate"), ".9692676", ".967424"),
    )
    for name, loop, ten, limit in cases:
        if ten:
            yield printed(f"V at round 10, {name}", ten, float(predict_gaussian(loop, 10).mean[-1]))
        if limit:
            yield printed(f"V in the limit, {name}", limit, limit_gaussian(loop)[0])


EXACT = (laws, closed_forms, gaussian_limits, refresh, one_round, bounds)
