"""Finished loops of `benchmarks.drift` as tables: one row a generation, one a forecast; docs/results/drift-loops*.parquet.

Beside the product's forecast stand what is left of it when one part of its law is taken away, and the plainest guess of all,
that nothing changes any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.drift_cases import LEVEL, LoopCase
from benchmarks.drift_loop import Stored, forecast_loop, trace_until
from synthsift.drift.forecast import INTERVAL_PAIRS
from synthsift.drift.innovation import error_rank
from synthsift.drift.posterior import RESPONSES, draw_posterior, simulate_ahead
from synthsift.drift.traces import DriftTrace
from synthsift.seeds import Seeds

RESULTS = Path(__file__).parents[1] / "docs" / "results"
#: Name of a variant -> values of rho, origins, and whether it knows that rows are kept.
VARIANTS: dict[str, tuple[Sequence[float], Sequence[bool], bool]] = {
    "same error on all rows": ((1.0,), (False, True), True),
    "first generation of any origin": (RESPONSES, (False,), True),
    "both, and kept rows taken for replaced ones": ((1.0,), (False,), False),
}


def generation_rows(case: LoopCase, seed: int, stored: Stored) -> list[dict[str, Any]]:
    """What the monitor saw."""
    drift, rows = trace_until(case, stored, case.last).drift, []
    for k in range(case.last + 1):
        row = {"world": case.world.name, "kind": case.kind, "alpha": case.alpha, "seed": seed, "generation": k}
        row |= {"real_share": 1.0 if k == 0 else stored["alpha"][k - 1], "drift": float(drift[k])}
        row |= {"noise": stored["noise"][k], "seconds": stored["seconds"][k], "place": stored["place"][k]}
        rows.append(row | stored["thorough"].get(str(k), {}))
    return rows


def forecast_row(case: LoopCase, seed: int, stored: Stored) -> dict[str, Any]:
    """The forecast, its variants and what happened."""
    row: dict[str, Any] = {"world": case.world.name, "kind": case.kind, "alpha": case.alpha, "seed": seed}
    row |= {"list": stored["list"], "cpu_seconds": stored["cpu_seconds"]} | forecast_loop(case, seed, stored)
    known, ahead = trace_until(case, stored, case.seen), np.array(stored["alpha"][case.seen :])
    for name, (responses, origins, knows_kept) in VARIANTS.items():
        trace = known if knows_kept else trace_until(case, stored, case.seen, accumulate=False)
        low, point, high = restricted_forecast(trace, ahead, Seeds(seed).child(case.name, name), responses, origins)
        row |= {f"{name}: point": point, f"{name}: low": low, f"{name}: high": high}
    return row


def restricted_forecast(
    trace: DriftTrace, ahead: np.ndarray, seeds: Seeds, responses: Sequence[float], origins: Sequence[bool]
) -> tuple[float, float, float]:
    """Low end, point and high end for the last generation from a posterior that allows less."""
    rank = error_rank(trace, INTERVAL_PAIRS)
    draws = draw_posterior(trace, rank, seeds.numpy("posterior"), responses=responses, origins=origins)
    last = simulate_ahead(draws, ahead, seeds.numpy("future"))[:, -1]
    low, point, high = np.quantile(last, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    return float(low), float(point), float(high)


def store(finished: Sequence[tuple[LoopCase, int, Stored]]) -> None:
    """Write both tables, sorted."""
    keys = ["world", "kind", "alpha", "seed"]
    loops = pd.DataFrame([row for loop in finished for row in generation_rows(*loop)])
    forecasts = pd.DataFrame([forecast_row(*loop) for loop in finished])
    RESULTS.mkdir(parents=True, exist_ok=True)
    loops.sort_values([*keys, "generation"], ignore_index=True).to_parquet(RESULTS / "drift-loops.parquet")
    forecasts.sort_values(keys, ignore_index=True).to_parquet(RESULTS / "drift-forecasts.parquet")
