"""The list of loops holds fast, a stored loop is not run again, generators learn, and the page is what is stored."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks import drift, drift_collect, drift_page
from benchmarks.drift_cases import QUICK, REPORTED, fingerprint
from benchmarks.drift_copula import GaussianCopula, sort_key
from benchmarks.drift_loop import Fresh, begin, forecast_loop, generations, inner_places, run_loop, trace_until

from synthsift.drift.forecast import forecast_drift
from synthsift.drift.traces import DriftTrace
from synthsift.records import Table
from synthsift.seeds import Seeds

TINY = replace(QUICK[1], world=replace(QUICK[1].world, rows=60, watched=100, reference=200), seen=2, last=3)


def table(rng: np.random.Generator, n: int) -> Table:
    """Two numbers with correlation .8, one with many equal values, and a category that depends on the first."""
    first = rng.standard_normal(n)
    second = 0.8 * first + 0.6 * rng.standard_normal(n)
    tied = np.where(rng.random(n) < 0.7, 0.0, np.round(rng.exponential(5, n)))
    tied[:3] = np.nan
    codes = np.where(rng.random(n) < 0.1, -1, (first > 0.5).astype(int) + (first > 1.5)).astype(np.int32)
    return Table(("a", "b", "c", "d"), (first, second, tied, codes), (None, None, None, ("x", "y", "z")))


def test_the_list_is_the_one_that_was_run() -> None:
    assert fingerprint() == "070c4bdccbcf"
    assert len({case.name for case in REPORTED}) == len(REPORTED)
    loops = {
        (c.world.name, c.kind): {d.alpha for d in REPORTED if d.world == c.world and d.kind == c.kind} for c in REPORTED
    }
    five, three = {0.0, 0.1, 0.3, 0.5, 0.9}, {0.0, 0.3, 0.9}
    for name in ("adult", "digits"):
        assert loops[name, "replace"] == loops[name, "accumulate"] == five
    assert loops["mnist", "replace"] == loops["text", "replace"] == three
    cells = drift.all_cells(REPORTED, 1000)
    assert len({cell.file for cell in cells}) == len(cells) == sum(case.num_seeds for case in REPORTED)
    assert min(cell.seed for cell in cells) >= 1000 and {case.seen for case in REPORTED} == {4}


def test_the_copula_keeps_columns_and_correlation() -> None:
    rng = np.random.default_rng(0)
    real = table(rng, 4000)
    made = GaussianCopula.fit(real, rng).sample(4000, rng)
    for k in (0, 1):
        # two samples of one law: the largest gap of the distribution functions exceeds 1.95 sqrt(2/n) once in 1,000
        places = np.sort(np.concatenate([real.values[k], made.values[k]]))
        gap = np.searchsorted(np.sort(real.values[k]), places) - np.searchsorted(np.sort(made.values[k]), places)
        assert np.abs(gap).max() / 4000 < 1.95 * np.sqrt(2 / 4000)
    # Fisher's z of a correlation has deviation 1/sqrt(n); real and made one each
    z = [np.arctanh(np.corrcoef(rows.values[0], rows.values[1])[0, 1]) for rows in (real, made)]
    assert abs(z[0] - z[1]) < 4 * np.sqrt(2 / 4000)
    for code in (-1, 0, 1, 2):
        shares = [(rows.values[3] == code).mean() for rows in (real, made)]
        assert abs(shares[0] - shares[1]) < 4 * np.sqrt(2 * shares[0] / 4000)
    assert (made.values[2] == 0).mean() == pytest.approx((real.values[2] == 0).mean(), abs=4 * np.sqrt(2 * 0.21 / 4000))
    # the dependence of a category on a number is weakened, not lost
    seen, kept = (np.corrcoef(rows.values[0], rows.values[3])[0, 1] for rows in (real, made))
    assert 0.2 * seen < kept < 0.8 * seen


def test_sorting_puts_frequent_categories_first_and_missing_numbers_last() -> None:
    assert sort_key(np.array([2, 0, 0, -1, 2, 2]), True).tolist() == [0, 1, 1, 2, 0, 0]
    assert np.argsort(sort_key(np.array([3.0, np.nan, -1.0]), False)).tolist() == [2, 0, 1]
    one = GaussianCopula.fit(Table(("a",), (np.ones(50),), (None,)), np.random.default_rng(0))
    assert set(one.sample(20, np.random.default_rng(1)).values[0]) == {1.0}


def test_fresh_rows_return_only_when_all_were_given() -> None:
    fresh = Fresh(10, np.random.default_rng(0))
    assert sorted(np.concatenate([fresh.take(4), fresh.take(6)])) == list(range(10))
    assert len(fresh.take(0)) == 0 and set(fresh.take(25)) == set(range(10))


def test_small_networks_learn_what_they_are_given() -> None:
    from benchmarks.drift_networks import train_autoencoder, train_characters

    rng = np.random.default_rng(0)
    bright = rng.random((200, 1)) < 0.3
    rows = np.where(bright, 0.9, 0.1) * np.ones((1, 16)) + 0.05 * rng.random((200, 16))
    made = train_autoencoder(rows.astype(np.float32), Seeds(0), width=16, latent=2, steps=800)(400, rng)
    level = made.mean(axis=1)
    assert made.shape == (400, 16) and made.min() >= 0 and made.max() <= 1
    assert (level < 0.3).mean() > 0.3 and (level > 0.7).mean() > 0.1 and made.std(axis=1).mean() < 0.1
    texts = np.array(["ab" * 8, "ba" * 8] * 20, dtype=object)
    written = train_characters(texts, Seeds(0), width=16, steps=200)(50, rng)
    assert {len(text) for text in written} == {16} and {text[0] for text in written} == {"a", "b"}
    assert np.mean([a != b for text in written for a, b in pairwise(text)]) > 0.95  # one in two by chance


def test_real_shares_are_those_of_the_training_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    start = begin(TINY.world, 0, Path())
    sizes: list[int] = []
    world = replace(start.world, fit=lambda rows, seeds: sizes.append(len(rows)) or start.draw)
    start = start._replace(world=world)
    for kind, expected, shares in (
        ("replace", [60, 60, 60], [0.5, 0.5, 0.5]),
        ("accumulate", [120, 180, 240], [0.75, 2 / 3, 0.625]),
    ):
        sizes.clear()
        got = [share for share, _ in generations(replace(TINY, kind=kind), start, Seeds(0))]
        assert sizes == expected and got == pytest.approx(shares)


def test_a_small_loop_is_repeatable_and_forecasts_need_inner_products_only() -> None:
    stored = run_loop(TINY, 0, Path())
    again = run_loop(TINY, 0, Path())
    assert {k: v for k, v in stored.items() if k != "seconds"} == {k: v for k, v in again.items() if k != "seconds"}
    json.dumps(stored)
    rng = np.random.default_rng(0)
    delta = np.cumsum(rng.standard_normal((5, 40)), axis=0) / 50
    names, noise = tuple("01234"), np.full(5, 1e-3)
    small, large = (DriftTrace(names, np.full(4, 0.3), d, noise, 1e-3, 8.0) for d in (inner_places(delta), delta))
    np.testing.assert_allclose(small.drift, large.drift, rtol=1e-10)
    first, second = (forecast_drift(trace, 3, seeds=0) for trace in (small, large))
    np.testing.assert_allclose(first.high, second.high, rtol=1e-6)
    assert (
        trace_until(replace(TINY, kind="accumulate"), stored, 2).accumulate
        and not trace_until(TINY, stored, 2).accumulate
    )
    made = forecast_loop(TINY, 0, stored)
    assert made["low"] <= made["forecast"] <= made["high"]
    assert made["target"] == max(made["now"], stored["noise"][2] + stored["reference_noise"]) / 2


def test_finished_loops_are_kept_and_the_page_follows_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = (TINY, replace(TINY, kind="accumulate"))
    cells = drift.all_cells(cases, 0)
    assert drift.run(cells[:1], tmp_path, tmp_path, 1) == 1
    assert drift.run(cells, tmp_path, tmp_path, 1) == 1 and drift.run(cells, tmp_path, tmp_path, 1) == 0
    (tmp_path / cells[0].file).write_text('{"list": "')
    foreign = json.loads((tmp_path / cells[1].file).read_text()) | {"list": "another"}
    (tmp_path / cells[1].file).write_text(json.dumps(foreign))
    assert [drift.stored_cell(cell, tmp_path) for cell in cells] == [None, None]
    with pytest.raises(SystemExit, match="no finished loop"):
        drift.collect(cells, tmp_path)
    assert drift.run(cells, tmp_path, tmp_path, 1) == 2
    for module, name, value in (
        (drift_collect, "RESULTS", tmp_path),
        (drift_page, "RESULTS", tmp_path),
        (drift_page, "REPORTED", cases),
        (drift_page, "fingerprint", lambda: fingerprint(cases)),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(drift_page, "LATE", (2, 3))
    assert drift.collect(cells, tmp_path) == 2
    drift_page.write()
    assert drift_page.complaint() == 0
    page = (tmp_path / "drift.md").read_text()
    assert "| digits | diffusion network | 2 | 2 |" in page and "All loops of the list were run." in page
    assert (tmp_path / "drift-loops.svg").stat().st_size > 5000
    (tmp_path / "drift.md").write_text(page + " ")
    (tmp_path / "drift-monitor.md").write_text((tmp_path / "drift-monitor.md").read_text().replace("5.6 %", "1.1 %"))
    assert "drift.md, drift-monitor.md" in str(drift_page.complaint())
    rows = pd.read_parquet(tmp_path / "drift-forecasts.parquet")
    assert len(rows) == 2 and len(pd.read_parquet(tmp_path / "drift-loops.parquet")) == 8
    rows.assign(list="another").to_parquet(tmp_path / "drift-forecasts.parquet")
    with pytest.raises(SystemExit, match="another list"):
        drift_page.pages()


def test_judging_counts_sides_and_errors_as_they_are() -> None:
    rows = pd.DataFrame(
        {
            "truth": [1.0, 2.0, 0.0, 4.0],
            "floor": [0.5, 0.5, 0.5, 0.5],
            "forecast": [1.5, 1.0, 0.1, 4.0],
            "low": [0.5, 0.5, 0.05, 3.0],
            "high": [2.0, 1.5, 0.2, 5.0],
        }
    )
    found = drift_page.judged(rows)
    assert found["inside"].tolist() == [True, False, False, True]
    assert found["above"].tolist() == [False, True, False, False]
    assert found["error"].tolist() == pytest.approx([50, 50, 20, 0])
    assert found["signed"].tolist() == pytest.approx([50, -50, 20, 0])


def test_the_stored_page_is_what_the_command_writes() -> None:
    if drift_page.load() is None:
        pytest.skip("no stored loops")
    assert drift_page.complaint() == 0
