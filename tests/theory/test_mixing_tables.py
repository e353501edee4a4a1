"""Every deterministic number of the acceptance tables, and the plain slow solver as a twin."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr

from synthsift.theory.mixing import predict_accuracy
from synthsift.theory.mixing_limits import critical_label_noise, critical_slope
from synthsift.theory.mixing_worth import accuracy_from_n_eff, best_weight, clean_row_worth, effective_sample_size

PRINTED = 1e-5  # the tables have five decimals


def _benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "theory_mixing.py"
    spec = importlib.util.spec_from_file_location("theory_mixing_cases", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = _benchmark().table_cases()
ACCURACY = {
    "A1": 0.90147,
    "A2": 0.70239,
    "A3": 0.86406,
    "B1": 0.75578,
    "B2": 0.83580,
    "B3": 0.90633,
    "B4": 0.77881,
    "B5": 0.50000,
    "B6": 0.19968,
    "C1": 0.86732,
    "C2": 0.89146,
    "C3": 0.78014,
    "C4": 0.81328,
    "C5": 0.86565,
    "C6": 0.85977,
    "C7": 0.87456,
    "C8": 0.81215,
    "D1": 0.85161,
    "D2": 0.77579,
    "D3": 0.89396,
    "D4": 0.88757,
    "E1": 0.85614,
    "E2": 0.82559,
    "E3": 0.79255,
    "E4": 0.81876,
}
# a, v, risk, delta_r, delta_s, delta_g; None where the table has none
TERMS = {
    "A1": (0.496604, 0.148209, 0.401617, 0.280776, None, None),
    "B4": (0.462136, 0.361914, 0.651212, None, 2.556103, None),
    "C1": (0.401960, 0.130243, 0.487895, 0.140255, 0.058103, 1.413904),
    "C4": (0.641510, 0.519487, 0.648002, 0.600396, 0.243265, 1.468073),
    "C7": (0.438492, 0.145838, 0.461129, 0.242835, 0.211875, 0.146127),
    "D1": (0.609703, 0.341468, 0.493800, 0.614529, 0.182349, 2.370071),
    "D3": (0.623217, 0.249434, 0.391399, 0.298284, 0.313716, 0.0),
    "E2": (0.579954, 0.383207, 0.559646, None, 0.129051, 1.290393),
}


@pytest.mark.parametrize("name", ACCURACY)
def test_accuracy_table(name: str) -> None:
    arguments, options = CASES[name]
    assert float(predict_accuracy(*arguments, **options).mean) == pytest.approx(ACCURACY[name], abs=PRINTED)


def test_every_case_has_its_value() -> None:
    assert set(CASES) == set(ACCURACY)


@pytest.mark.parametrize("name", TERMS)
def test_intermediate_values(name: str) -> None:
    arguments, options = CASES[name]
    terms = predict_accuracy(*arguments, **options).terms
    for key, value in zip(("a", "v", "risk", "delta_r", "delta_s", "delta_g"), TERMS[name], strict=True):
        if value is not None:
            assert float(terms[key]) == pytest.approx(value, abs=1e-6), key


SWEEP = {
    (100, 1.0, 0.0): (0.87564, 0.88281, 0.88952, 0.88163, 0.86221, 0.85075),
    (100, 0.9, 0.3): (0.87564, 0.87525, 0.87814, 0.87823, 0.86382, 0.85144),
    (100, 1.0, 1.0): (0.87564, 0.85883, 0.84921, 0.85571, 0.85670, 0.84710),
    (400, 1.0, 0.0): (0.87564, 0.88347, 0.89596, 0.90590, 0.90659, 0.90562),
    (400, 0.9, 0.3): (0.87564, 0.87506, 0.87894, 0.89139, 0.90077, 0.90381),
    (400, 1.0, 1.0): (0.87564, 0.85674, 0.83911, 0.84508, 0.87320, 0.89231),
    (4000, 1.0, 0.0): (0.87564, 0.88366, 0.89820, 0.91626, 0.92598, 0.92911),
    (4000, 0.9, 0.3): (0.87564, 0.87501, 0.87929, 0.89764, 0.91768, 0.92661),
    (4000, 1.0, 1.0): (0.87564, 0.85610, 0.83583, 0.84332, 0.88469, 0.91499),
}


@pytest.mark.parametrize("case", SWEEP)
def test_sweep_over_the_number_of_synthetic_rows(case: tuple[int, float, float]) -> None:
    size, keep_right, keep_wrong = case
    rates = {"label_noise": 0.3, "keep_right": keep_right, "keep_wrong": keep_wrong}
    at = [0, 50, 200, 800, 3200, 12800]
    predicted = predict_accuracy(200, at, 200, 1.5, 1.0, generator_size=size, **rates)
    np.testing.assert_allclose(predicted.mean, SWEEP[case], rtol=0, atol=PRINTED)


NOISES = (0.0, 0.2, 0.4, 0.6, 0.7, 8 / 11, 0.75, 0.8, 0.9, 1.0)
TRANSITION = {
    1.0: ((0.7329, 0.6915, 0.6362, 0.5613, 0.5142, 0.5, 0.4877, 0.4591, 0.3949, 0.3211), -0.53139),
    0.1: ((0.8243, 0.8098, 0.7749, 0.6665, 0.5428, 0.5, 0.4629, 0.3823, 0.2588, 0.1951), -1.61344),
    0.01: ((0.8395, 0.8378, 0.8326, 0.7977, 0.6267, 0.5, 0.3884, 0.2408, 0.1744, 0.1628), -5.09568),
    0.001: ((0.8412, 0.8410, 0.8404, 0.8361, 0.7685, 0.5, 0.2474, 0.1704, 0.1603, 0.1591), -16.11282),
}


@pytest.mark.parametrize("ratio", TRANSITION)
def test_phase_transition(ratio: float) -> None:
    values, slope = TRANSITION[ratio]
    rates = {"keep_right": 0.8, "keep_wrong": 0.3}
    curve = predict_accuracy(0, 100 / ratio, 100, 1.0, 1.0, label_noise=NOISES, **rates)
    np.testing.assert_allclose(curve.mean, values, rtol=0, atol=5.1e-5)  # four decimals are printed
    assert float(critical_label_noise(0.8, 0.3)) == pytest.approx(0.727273, abs=1e-6)
    assert float(critical_slope(100 / ratio, 100, 1.0, 1.0, **rates)) == pytest.approx(slope, abs=PRINTED)


def test_large_ridge_closed_forms() -> None:
    rates = {"label_noise": 0.2, "keep_right": 0.9, "keep_wrong": 0.4}
    assert float(effective_sample_size(300, 700, generator_size=300, **rates)) == pytest.approx(365.92487, abs=1e-5)
    assert float(best_weight(700, generator_size=300, **rates)) == pytest.approx(0.3645200, abs=1e-7)
    assert 300 + float(clean_row_worth(700, generator_size=300, **rates)) == pytest.approx(463.30498, abs=1e-5)
    assert float(effective_sample_size(300, 700, generator="self", **rates)) == pytest.approx(230.72203, abs=1e-5)
    superset = float(effective_sample_size(300, 700, generator="superset", num_extra=600, **rates))
    assert superset == pytest.approx(404.94731, abs=1e-5)
    assert float(accuracy_from_n_eff(superset, 200, 1.5)) == pytest.approx(0.91282, abs=PRINTED)
    assert float(accuracy_from_n_eff(300, 200, 1.5)) == pytest.approx(0.90615861, abs=1e-8)


def test_published_differences() -> None:
    # Where the published code says .8332, .6862, .7515, .7353 (alpha inside delta_s) and .9132 (tr(R C_s R)).
    cases = [
        ((900, 300, 1.5, 1.0, 0.3, 0.8, 0.4), 0.8358),
        ((600, 300, 1.5, 0.1, 0.2, 0.4, 0.1), 0.7788),
        ((900, 300, 1.5, 0.1, 0.3, 0.5, 0.1), 0.7866),
        ((600, 300, 2.0, 0.01, 0.1, 0.6, 0.06), 0.7977),
    ]
    for (size, dim, mean_norm, ridge, eps, phi, rho), value in cases:
        found = predict_accuracy(0, size, dim, mean_norm, ridge, label_noise=eps, keep_right=phi, keep_wrong=rho)
        assert float(found.mean) == pytest.approx(value, abs=5.1e-5)
    toy = predict_accuracy(200, 800, 200, 1.5, 1.0, generator_size=100, exact_mean=True)
    assert float(toy.mean) == pytest.approx(0.9145, abs=5.1e-5)


def test_exact_mean_behind_a_published_figure() -> None:
    # 1000 real rows, 95 % synthetic; label noise is the error of a classifier trained on the clean synthetic rows only.
    num_synth, size = 19000, 1000
    clean = predict_accuracy(0, num_synth, 500, 0.7, 1.0, generator_size=size, exact_mean=True)
    noise = 1.0 - float(clean.mean)
    rates = {"label_noise": noise, "keep_wrong": 0.0}
    setting = (1000, num_synth, 500, 0.7, 1.0)
    exact = predict_accuracy(*setting, generator_size=size, exact_mean=True, **rates)
    estimated = predict_accuracy(*setting, generator_size=size, **rates)
    own = predict_accuracy(*setting, generator="self", **rates)
    alone = predict_accuracy(1000, 0, 500, 0.7, 1.0)
    found = [float(p.mean) for p in (exact, estimated, own, alone)]
    np.testing.assert_allclose(found, [0.7457, 0.6875, 0.6804, 0.6802], rtol=0, atol=2e-4)


def test_audit_example() -> None:
    rates = {"label_noise": 0.2, "keep_right": 0.9, "keep_wrong": 0.3}
    audited = predict_accuracy(200, [0, 800], 200, 1.5, 1.0, generator_size=4000, **rates)
    np.testing.assert_allclose(audited.mean, [0.8756, 0.9065], rtol=0, atol=5.1e-5)


def plain_fresh_accuracy(
    n: float, m: float, d: np.ndarray, mu: np.ndarray, gamma: float, eps: float, phi: float, rho: float, size: float
) -> float:
    """Slow twin: plain iteration from R = I/gamma with Brent's method for D, and loops instead of matrices."""
    total, pi = n + m, n / (n + m)
    alpha, lam = phi * (1 - eps) + rho * eps, phi * (1 - eps) - rho * eps
    delta_r = delta_s = d.sum() / (total * gamma)
    for _ in range(100_000):
        g_r, g_s = pi / (1 + delta_r), (1 - pi) / (1 + delta_s)
        kappa, base = alpha * g_s, gamma + g_r * d
        right = kappa / size * np.sum(d / base)

        def excess(x: float, kappa: float = kappa, base: np.ndarray = base) -> float:
            return x - kappa / size * np.sum(d / (base + kappa * d / (1 + x)))

        inflation = 1 + (brentq(excess, 0, right, xtol=1e-15, rtol=1e-14) if right > 0 else 0.0)
        r = 1 / (base + kappa * d / inflation)
        old = delta_r, delta_s
        delta_r = np.sum(d * r) / total
        delta_s = delta_r / inflation
        if max(abs(delta_r / old[0] - 1), abs(delta_s / old[1] - 1)) < 1e-13:
            break
    t1, t2 = np.sum(d * r), np.sum(d**2 * r**2)
    hbar = 1 - kappa**2 * t2 / (size * inflation**2)
    t_rs = t2 / (total * inflation**2 * hbar)
    t_ss = t2 / (inflation**3 * hbar) + t1 / (size * inflation**2) * (t1 - kappa * t2 / (inflation**2 * hbar))
    traces = np.array([[t2 / (total * hbar), t_rs], [t_rs, t_ss / total]])
    form = np.sum(r * mu**2)
    gram = np.array([[form, form], [form, form + t1 / size]])
    weights = np.diag([g_r, alpha * g_s])
    a = np.linalg.solve(np.eye(2) + gram @ weights, gram @ np.array([g_r, g_s * lam]))
    b = np.array([g_r * (1 - a[0]), g_s * (lam - alpha * a[1])])
    quadratic = np.sum(d * r**2 * mu**2)
    bracket = (b[0] ** 2 + 2 * b[0] * b[1]) * quadratic + b[1] ** 2 * (quadratic + t2 / size)
    h = np.array([pi / (1 + delta_r) ** 2, (1 - pi) / (1 + delta_s) ** 2])
    loss = h * np.array([1 + a[0] ** 2 - 2 * a[0], alpha * (1 + a[1] ** 2) - 2 * lam * a[1]])
    right_side = np.array([bracket / hbar, bracket / (inflation**2 * hbar)]) + traces @ loss
    v = np.linalg.solve(np.eye(2) - traces @ np.diag(h * [1, alpha]), right_side)
    return float(ndtr(a[0] / np.sqrt(v[0])))


@pytest.mark.parametrize("ridge", [1e-6, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize("sizes", [(40, 100, 30), (0, 90, 45), (60, 0, 20), (25, 400, 1000)])
def test_plain_iteration_is_the_slow_twin(ridge: float, sizes: tuple[int, int, int]) -> None:
    n, m, size = sizes
    d, mu = np.linspace(0.2, 2.0, 50), np.linspace(0.3, 0.0, 50)
    rates = {"label_noise": 0.2, "keep_right": 0.9, "keep_wrong": 0.3}
    fast = predict_accuracy(n, m, 50, None, ridge, spectrum=d, mean=mu, generator_size=size, **rates)
    slow = plain_fresh_accuracy(n, m, d, mu, ridge, 0.2, 0.9, 0.3, size)
    # 1e-12 on the fixed point becomes at most 1e-8 here: the last plain steps shrink the error by >= 1e-4.
    assert float(fast.mean) == pytest.approx(slow, abs=1e-8)
