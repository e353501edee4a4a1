"""The collapse formulas against drawn data: families the tables do not cover, random settings, real features."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from synthsift.records import Prediction
from synthsift.seeds import Seeds
from synthsift.theory.collapse import predict_error, simulate_error
from synthsift.theory.collapse_chain import predict_ridge_chain, simulate_generations
from synthsift.theory.collapse_master import predict_sources, predict_spread
from synthsift.theory.collapse_simulate import fit_ridge, simulate_sources
from synthsift.theory.collapse_sources import Source, stack_sources


def load_benchmark(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"settings_of_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BENCHMARK = load_benchmark("theory_collapse")
PROPERTY_SETTINGS = 15
DIM = 120
SPECTRUM = np.arange(1, DIM + 1.0) ** -1.1
SIGNAL = np.full(DIM, 1 / SPECTRUM.sum())
SHIFT = 0.4 * SIGNAL
CROSS = -0.7 * np.sqrt(SIGNAL * SHIFT)
OTHER = SPECTRUM[::-1].copy()


def check(predicted: Prediction, drawn: Prediction, parts: tuple[str, ...] = ("total",)) -> None:
    """Within 4 standard errors or 3 %; twice that, because dim is below 200 here."""
    for part in parts:
        value, mean, spread = (float(p) for p in (predicted.terms[part], drawn.terms[part], drawn.terms[f"{part}_se"]))
        allowed = 2 * max(4 * spread, 0.03 * value) + 1e-12  # least squares has a bias of rounding errors only
        assert abs(value - mean) <= allowed, f"{part}: {value} is not {mean} +- {spread}"


FAMILIES: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "shrunken labeller": ((150, 100, DIM), {"ridge": 1e-2, "cross": CROSS}),
    "shrunken labeller, weights, narrow": (
        (150, 120, DIM),
        {"ridge": 1e-3, "cross": CROSS, "synth_weight": 0.4, "width": 70},
    ),
    "other inputs, wide": ((60, 40, DIM), {"ridge": 1e-3, "synth_spectrum": OTHER, "cross": CROSS, "width": 260}),
    "other inputs, least squares": ((150, 250, DIM), {"synth_spectrum": OTHER, "synth_weight": 0.2}),
    "other inputs, interpolating": ((40, 30, DIM), {"synth_spectrum": OTHER}),
    "other inputs, interpolating, wide": ((40, 30, DIM), {"synth_spectrum": OTHER, "width": 200}),
    "other inputs, narrow least squares": ((150, 150, DIM), {"synth_spectrum": OTHER, "width": 50}),
    "tiny ridge, interpolating": ((40, 30, DIM), {"ridge": 1e-9, "synth_weight": 0.3}),
    "no real rows": ((0, 90, DIM), {"ridge": 1e-2, "synth_spectrum": OTHER}),
    "synthetic rows of weight zero": ((90, 60, DIM), {"ridge": 1e-2, "synth_weight": 0.0}),
}


@pytest.mark.parametrize("name", list(FAMILIES))
def test_family(name: str) -> None:
    sizes, options = FAMILIES[name]
    world = {"spectrum": SPECTRUM, "signal": SIGNAL, "shift": SHIFT, "real_noise_variance": 0.2, **options}
    drawn = simulate_error(*sizes, **world, seeds=Seeds(5).child(name), repeats=30)
    check(predict_error(*sizes, **world), drawn, ("total", "bias", "variance", "collapse"))


def dense_sources() -> tuple[list[Source], np.ndarray, dict[tuple[int, int], np.ndarray]]:
    """Three sources with covariances that do not commute, fixed w_1 and fixed, related shifts."""
    rng = np.random.default_rng(6)
    factor = rng.standard_normal((60, 60)) / np.sqrt(60)
    truth, first = rng.standard_normal((2, 60)) / np.sqrt(60)
    second = 0.8 * first - 0.3 * truth + 0.3 * rng.standard_normal(60) / np.sqrt(60)
    sources = [
        Source(90, np.arange(1, 61.0) ** -0.7, 0.2),
        Source(60, factor @ factor.T, 0.1, np.outer(first, first), np.outer(first, truth), weight=0.7),
        Source(80, np.ones(60), 0.05, np.outer(second, second), np.outer(second, truth)),
    ]
    return sources, np.outer(truth, truth), {(2, 1): np.outer(second, first)}


@pytest.mark.parametrize("width", [None, 40])
def test_fixed_vectors_and_covariances_that_do_not_commute(width: int | None) -> None:
    sources, signal, between = dense_sources()
    options: dict[str, Any] = {"ridge": 0.02, "width": width, "test_covariance": np.linspace(0.5, 1.5, 60)}
    drawn = simulate_sources(sources, signal, between=between, seeds=7, repeats=150, **options)
    check(
        predict_sources(sources, signal, between=between, **options), drawn, ("total", "bias", "variance", "collapse")
    )


def test_related_shifts_need_their_cross_moment() -> None:
    shift = np.full(100, 0.6 / 100)
    sources = [Source(140, np.ones(100), 0.2), *[Source(100, np.ones(100), 0.1, shift, weight=0.7)] * 2]
    options: dict[str, Any] = {"ridge": 0.05}
    drawn = simulate_sources(sources, np.full(100, 0.01), between={(2, 1): shift}, seeds=8, repeats=40, **options)
    check(
        predict_sources(sources, np.full(100, 0.01), between={(2, 1): shift}, **options), drawn, ("total", "collapse")
    )
    unrelated = float(predict_sources(sources, np.full(100, 0.01), **options).mean)
    assert unrelated < float(drawn.mean) - 10 * float(drawn.terms["total_se"])


def test_second_moments_traced_are_the_error() -> None:
    sources, signal, between = dense_sources()
    stack = stack_sources(sources, signal, ridge=0.02, between=between)
    spread = predict_spread(stack)
    for test in (np.ones(60), np.arange(60.0), sources[1].covariance):
        total = float(predict_sources(sources, signal, ridge=0.02, between=between, test_covariance=test).mean)
        traced = np.trace(spread.error @ np.diag(test) if test.ndim == 1 else spread.error @ test)
        assert traced == pytest.approx(total, rel=1e-9)


def test_cross_moment_of_the_error() -> None:
    sources, signal, _ = dense_sources()
    stack = stack_sources(sources[:1], signal, ridge=0.2)
    truth = np.sqrt(np.diag(signal)) * np.sign(signal[0])
    rng, sums = np.random.default_rng(9), []
    for _ in range(300):
        x = rng.standard_normal((90, 60)) * np.sqrt(sources[0].covariance)
        fit = fit_ridge(x, (x @ truth + np.sqrt(0.2) * rng.standard_normal(90))[:, None], 0.2)[:, 0]
        sums.append((fit - truth) @ truth)
    expected = np.trace(predict_spread(stack).cross)
    assert np.mean(sums) == pytest.approx(expected, abs=4 * np.std(sums) / np.sqrt(len(sums)))


def test_chain_without_the_cross_moment_is_wrong() -> None:
    options: dict[str, Any] = {"ridge": 0.02, "real_noise_variance": 0.2, "spectrum": SPECTRUM, "signal": SIGNAL}
    right = predict_ridge_chain(1, 60, 180, DIM, **options)
    drawn = simulate_generations("fresh_real", 1, 60, 180, DIM, **options, seeds=12, repeats=40)
    allowed = 2 * np.maximum(4 * drawn.terms["total_se"], 0.03 * right.mean)
    assert (np.abs(right.mean - drawn.mean) <= allowed).all()
    first = predict_spread(stack_sources([Source(240, SPECTRUM, 0.2)], SIGNAL, ridge=0.02))
    sources = [Source(60, SPECTRUM, 0.2), Source(180, SPECTRUM, 0.2, first.error)]
    assert abs(float(predict_sources(sources, SIGNAL, ridge=0.02).mean) - drawn.mean[1]) > allowed[1]


def drawn_settings() -> list[Any]:
    """The first random settings away from poles, small ones for speed."""
    settings, number = [], 0
    while len(settings) < PROPERTY_SETTINGS:
        node = Seeds(2024).child("setting", number)
        call = BENCHMARK.draw_setting(node.numpy("draw"), (50, 220))
        number += 1
        if not BENCHMARK.is_at_pole(call):
            settings.append((node, call))
    return settings


@pytest.mark.parametrize("number", range(PROPERTY_SETTINGS))
def test_random_setting(number: int) -> None:
    node, call = drawn_settings()[number]
    predicted, simulated, spread, allowed = BENCHMARK.compare(call, node, 40)
    text = f"{predicted} is not {simulated} +- {spread} for {BENCHMARK.describe(call)}"
    assert abs(predicted - simulated) <= allowed, text


def digit_world(num_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Centered real features (n, d) and labels -1, 1 for odd against even digits."""
    datasets = pytest.importorskip("sklearn.datasets")
    pixels, digits = datasets.load_digits(return_X_y=True)
    x = pixels[:, pixels.var(axis=0) > 0.5] / 8.0
    if num_features:
        layer = np.random.default_rng(10).standard_normal((x.shape[1], num_features)) / np.sqrt(x.shape[1])
        x = np.maximum((x - x.mean(axis=0)) @ layer, 0.0)
    y = 2.0 * (digits % 2) - 1.0
    return x - x.mean(axis=0), y - y.mean()


@pytest.mark.parametrize("num_features", [0, 120])
@pytest.mark.parametrize(("rows", "fraction"), [(600, 0.0), (600, 0.5), (2000, 0.1), (600, 1.0)])
def test_real_features(num_features: int, rows: int, fraction: float) -> None:
    x, y = digit_world(num_features)
    rng = np.random.default_rng(11)
    covariance = x.T @ x / len(x)
    truth = fit_ridge(x, y[:, None], 0.0)[:, 0]
    few = rng.choice(len(x), 120, replace=False)
    teacher = fit_ridge(x[few], y[few][:, None], 0.05)[:, 0]
    delta, misfit = teacher - truth, float(np.mean((y - x @ truth) ** 2))
    num_synth = int(rows * fraction)
    sources = [
        Source(rows - num_synth, covariance, misfit),
        Source(num_synth, covariance, 0.0, np.outer(delta, delta), np.outer(delta, truth)),
    ]
    predicted = float(predict_sources(sources, np.outer(truth, truth), ridge=1e-3).mean)
    errors = []
    for _ in range(25):
        real, synth = rng.integers(len(x), size=rows - num_synth), rng.integers(len(x), size=num_synth)
        labels = np.concatenate([y[real], x[synth] @ teacher])
        gap = fit_ridge(np.concatenate([x[real], x[synth]]), labels[:, None], 1e-3)[:, 0] - truth
        errors.append(gap @ covariance @ gap)
    # Real features are not Gaussian and the misfit is not independent noise: 10 %.
    spread = np.std(errors) / np.sqrt(len(errors))
    assert np.mean(errors) == pytest.approx(predicted, abs=max(4 * spread, 0.1 * predicted))
