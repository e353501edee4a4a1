"""Every deterministic number of the acceptance tables of the collapse theory, and the rows simulated afresh."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from synthsift.seeds import Seeds
from synthsift.theory.collapse import predict_error
from synthsift.theory.collapse_chain import predict_ridge_chain
from synthsift.theory.collapse_generations import predict_fixed_real, predict_fresh_real
from synthsift.theory.collapse_master import predict_sources
from synthsift.theory.collapse_sources import Source
from synthsift.theory.collapse_width import predict_width_curve

REFERENCE = 1e-6  # printed to eight digits, relative


def load_benchmark(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ROWS = load_benchmark("theory_collapse_rows")
CASES = ROWS.table_cases()
# The cheapest row of every family is simulated in the fast suite; all of them by `benchmarks.theory_collapse_rows`.
SIMULATED = ["1", "4", "5", "7", "9", "11", "13", "15", "18", "19", "24", "30", "34", "35", "36", "37", "39", "42"]


def last_digit(printed: str) -> float:
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])


@pytest.mark.parametrize("name", list(CASES))
def test_row_has_its_printed_value(name: str) -> None:
    case = CASES[name]
    for value, printed in zip(case.pick(case.predict().mean), case.printed, strict=True):
        assert abs(value - float(printed)) <= max(1.001 * last_digit(printed), 1e-5 * float(printed))


@pytest.mark.parametrize("name", SIMULATED)
def test_row_is_what_a_simulation_gives(name: str) -> None:
    case = CASES[name]
    drawn = case.simulate(seeds=Seeds(11).child(name), repeats=12)
    predicted, simulated = case.pick(case.predict().mean), case.pick(drawn.mean)
    allowed = np.maximum(4 * case.pick(drawn.terms["total_se"]), 0.03 * predicted)
    assert (np.abs(simulated - predicted) <= allowed).all(), f"{simulated} is not {predicted} within {allowed}"


def test_row_14_rotated_covariance() -> None:
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    spectrum = ROWS.power(200, 1.0)
    flat = ROWS.scaled(np.ones(200), spectrum)
    sources = [
        Source(250, spectrum, 0.1, weight=1.2),
        Source(350, (rotation * ROWS.power(200, 0.7)) @ rotation.T, 0.05, flat * 0.3, weight=0.8),
    ]
    # The value depends a little on the rotation, which is not printed.
    assert float(predict_sources(sources, flat, ridge=5e-3).mean) == pytest.approx(0.089048, rel=0.02)


SCALARS = {
    "4": {"kappa": 0.12845893, "df1": 177.23286, "df2": 157.05743, "u": 0.24427909},
    "8": {"kappa": 0.0012730911, "df1": 128.70614, "df2": 66.399899, "u": 0.12443757},
    "21": {"kappa": 0.02386665, "df1": 293.00691, "df2": 286.17682, "u": 2.5411878, "nu": 0.003028643},
    "22": {"kappa": 0.0039380293, "df1": 298.82323, "df2": 297.65107, "u": 2.9083725, "nu": 1.5267112e-05},
    "27": {"kappa": 0.027078934, "df1": 49.983588, "df2": 16.948016, "u": 0.11103009, "nu": 0.027065487},
    "28": {"kappa": 0.0022289783, "df1": 199.70121, "df2": 117.15652, "u": 0.66335931, "nu": 0.002220939},
    "29": {"kappa": 0.0022225397, "df1": 199.94001, "df2": 117.3787, "u": 1.7534663, "nu": 0.00026881053},
    "30": {"kappa": 0.0084611602, "df1": 102.76334, "df2": 43.990869, "u": 0.49400793, "nu": 0.0031875268},
}
PARTS = {
    "1": (0.0, 0.08333333, 0.33333333),
    "4": (0.016124078, 0.061069773, 0.03531138),
    "7": (0.5, 0.1, 0.32),
    "8": (0.0048960363, 0.0074662541, 0.028056314),
    "12": (0.020019318, 0.036793278, 0.10734975),
    "13": (0.016987432, 0.05766836, 0.036564512),
    "15": (0.026054, 0.023213, 0.058937),
    "16": (0.0, 0.11111111, 0.32888889),
    "17": (0.0, 0.27211336, 0.091346615),
    "18": (0.0, 0.7164186, 0.0072286862),
    "21": (0.012154993, 0.25411878, 0.44521143),
    "22": (0.00011933912, 0.29083725, 0.50503057),
    "27": (0.36820368, 0.0055515044, 0.022987949),
    "28": (0.18093773, 0.033167965, 0.072327133),
    "29": (0.14500817, 0.087673314, 0.19336745),
    "30": (0.23324546, 0.024700397, 0.071543802),
    "34": (0.14254185, 0.030436104, 0.067777631),
}


@pytest.mark.parametrize("name", list(SCALARS))
def test_intermediate_scalars(name: str) -> None:
    terms = CASES[name].predict().terms
    for scalar, value in SCALARS[name].items():
        assert float(terms[scalar]) == pytest.approx(value, rel=REFERENCE), scalar


@pytest.mark.parametrize("name", list(PARTS))
def test_parts_of_the_error(name: str) -> None:
    terms = CASES[name].predict().terms
    digits = 5e-5 if name == "15" else REFERENCE  # row 15 is printed to five digits
    for part, value in zip(("bias", "variance", "collapse"), PARTS[name], strict=True):
        assert float(terms[part]) == pytest.approx(value, rel=digits, abs=1e-12), part


def test_state_of_other_inputs() -> None:
    terms = CASES["12"].predict().terms
    assert [float(terms["a_real"]), float(terms["a_synth"])] == pytest.approx([0.29956508, 0.43619952], rel=REFERENCE)
    assert [float(terms["b_real"]), float(terms["b_synth"])] == pytest.approx([0.34167528, 0.13128749], rel=REFERENCE)
    # Rows 13 and 34 are solved with all weights and the ridge divided by omega_1, which divides a_k by it too.
    terms = CASES["13"].predict().terms
    assert 1.6 * float(terms["a_real"]) == pytest.approx(0.40884011, rel=REFERENCE)
    assert 1.6 * float(terms["a_synth"]) == pytest.approx(0.18818261, rel=REFERENCE)
    assert [float(terms["b_real"]), float(terms["b_synth"])] == pytest.approx([0.57069424, 0.0299468], rel=REFERENCE)
    terms = CASES["34"].predict().terms
    assert 1.5 * float(terms["kappa"]) == pytest.approx(0.0024413405, rel=REFERENCE)
    assert 1.5 * float(terms["a_real"]) == pytest.approx(0.41831721, rel=REFERENCE)
    assert [float(terms["b_real"]), float(terms["b_synth"])] == pytest.approx([0.28478034, 0.0391614], rel=REFERENCE)


def test_state_of_three_sources() -> None:
    terms = CASES["15"].predict().terms
    assert terms["a"] == pytest.approx([0.34949219, 0.17265368, 0.21364964], rel=REFERENCE)
    assert terms["b"] == pytest.approx([0.16992511, 0.06220504, 0.01326409], rel=REFERENCE)


@pytest.mark.parametrize(("name", "share"), [("16", 0.8), ("17", 0.37309199), ("18", 0.087380562)])
def test_effective_share(name: str, share: float) -> None:
    assert float(CASES[name].predict().terms["share_synth"]) == pytest.approx(share, rel=REFERENCE)


def test_generations_to_all_printed_digits() -> None:
    fresh = predict_fresh_real(6, 500, 500, 100, mismatch=1.0, real_noise_variance=0.5)
    printed = [1, 0.33333333, 0.14814815, 0.09670782, 0.08241884, 0.07844968, 0.07734713]
    assert fresh.mean == pytest.approx(printed, rel=REFERENCE)
    assert fresh.terms["limit"] == pytest.approx(0.07692308, rel=REFERENCE)
    spectrum = ROWS.power(200, 1.2)
    flat = ROWS.scaled(np.ones(200), spectrum)
    chain = predict_ridge_chain(5, 100, 300, 200, ridge=1e-3, real_noise_variance=0.2, spectrum=spectrum, signal=flat)
    printed = [0.09706994, 0.15098397, 0.18115067, 0.19825863, 0.20811089, 0.21387409]
    assert chain.mean == pytest.approx(printed, rel=REFERENCE)
    assert float(predict_fixed_real(800, 800, 100, real_noise_variance=0.5).mean) == pytest.approx(
        0.0948023, rel=REFERENCE
    )


def check_printed(values: np.ndarray, printed: str) -> None:
    for value, text in zip(values, printed.split(), strict=True):
        assert abs(value - float(text)) <= 1.001 * last_digit(text), f"{value} is not {text}"


STRONG = {
    0.0: "1.00000 0.11111 0.010101 0.0010010 0.0001000 0.0000010",
    0.001: "1.00100 0.11122 0.010112 0.0010030 0.0001011 0.0000020",
    0.01: "1.01000 0.11231 0.010301 0.0011109 0.0002010 0.0001010",
    0.1: "1.10000 0.13111 0.021010 0.0110911 0.0101090 0.0100011",
    0.5: "1.50000 0.38889 0.262626 0.2512513 0.2501250 0.2500013",
}
POWER_LAW = {
    0.0: "0.11432 0.05417 0.0049972 0.0011108 0.0001010 0.0000100",
    0.01: "0.11603 0.05672 0.0062589 0.0014107 0.0001510 0.0000375",
    0.1: "0.13193 0.07958 0.0187407 0.0061100 0.0028282 0.0025325",
    0.5: "0.21283 0.17786 0.0987286 0.0705525 0.0632316 0.0625721",
}


@pytest.mark.parametrize("fraction", list(STRONG))
def test_strong_collapse_table(fraction: float) -> None:
    rows = np.array([200, 1e3, 1e4, 1e5, 1e6, 1e8])
    curve = predict_error((1 - fraction) * rows, fraction * rows, 100, mismatch=1.0)
    check_printed(curve.mean, STRONG[fraction])


@pytest.mark.parametrize("fraction", list(POWER_LAW))
def test_power_law_table(fraction: float) -> None:
    rows = np.array([100, 300, 3000, 1e4, 1e5, 1e6])
    spectrum = ROWS.power(1000, 1.5)
    world: dict[str, Any] = {"spectrum": spectrum, "signal": ROWS.scaled(np.ones(1000), spectrum), "ridge": 1e-8}
    curve = predict_error(
        (1 - fraction) * rows, fraction * rows, 1000, mismatch=0.25, real_noise_variance=0.01, **world
    )
    check_printed(curve.mean, POWER_LAW[fraction])


def test_model_size_below_dim() -> None:
    widths = [25, 50, 100, 200, 250, 300, 500, 1000, 5000]
    options: dict[str, Any] = {"ridge": 1e-3, "real_noise_variance": 0.1, "size_alone": False}
    clean = predict_width_curve(widths, 175, 75, 500, **options)
    check_printed(clean.mean, "1.0664 1.1491 1.3959 3.1917 7.2108 3.2827 1.1941 0.7993 0.6315")
    mixed = predict_width_curve(widths, 175, 75, 500, mismatch=1.0, **options)
    check_printed(mixed.mean, "1.1036 1.2306 1.6005 4.2046 10.0971 4.6569 1.6994 1.1385 0.8998")
    collapse = mixed.terms["collapse"]
    check_printed(collapse, "0.0372 0.0815 0.2046 1.0128 2.8863 1.3743 0.5053 0.3391 0.2683")
    # Bigger means more collapse up to the threshold, less beyond it, and never none.
    assert (np.diff(collapse[:5]) > 0).all() and (np.diff(collapse[4:]) < 0).all() and collapse[-1] > 0.2


def test_model_size_above_dim() -> None:
    widths = [25, 100, 200, 300, 400, 500, 750, 1000, 5000]
    options: dict[str, Any] = {"ridge": 1e-3, "real_noise_variance": 0.1, "size_alone": False}
    printed = {
        0.0: "0.9769 0.8997 0.7741 0.6122 0.3952 0.1292 0.0985 0.0992 0.0999",
        1.0: "0.9889 0.9489 0.8756 0.7702 0.6142 0.4000 0.3946 0.3972 0.3997",
        16.0: "1.1697 1.6867 2.3982 3.1400 3.8987 4.4620 4.8351 4.8670 4.8963",
    }
    for mismatch, values in printed.items():
        check_printed(predict_width_curve(widths, 700, 300, 500, mismatch=mismatch, **options).mean, values)
    collapse = predict_width_curve(widths, 700, 300, 500, mismatch=1.0, **options).terms["collapse"]
    check_printed(collapse, "0.0121 0.0492 0.1015 0.1580 0.2190 0.2708 0.2960 0.2980 0.2998")


def test_tail_errors_make_the_best_width_interior() -> None:
    widths = [10, 30, 100, 300, 1000, 2000, 4000, 12000, 1e5]
    spectrum = ROWS.power(2000, 1.2)
    world: dict[str, Any] = {"spectrum": spectrum, "signal": ROWS.scaled(ROWS.power(2000, 1.0), spectrum)}
    world |= {"real_noise_variance": 0.01, "ridge": 1e-6, "size_alone": False}
    printed = {
        0.0: "0.3430 0.1412 0.0423 0.0125 0.0053 0.0079 0.0097 0.0099 0.0100",
        0.1: "0.3511 0.1538 0.0598 0.0349 0.0372 0.0523 0.0589 0.0598 0.0600",
        0.5: "0.3835 0.2043 0.1299 0.1246 0.1648 0.2297 0.2555 0.2591 0.2599",
    }
    for mismatch, values in printed.items():
        check_printed(predict_width_curve(widths, 2000, 2000, 2000, mismatch=mismatch, **world).mean, values)
