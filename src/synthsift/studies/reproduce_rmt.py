"""The figures of "Maximizing the Potential of Synthetic Data" (arXiv 2410.08942), rebuilt.

Where the published formula or setting differs from simulation (pruning as soft weights, a class mean that is given
away) both are drawn. Not rebuilt, for want of data or models: the Amazon reviews (Fig. 6), the GAN and the feature
verifier of the MNIST table (Figs. 5 and 7), and the two language-model experiments (Figs. 8 and 9).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.idx import mnist_folder
from synthsift.studies.published_mixing import published_accuracy
from synthsift.studies.reproduction import COLORS, Check, Rebuilt, Table, label_axes
from synthsift.theory.mixing import predict_accuracy, simulate_accuracy
from synthsift.theory.mixing_limits import critical_label_noise, critical_slope, infinite_verified_accuracy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOY_REAL, TOY_MEAN = 1000, 0.7
SHARES = (0.001, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95)
#: Read off the published figure at share .95; the "weak" verifier there keeps everything.
TOY_PRINTED = {(50, "oracle"): 0.756, (500, "oracle"): 0.7455, (50, "weak"): 0.754, (500, "weak"): 0.730}
PHASE_NOISE = (0.0, 0.2, 0.4, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0)
PHASE_PRINTED = {
    1.0: (0.7329, 0.6915, 0.6362, 0.5613, 0.5142, 0.4877, 0.4591, 0.3949, 0.3211),
    0.1: (0.8243, 0.8098, 0.7749, 0.6665, 0.5428, 0.4629, 0.3823, 0.2588, 0.1951),
    0.01: (0.8395, 0.8378, 0.8326, 0.7977, 0.6267, 0.3884, 0.2408, 0.1744, 0.1628),
    0.001: (0.8412, 0.8410, 0.8404, 0.8361, 0.7685, 0.2474, 0.1704, 0.1603, 0.1591),
}
SLOPES_PRINTED = {1.0: -0.53139, 0.1: -1.61344, 0.01: -5.09568, 0.001: -16.11282}
#: (p, m, |mu|, gamma, eps, phi, rho) -> accuracy of the public code, for synthetic rows alone.
SOFT_PRINTED: dict[tuple[int, int, float, float, float, float, float], float] = {
    (300, 900, 1.5, 1.0, 0.3, 0.8, 0.4): 0.8332,
    (300, 600, 1.5, 0.1, 0.2, 0.4, 0.1): 0.6862,
    (300, 900, 1.5, 0.1, 0.3, 0.5, 0.1): 0.7515,
    (300, 600, 2.0, 0.01, 0.1, 0.6, 0.06): 0.7353,
}


def rebuild(seeds: Seeds, *, quick: bool = False, data: Path | None = None) -> Iterator[Rebuilt]:
    """Rebuild every figure, cheap ones first.

    Parameters
    ----------
    seeds : Seeds
        Source of all simulations.
    quick : bool
        Fewer simulated points and trained networks.
    data : Path, optional
        Folder with MNIST; without it (and without SYNTHSIFT_DATA) the MNIST table is left out, and says so.

    Raises
    ------
    DataError
        If `data` is given and holds no MNIST.
    """
    from synthsift.studies.reproduce_rmt_mnist import rebuild_mnist

    folder, missing = None, ""
    try:
        folder = mnist_folder(data)
    except DataError as error:
        if data is not None:
            raise
        missing = str(error)
    yield rebuild_phase(seeds, quick=quick)
    yield rebuild_pruning(seeds, quick=quick)
    yield rebuild_spectra(seeds)
    yield rebuild_toy(seeds, quick=quick)
    yield rebuild_mnist(seeds, folder, missing, quick=quick)


def rebuild_toy(seeds: Seeds, *, quick: bool = False) -> Rebuilt:
    """Accuracy against the share of synthetic rows (Fig. 3): exact class mean as published, and estimated ones."""
    table, checks = Table(), []
    dims, repeats = ((50, 200), 3) if quick else ((50, 200, 500), 5)
    simulated = (0.5, 0.95) if quick else (0.2, 0.5, 0.8, 0.95)
    for dim in dims:
        for share in SHARES:
            size = max(1, round(TOY_REAL * share / (1 - share)))
            clean = predict_accuracy(0, size, dim, TOY_MEAN, 1.0, generator_size=TOY_REAL, exact_mean=True)
            noise = 1.0 - float(clean.mean)  # the public code ties the label noise to m like this
            for verifier, keep_wrong in (("oracle", 0.0), ("weak", 1.0)):
                options: dict[str, Any] = {"label_noise": noise, "keep_wrong": keep_wrong}
                row: dict[str, Any] = {
                    "dim": dim,
                    "share": share,
                    "num_synth": size,
                    "verifier": verifier,
                    "label_noise": noise,
                }
                row |= _toy_predictions(size, dim, options)
                row |= {"simulated": None, "standard_error": None}
                if share in simulated:
                    drawn = simulate_accuracy(
                        TOY_REAL, size, dim, TOY_MEAN, 1.0, generator_size=TOY_REAL, exact_mean=True,
                        seeds=seeds.child("toy", dim, share, verifier), repeats=repeats, **options,
                    )  # fmt: skip
                    row |= {"simulated": float(drawn.mean), "standard_error": float(drawn.terms["SE"])}
                table.add(**row)
                if share == SHARES[-1] and (dim, verifier) in TOY_PRINTED:
                    printed = TOY_PRINTED[dim, verifier]
                    name = f"p = {dim}, {verifier}, 95 % synthetic"
                    checks.append(Check(name, printed, row["exact_mean"], row["simulated"], row["standard_error"]))
    return Rebuilt(
        "toy",
        "Accuracy against the share of synthetic rows (Fig. 3)",
        table.columns,
        lambda figure: _draw_toy(figure, table, dims),
        (9.0, 4.0),
        tuple(checks),
        is_exact=False,
        note="The published gain needs the exact class mean; with an estimated one most of it is gone (see figure).",
    )


def _toy_predictions(size: int, dim: int, options: dict[str, Any]) -> dict[str, float]:
    """The published formula, ours for the same setting, and ours where the mean has to be estimated."""
    common: tuple[Any, ...] = (TOY_REAL, size, dim, TOY_MEAN, 1.0)
    return {
        "published": published_accuracy(*common, generator_size=TOY_REAL, **options),
        "exact_mean": float(predict_accuracy(*common, generator_size=TOY_REAL, exact_mean=True, **options).mean),
        "estimated_mean": float(predict_accuracy(*common, generator_size=TOY_REAL, **options).mean),
        "fitted_on_training_rows": float(predict_accuracy(*common, generator="self", **options).mean),
    }


def _draw_toy(figure: Figure, table: Table, dims: tuple[int, ...]) -> None:
    lines = {
        "exact_mean": ("ours, class mean known (as published)", "-"),
        "estimated_mean": ("ours, mean estimated from n other rows", "--"),
        "fitted_on_training_rows": ("ours, generator fitted on the training rows", "-."),
        "published": ("published formula (dots on the line above where they agree)", "k:"),
    }
    axes = figure.subplots(1, len(dims), sharey=True, squeeze=False)[0]
    for panel, dim in zip(axes, dims, strict=True):
        for verifier, color in (("oracle", COLORS[0]), ("weak", COLORS[1])):
            for name, (_, style) in lines.items():
                shown = {} if style.startswith("k") else {"color": color}
                panel.plot(*table.where("share", name, dim=dim, verifier=verifier), style, **shown)
            panel.plot(*table.where("share", "simulated", dim=dim, verifier=verifier), "o", color=color)
        label_axes(panel, f"p = {dim}", "share of synthetic rows", "accuracy" if panel is axes[0] else "")
    for label, style in lines.values():
        axes[0].plot([], [], style.removeprefix("k"), color="k", label=label)
    axes[0].plot([], [], "o", color="#555555", label="simulated, class mean known")
    axes[0].plot([], [], "-", color=COLORS[0], label="oracle verifier")
    axes[0].plot([], [], "-", color=COLORS[1], label="no verifier")
    figure.legend(loc="outside lower center", ncols=2)  # more columns are wider than the figure


def rebuild_phase(seeds: Seeds, *, quick: bool = False) -> Rebuilt:
    """The switch from right to reversed at the critical label noise (Fig. 4), synthetic rows alone."""
    phi, rho, dim = 0.8, 0.3, 100
    table, checks = Table(), []
    fine = np.round(np.linspace(0.0, 1.0, 101), 4)
    ratios = (1.0, 0.1) if quick else (1.0, 0.1, 0.01)
    for ratio, printed in PHASE_PRINTED.items():
        size = round(dim / ratio)
        options: dict[str, Any] = {"keep_right": phi, "keep_wrong": rho}
        curve = predict_accuracy(0, size, dim, 1.0, 1.0, label_noise=fine, **options).mean
        for noise, value in zip(fine, curve, strict=True):
            table.add(
                ratio=ratio, label_noise=float(noise), predicted=float(value), simulated=None, standard_error=None
            )
        for noise, value in zip(PHASE_NOISE, printed, strict=True):
            ours = float(predict_accuracy(0, size, dim, 1.0, 1.0, label_noise=noise, **options).mean)
            drawn: tuple[float | None, float | None] = (None, None)
            if ratio in ratios:
                place = seeds.child("phase", ratio, noise)
                repeats = 20 if ratio > 0.05 else 5
                got = simulate_accuracy(
                    0, size, dim, 1.0, 1.0, label_noise=noise, **options, seeds=place, repeats=repeats
                )
                drawn = float(got.mean), float(got.terms["SE"])
                table.add(ratio=ratio, label_noise=noise, predicted=None, simulated=drawn[0], standard_error=drawn[1])
            checks.append(Check(f"p/m = {ratio:g}, eps = {noise:g}", value, ours, *drawn))
        slope = float(critical_slope(size, dim, 1.0, 1.0, keep_right=phi, keep_wrong=rho))
        checks.append(Check(f"p/m = {ratio:g}, slope at eps*", SLOPES_PRINTED[ratio], slope))
    return Rebuilt(
        "phase",
        "Phase transition at the critical label noise (Fig. 4)",
        table.columns,
        lambda figure: _draw_phase(figure, table, float(critical_label_noise(phi, rho))),
        checks=tuple(checks),
    )


def _draw_phase(figure: Figure, table: Table, critical: float) -> None:
    axes = figure.subplots()
    for color, ratio in zip(COLORS, PHASE_PRINTED, strict=False):
        axes.plot(*table.where("label_noise", "predicted", ratio=ratio), color=color, label=f"p/m = {ratio:g}")
        axes.plot(*table.where("label_noise", "simulated", ratio=ratio), "o", color=color)
    ends = [float(infinite_verified_accuracy(1.0, noise, 0.8, 0.3)) for noise in (0.0, 1.0)]
    axes.step(
        [0.0, critical, 1.0],
        [ends[0], ends[1], ends[1]],
        color="#555555",
        linestyle=":",
        label="p/m to 0",
        where="post",
    )
    label_axes(
        axes, "Synthetic rows alone, |mu| = 1, keep rates .8 and .3 (dots: simulated)", "label noise", "accuracy"
    )
    axes.legend()


def rebuild_pruning(seeds: Seeds, *, quick: bool = False) -> Rebuilt:
    """Pruning is not soft weighting: the public code's formula, ours and simulation, synthetic rows alone."""
    table, checks = Table(), []
    for setting, printed in SOFT_PRINTED.items():
        dim, size, mean_norm, ridge, noise, phi, rho = setting
        rates: dict[str, Any] = {"label_noise": noise, "keep_right": phi, "keep_wrong": rho}
        theirs = published_accuracy(0, size, dim, mean_norm, ridge, **rates)
        ours = float(predict_accuracy(0, size, dim, mean_norm, ridge, **rates).mean)
        place = seeds.child("pruning", *setting)
        got = simulate_accuracy(0, size, dim, mean_norm, ridge, **rates, seeds=place, repeats=10 if quick else 40)
        name = f"m/p {size / dim:g}, gamma {ridge:g}, keep {phi:g}/{rho:g}"
        error = float(got.terms["SE"])
        table.add(setting=name, published=theirs, ours=ours, simulated=float(got.mean), standard_error=error)
        checks.append(Check(f"{name}: published formula", printed, theirs))
    return Rebuilt(
        "pruning",
        "Published formula, ours and simulation where a verifier prunes hard",
        table.columns,
        lambda figure: _draw_pruning(figure, table),
        (7.0, 3.0),
        tuple(checks),
        note="The published formula is that of soft weights; simulation follows ours (largest gap 9 points).",
    )


def _draw_pruning(figure: Figure, table: Table) -> None:
    axes, columns = figure.subplots(), table.columns
    places = np.arange(len(columns["setting"]))
    for shift, (name, color) in zip((-0.2, 0.0), (("published", COLORS[1]), ("ours", COLORS[0])), strict=True):
        axes.plot(columns[name], places + shift, "s", color=color, label=name)
    spread = 1.96 * np.array(columns["standard_error"])
    axes.errorbar(columns["simulated"], places + 0.2, xerr=spread, fmt="o", color="#333333", label="simulated, 95 %")
    axes.set_yticks(places, columns["setting"])
    axes.invert_yaxis()
    label_axes(axes, "Synthetic rows alone", "accuracy", "")
    axes.legend()


def rebuild_spectra(seeds: Seeds) -> Rebuilt:
    """Eigenvalues of the estimated covariance against their limit law, and the deltas against p/n (Figs. 1 and 2)."""
    table, dim = Table(), 500
    for size in (5000, 50_000):
        values = _wishart_eigenvalues(dim, size, seeds.numpy(f"spectrum {size}"))
        edges = np.linspace(*_law_edges(dim / size), 26)
        heights, _ = np.histogram(values, bins=edges, density=True)
        for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True):
            middle = (left + right) / 2
            law = _marchenko_pastur(middle, dim / size)
            table.add(panel=f"n_hat {size}", x=float(middle), curve="simulated", value=float(height))
            table.add(panel=f"n_hat {size}", x=float(middle), curve="law", value=law)
    ratios = np.linspace(0.05, 2.0, 40)
    for multiple in (2, 5, 10):
        for ratio in ratios:
            size = round(1000 * float(ratio))
            terms = predict_accuracy(
                1000, 1000 * multiple, size, 1.0, 1.0,
                label_noise=0.2, keep_right=0.9, keep_wrong=0.2, generator_size=1000,
            ).terms  # fmt: skip
            for name in ("delta_r", "delta_s"):
                table.add(panel=name, x=float(ratio), curve=f"m = {multiple}n", value=float(terms[name]))
    return Rebuilt(
        "spectra",
        "Spectrum of the estimated covariance, and the deltas (Figs. 1 and 2)",
        table.columns,
        lambda figure: _draw_spectra(figure, table),
        (9.0, 3.0),
    )


def _wishart_eigenvalues(dim: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Eigenvalues (dim,) of the covariance of `size` standard normal rows, by Bartlett's triangle."""
    lower = np.tril(rng.standard_normal((dim, dim)), -1)
    lower[np.diag_indices(dim)] = np.sqrt(rng.chisquare(size - np.arange(dim)))
    return np.linalg.eigvalsh(lower @ lower.T / size)


def _law_edges(ratio: float) -> tuple[float, float]:
    return (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2


def _marchenko_pastur(x: float, ratio: float) -> float:
    """Density of the Marchenko-Pastur law with ratio p/n_hat below 1."""
    low, high = _law_edges(ratio)
    return math.sqrt(max((high - x) * (x - low), 0.0)) / (2 * math.pi * ratio * x)


def _draw_spectra(figure: Figure, table: Table) -> None:
    panels = {"n_hat 5000": "density", "n_hat 50000": "", "delta_r": "value", "delta_s": ""}
    for axes, (panel, y) in zip(figure.subplots(1, 4), panels.items(), strict=True):
        for color, curve in zip(
            COLORS, dict.fromkeys(r["curve"] for r in table.rows if r["panel"] == panel), strict=False
        ):
            style = "o" if curve == "simulated" else "-"
            axes.plot(*table.where("x", "value", panel=panel, curve=curve), style, color=color, label=curve)
        label_axes(axes, panel, "eigenvalue" if y == "density" or panel == "n_hat 50000" else "p/n", y)
        axes.legend()
