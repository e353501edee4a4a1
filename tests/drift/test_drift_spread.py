"""The guard of variances: every direction counts, other rows measure it, and equal laws are left alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.datasets import load_digits

from synthsift.cli.drift_record import describe_stream
from synthsift.drift.columns import Column, name_columns, summarize
from synthsift.drift.losses import column_changes, rank_changes
from synthsift.drift.monitor import Alarms, watch_generation
from synthsift.drift.notices import find_notices
from synthsift.drift.reference import learn_reference
from synthsift.drift.space import learn_space
from synthsift.drift.spread import NEAR, spread_ratios
from synthsift.drift.state import Stream
from synthsift.seeds import Seeds

FALLING = np.geomspace(1, 0.02, 60)
MIX = np.random.default_rng(5).standard_normal((60, 60)) * FALLING
RARE = np.geomspace(0.5, 0.0005, 40)
NULLS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.standard_normal((n, 20)),
    "correlated": lambda rng, n: rng.standard_normal((n, 60)) @ MIX,
    "heavy": lambda rng, n: rng.standard_t(3, (n, 10)),
    "skewed": lambda rng, n: np.exp(rng.standard_normal((n, 10))),
    "rare": lambda rng, n: (rng.random((n, 40)) < RARE).astype(float),
    "small": lambda rng, n: rng.standard_normal((n // 10, 20)),
}


def directions_of(rows: np.ndarray) -> np.ndarray:
    return learn_space(rows, Seeds(0)).directions


def test_spread_is_found_on_other_rows_than_measured() -> None:
    rng, inside = np.random.default_rng(7), 0
    for _ in range(40):
        widest, narrowest = spread_ratios(
            rng.standard_normal((300, 20)), rng.standard_normal((300, 20)), np.eye(20), rng
        )
        inside += widest.low <= 1 <= widest.high and narrowest.low <= 1 <= narrowest.high
    assert inside / 40 >= 0.90 - 3 * 0.047  # two intervals of 95 %
    y = rng.standard_normal((2000, 4))
    y[:, 1] *= math.sqrt(1.9)
    y[:, 2] *= math.sqrt(0.4)
    widest, narrowest = spread_ratios(rng.standard_normal((2000, 4)), y, np.eye(4), rng)
    assert widest.low <= 1.9 <= widest.high and narrowest.low <= 0.4 <= narrowest.high


@pytest.mark.parametrize("law", [*NULLS, "digits"])
def test_equal_laws_hardly_ever_fire_the_guard(law: str) -> None:
    """200 null draws of each kind: none near the threshold; so the rate is below 1.9 % with 97.5 % confidence."""
    digits, fired = load_digits().data / 16, 0
    directions = directions_of(digits[:300] if law == "digits" else NULLS[law](np.random.default_rng(999), 400))
    for k in range(200):
        rng = np.random.default_rng(1000 + k)
        if law == "digits":
            rows = rng.permutation(digits[300:])
            real, synth = rows[:600], rows[600:]
        else:
            real, synth = NULLS[law](rng, 600), NULLS[law](rng, 600)
        fired += spread_ratios(real, synth, directions, rng)[0].low > NEAR
    assert fired == 0 and beta.ppf(0.975, fired + 1, 200 - fired) < 0.019


def test_columns_behind_the_leading_directions_are_seen() -> None:
    rng = np.random.default_rng(0)
    scale = np.concatenate([np.full(60, 3.0), np.geomspace(1, 0.1, 40)])
    real, synth = rng.standard_normal((2000, 100)) * scale, rng.standard_normal((3000, 100)) * scale
    directions = directions_of(rng.standard_normal((1000, 100)) * scale)
    assert directions.shape[1] == 32 and spread_ratios(real, synth, directions, rng)[0].low < NEAR
    synth[:, 90:] *= 2  # four times the variance where hardly any of the total lies: chi2 is infinite
    widest = spread_ratios(real, synth, directions, rng)[0]
    assert widest.low > NEAR and 3 < widest.value < 6


def test_too_few_rows_for_all_directions_leave_the_rest_as_a_whole() -> None:
    rng = np.random.default_rng(1)
    real, synth = rng.standard_normal((300, 200)), rng.standard_normal((300, 200))
    directions = directions_of(rng.standard_normal((150, 200)))
    turned = synth @ np.linalg.qr(rng.standard_normal((200, 200)))[0]
    assert spread_ratios(real, turned, directions, rng)[0].low < NEAR
    widest = spread_ratios(real, 1.5 * turned, directions, rng)[0]
    assert widest.low > NEAR and widest.low <= 2.25 <= widest.high
    kept = turned @ (directions / np.linalg.norm(directions, axis=0))
    flat = kept @ (directions / np.linalg.norm(directions, axis=0)).T  # a generator of the leading directions only
    assert spread_ratios(real, flat, directions, rng)[1].high < 0.01


def test_a_constant_column_that_varies_is_infinite_unless_chance_explains_it() -> None:
    rng = np.random.default_rng(2)
    real, synth = rng.standard_normal((600, 6)), rng.standard_normal((600, 6))
    real[:, 3], synth[:, 3] = 0.5, 0.5
    directions = directions_of(real)
    synth[:5, 3] = 1.0  # a rare value: five of 1,200 rows fall into one half with probability 1/32
    assert spread_ratios(real, synth, directions, rng)[0].low < NEAR
    synth[:, 3] += 0.01 * rng.standard_normal(600)
    assert spread_ratios(real, synth, directions, rng)[0].low == math.inf


def test_rows_outside_of_a_plane_that_real_rows_never_leave_are_infinite() -> None:
    rng, plane = np.random.default_rng(3), np.random.default_rng(4).standard_normal((3, 8))
    real, synth = rng.standard_normal((500, 3)) @ plane, rng.standard_normal((500, 3)) @ plane
    directions = directions_of(rng.standard_normal((500, 3)) @ plane)
    assert directions.shape[1] == 3 and spread_ratios(real, synth, directions, rng)[0].low < NEAR
    synth += 0.05 * rng.standard_normal(synth.shape)
    assert spread_ratios(real, synth, directions, rng)[0].value == math.inf


def test_the_sentence_does_not_call_an_overwhelming_change_no_drift() -> None:
    rng = np.random.default_rng(6)
    real, clean = rng.standard_normal((1800, 40)), rng.standard_normal((900, 40))
    real[:, 7] = clean[:, 7] = 0.25
    reference = learn_reference(real, None, seeds=0)
    noisy = clean.copy()
    noisy[:, 7] += 0.05 * rng.standard_normal(900)
    told = []
    for rows in (clean, noisy):
        seen = watch_generation(reference, rows, index=0, name="gen", seeds=0)
        stream = Stream(reference, Alarms(), 0, {}, (seen,))
        assert not stream.alarms.sounds(seen)
        codes = [f.code for f in find_notices(stream)]
        told.append((codes, describe_stream(stream, None, find_notices(stream), None)))
        plain = replace(stream, seen=(replace(seen, changes=()),))  # wide arrays have no named columns
        told.append((codes, describe_stream(plain, None, [], None)))
    (quiet, first), _, (loud, second), (_, unnamed) = told
    assert "SS402" not in quiet and first["verdict"]["sentence"].startswith("No drift is proven")
    assert "SS402" in loud and "No drift" not in second["verdict"]["sentence"]
    assert "but spread of column 7 and " in second["verdict"]["sentence"]
    assert "changed beyond doubt" in second["verdict"]["sentence"]
    assert "infinitely many times the variance" in unnamed["verdict"]["sentence"]
    assert second["generations"][0]["measures"]["widest"]["infinite"]


def test_constant_columns_are_named_only_beyond_chance() -> None:
    summary = summarize(name_columns(np.full((600, 1), 0.1)))[0]
    values = np.full(300, 0.1)
    assert rank_changes(column_changes(summary, Column("column 0", values))) == ()
    values[:4] = 0.2
    assert all(c.kind != "spread" for c in rank_changes(column_changes(summary, Column("column 0", values))))
    values[:40] = 0.2
    found = [c for c in rank_changes(column_changes(summary, Column("column 0", values))) if c.kind == "spread"]
    assert len(found) == 1 and found[0].real == 0.0 and not found[0].is_loss
