"""The score audit against planted errors of known energy, with and without the exact reference."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthsift.drift import ScoreAudit, audit_score
from synthsift.drift.audit import kernel_scores
from synthsift.drift.guarantees import tv_guarantee
from synthsift.drift.kernels import points
from synthsift.records import DataError

T0, T, DIM = 0.05, 4.0, 2
ROWS = np.random.default_rng(0).standard_normal((5000, DIM))


def exact(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Score of N(0, I) at every time."""
    return -x


def pushed(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return -x + np.array([0.3, 0.0])


def bent(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return -x + 0.1 * np.exp(-t)[:, None] * x


PUSHED = 0.09 * (T - T0)  # unit weight in t: the integral of |e|^2 over [t0, T]
BENT = 0.01 * DIM * (math.exp(-2 * T0) - math.exp(-2 * T)) / 2


@pytest.mark.parametrize(("model", "truth"), [(pushed, PUSHED), (bent, BENT)])
def test_planted_errors_are_measured(model: object, truth: float) -> None:
    for known in (True, False):
        found = audit_score(model, ROWS, exact, reference_is_exact=known, seeds=1)  # type: ignore[arg-type]
        assert abs(found.eps2 - truth) < 4 * found.error + 1e-9 and found.error < 0.1
        assert found.by_time[:, 1].sum() == pytest.approx(found.eps2)
    assert audit_score(model, ROWS, exact, reference_is_exact=True).error < found.error  # type: ignore[arg-type]


def test_intervals_cover_the_truth_and_pairing_is_what_makes_them_narrow() -> None:
    found = [
        audit_score(pushed, np.random.default_rng(k).standard_normal((2000, DIM)), exact, num_rows=4000, seeds=k)
        for k in range(60)
    ]
    inside = sum(f.low <= PUSHED <= f.high for f in found)
    assert inside >= 51  # of 60 at 95 %: P(fewer) = 0.2 %
    spread = float(np.std([f.eps2 for f in found]))
    assert np.mean([f.error for f in found]) == pytest.approx(spread, rel=0.35)
    assert np.mean([f.unpaired_error for f in found]) > 3 * spread


def test_a_perfect_model_is_found_perfect() -> None:
    found = audit_score(exact, ROWS, exact, reference_is_exact=True)
    assert found.eps2 == 0 and found.tv == 0 and found.kl == 0 and "KL <= 0" in str(found)


def test_another_reference_gives_a_lower_bound_and_no_guarantee() -> None:
    better = audit_score(pushed, ROWS, bent, seeds=2)
    assert better.eps2 == pytest.approx(PUSHED - BENT, abs=4 * better.error)
    assert not better.is_exact and "no guarantee" in str(better) and "TV" not in str(better)
    worse = audit_score(bent, ROWS, lambda x, t: -x + 1.0, seeds=2)
    assert worse.high < 0 and "use a larger" in str(worse)
    for found in (better, worse):
        assert found.tv == found.steady_tv(0.9) == 1.0 and found.kl == found.eps2_ceiling == math.inf
        assert found.loop_tv(0.9, 3).tolist() == [1.0] * 3


def test_a_bad_model_beside_a_reference_as_bad_is_not_called_safe() -> None:
    found = audit_score(lambda x, t: -x + 3.0, ROWS, lambda x, t: -x + 2.99, seeds=4)
    truth = 9.0 * DIM * (T - T0)
    assert found.high < 1 < truth  # the gap is small: both make the same error
    # This model samples N(m, I) with m = 6 (1 - e^{-(T-t0)/2}) in each place: hardly anything in common with the mix.
    assert found.tv == 1.0 and found.loop_tv(0.3, 5).min() == 1.0 and "TV" not in str(found)
    with pytest.raises(DataError, match="no steady state"):
        found.steady_tv(0.0)


def test_torch_models_are_audited_with_gradients_or_without() -> None:
    import torch

    slope = torch.nn.Parameter(torch.tensor(-1.2))

    def learned(x: np.ndarray, t: np.ndarray) -> torch.Tensor:
        return slope * torch.as_tensor(x, dtype=torch.float32)

    found = audit_score(learned, ROWS, exact, reference_is_exact=True, seeds=5)
    plain = audit_score(lambda x, t: -1.2 * x, ROWS, exact, reference_is_exact=True, seeds=5)
    assert found.eps2 == pytest.approx(plain.eps2, rel=1e-5)
    with pytest.raises(DataError, match=r"model failed with TypeError.*needs a wrapper"):
        audit_score(torch.nn.Linear(2, 2), ROWS)


def test_the_wrapper_of_the_docs_audits_the_discrete_steps_of_a_ddpm() -> None:
    import torch

    text = (Path(__file__).parents[2] / "docs" / "laboratory.md").read_text("utf-8")
    block = next(b.split("```")[0] for b in text.split("```python\n")[1:] if "alpha_bar" in b)
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)

    def network(x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """Noise that the exact model of N(0, I) predicts at each step, plus a planted push of the score."""
        sigma = (1 - alpha_bar[step]).sqrt()[:, None]
        return sigma * (x - torch.tensor([0.3, 0.0]))

    scope = {"torch": torch, "alpha_bar": alpha_bar, "network": network}
    exec(block, scope)
    found = audit_score(scope["model"], ROWS, exact, reference_is_exact=True)  # type: ignore[arg-type]
    assert found.eps2 == pytest.approx(PUSHED, rel=1e-3)


def test_the_kernel_reference_finds_a_bad_model_and_does_not_accuse_a_good_one() -> None:
    bad = audit_score(lambda x, t: -2.0 * x, ROWS, seeds=3)
    good = audit_score(exact, ROWS, seeds=3)
    truth = DIM * (T - T0)
    assert 0.5 * truth < bad.low and bad.eps2 < truth + 4 * bad.error
    assert good.low < 0  # the kernel is worse than the exact score, so nothing is claimed


def test_kernel_scores_equal_those_of_the_noised_points() -> None:
    centers, x, t = ROWS[:30], ROWS[50:60], np.linspace(0.05, 3, 10)
    found = kernel_scores(centers, x, t)
    for k in range(10):
        assert found[k] == pytest.approx(points(centers).noised(t[k]).score(x[k : k + 1])[0], abs=1e-3)


def test_guarantees_are_those_of_the_theory() -> None:
    found = audit_score(pushed, ROWS, exact, reference_is_exact=True)
    eps = math.sqrt(found.high)
    assert found.tv == pytest.approx(eps / 2) and found.kl == pytest.approx(eps**2 / 2)
    assert found.loop_tv(0.3, 5) == pytest.approx(tv_guarantee(0.3, np.full(5, eps)))
    assert found.steady_tv(0.5) == pytest.approx(eps) and found.loop_tv(0.5, 60)[-1] == pytest.approx(eps)
    # The push moves N(0, I) to N(m, I) with a known distance, which the guarantee covers.
    mean = 0.6 * (1 - math.exp(-(T - T0) / 2))
    assert math.erf(mean / 2 / math.sqrt(2)) <= found.tv
    with pytest.raises(DataError, match="no steady state"):
        found.steady_tv(0.0)
    with pytest.raises(DataError, match="0 rounds"):
        found.loop_tv(0.5, 0)
    assert isinstance(found, ScoreAudit)


def test_a_bound_of_more_than_one_is_clipped_and_said_to_say_nothing() -> None:
    found = audit_score(pushed, ROWS, exact, reference_is_exact=True)
    assert "says nothing" not in str(found) and found.tv < 1
    loop = found.loop_tv(0.05, 60)
    assert loop[0] == found.tv and loop[-1] == found.steady_tv(0.05) == 1.0 and np.all(np.diff(loop) >= 0)
    far = replace(found, high=9.0)
    assert far.tv == 1.0 and "TV <= 1 (says nothing)" in str(far)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"data": ROWS[:49]}, "49 rows"),
        ({"data": np.full((60, 2), np.nan)}, "NaN"),
        ({"t0": 0.0}, "t0"),
        ({"t0": 5.0}, "horizon"),
        ({"horizon": math.inf}, "horizon"),
        ({"num_rows": 10}, "100 rows"),
        ({"num_rows": 100.5}, "100.5: a whole number"),
        ({"num_rows": "many"}, "whole number"),
        ({"t0": "early"}, "t0 = 'early'"),
        ({"model": None}, "model is a NoneType"),
        ({"reference": 3.0}, "reference is a float"),
        ({"model": lambda x, t: None}, r"model (failed|returned)"),
        ({"model": lambda x, t: x * t}, "model failed with ValueError"),
        ({"model": lambda x, t: x[:, :1]}, "model returned shape"),
        ({"reference": lambda x, t: np.full(x.shape, np.inf)}, "reference returned a score that is not finite"),
        ({"reference": None, "reference_is_exact": True}, "without a reference"),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], word: str) -> None:
    arguments: dict[str, object] = {"model": exact, "data": ROWS, "reference": exact, **change}
    with pytest.raises(DataError, match=word):
        audit_score(**arguments)  # type: ignore[arg-type]
