"""The monitor: quiet on the same law, loud on a planted loss, and it names what was lost."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drift_samples import mixture

from synthsift.drift import monitor
from synthsift.drift.columns import Column, name_columns, summarize
from synthsift.drift.losses import Change, column_changes, count_changes, rank_changes, share_change
from synthsift.drift.measures import energy_distance
from synthsift.drift.monitor import Alarms, Seen, lowest_drift, trace_of, watch_generation
from synthsift.drift.notices import find_notices
from synthsift.drift.reference import Reference, learn_reference
from synthsift.drift.state import Stream
from synthsift.records import DataError, Table


@pytest.fixture(scope="module")
def reference() -> Reference:
    rows, labels = mixture(np.random.default_rng(0), 1800)
    return learn_reference(rows, labels, seeds=0)


@pytest.fixture(scope="module")
def stream(reference: Reference) -> Stream:
    """Two quiet generations and one that lost two thirds of a mode."""
    seen = []
    for k, lost in enumerate((0.0, 0.0, 0.7)):
        rows, labels = mixture(np.random.default_rng(10 + k), 900, lost)
        seen.append(watch_generation(reference, rows, index=k, name=f"gen{k}", seeds=0, labels=labels))
    return Stream(reference, Alarms(), 0, {}, tuple(seen), (0.3, 0.3))


def test_planted_loss_alarms_and_is_named(stream: Stream) -> None:
    assert [stream.alarms.sounds(s) for s in stream.seen] == [False, False, True]
    kinds = {(c.kind, c.is_loss) for c in stream.seen[2].changes}
    assert ("class", True) in kinds and ("mode", True) in kinds
    lost = next(c for c in stream.seen[2].changes if c.kind == "class")
    assert lost.name == "c4" and lost.real == pytest.approx(0.1, abs=0.03) and lost.synth < 0.06
    assert all(c.kind != "class" for s in stream.seen[:2] for c in s.changes)
    codes = [f.code for f in find_notices(stream)]
    assert codes[0] == "SS401" and "SS403" in codes


def test_trace_holds_every_measure_and_obeys_its_invariants(stream: Stream) -> None:
    trace = stream.trace
    assert trace.names == ("gen0", "gen1", "gen2") and trace.alpha.tolist() == [0.3, 0.3]
    wanted = {"mmd2", "energy", "frechet", "chi2_bound", "tv_bound", "sliced_wasserstein", "widest", "narrowest"}
    assert wanted | {"precision", "recall", "density", "coverage"} == set(trace.tracks)
    np.testing.assert_allclose(trace.tracks["mmd2"].value, trace.drift, rtol=1e-6, atol=1e-9)
    assert trace.alarm is not None and trace.alarm.tolist() == [False, False, True]
    assert trace.tracks["coverage"].higher_is_better and not trace.tracks["energy"].higher_is_better


def test_same_rows_give_the_same_numbers_and_order_of_others_does_not_matter(reference: Reference) -> None:
    rows = mixture(np.random.default_rng(3), 300)[0]
    first = watch_generation(reference, rows, index=4, name="a", seeds=0)
    again = watch_generation(reference, rows, index=4, name="a", seeds=0)
    assert first.measures == again.measures and first.p_value == again.p_value and first.digest == again.digest


def test_real_rows_that_teach_the_space_are_not_compared(reference: Reference) -> None:
    assert len(reference.rows) == 1200 and reference.num_real == 1800
    rows = reference.encoder.transform(mixture(np.random.default_rng(0), 1800)[0])
    taught = {r.tobytes() for r in rows.astype(np.float32)} - {r.tobytes() for r in reference.rows}
    assert len(taught) == 600
    shown = reference.space.center
    assert np.abs(shown - reference.rows.mean(axis=0)).max() > 1e-6


def test_tolerated_drift_needs_a_lower_bound_above_it(stream: Stream) -> None:
    loud = stream.seen[2]
    assert loud.lowest < loud.measures["mmd2"].value
    high = replace(loud, lowest=0.01)
    assert Alarms(tolerated=0.009).sounds(high) and not Alarms(tolerated=0.011).sounds(high)
    assert not Alarms(tolerated=0.009).sounds(replace(high, p_value=0.01))
    assert not Alarms(horizon=1_000).sounds(loud)  # its level is below the smallest p-value that was possible


def test_lower_bound_of_drift_covers_at_its_level() -> None:
    rng, below = np.random.default_rng(5), 0
    truth = 0.3**2 * 3
    for _ in range(300):
        below += lowest_drift(rng.standard_normal((200, 3)), rng.standard_normal((150, 3)) + 0.3, 0.05) <= truth
    # 95 % is promised; a normal law for a slightly skewed statistic costs little. Three deviations are 3.8 points.
    assert below / 300 >= 0.95 - 0.038


def test_energy_interval_covers_away_from_the_null_and_keeps_the_plain_value() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((3000, 2)), rng.standard_normal((3000, 2)) + 0.5
    truth = energy_distance(x, y).value
    hits = 0
    for _ in range(60):
        a, b = rng.standard_normal((120, 2)), rng.standard_normal((120, 2)) + 0.5
        got = energy_distance(a, b, rng=rng)
        assert got.value == energy_distance(a, b).value
        hits += got.low <= truth <= got.high
    assert hits / 60 >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 60)


def test_share_change_against_the_textbook() -> None:
    change = share_change("class", "a", 0.1, 1000, 0.05, 2000)
    pooled = (100 + 100) / 3000
    z = (0.05 - 0.1) / math.sqrt(pooled * (1 - pooled) * (1 / 1000 + 1 / 2000))
    assert change.p_value == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), rel=1e-9) and change.is_loss
    assert share_change("class", "a", 0.0, 10, 0.0, 10).p_value == 1.0
    assert share_change("class", "a", 1.0, 10**7, 0.5, 10**7).p_value >= 0.0


def test_changes_are_found_in_columns_and_quiet_ones_are_not() -> None:
    rng = np.random.default_rng(8)
    table = Table(
        ("age", "job"),
        (rng.exponential(size=2000), rng.choice(3, 2000, p=[0.6, 0.3, 0.1]).astype(np.int32)),
        (None, ("a", "b", "c")),
    )
    summary = summarize(name_columns(table))
    cut = np.minimum(rng.exponential(size=2000), 2.5)
    cut[:100] = np.nan
    jobs = np.array(["a"] * 1300 + ["b"] * 700, dtype=object)
    changes = [*column_changes(summary[0], Column("age", cut)), *column_changes(summary[1], Column("job", jobs))]
    found = rank_changes(changes)
    assert {(c.kind, c.name.split(" ")[0]) for c in found if c.is_loss} >= {("tail", "age"), ("category", "job")}
    assert ("missing", "age") in {(c.kind, c.name) for c in found}
    assert found[0].is_loss and not found[-1].is_loss
    same = column_changes(summary[0], Column("age", rng.exponential(size=2000)))
    assert rank_changes([*same, *count_changes("class", {"x": 0.5, "y": 0.5}, 500, np.array(["x", "y"] * 250))]) == ()


def test_false_changes_are_rare() -> None:
    rng, loud = np.random.default_rng(9), 0
    for _ in range(150):
        real, synth = rng.gamma(2.0, size=(300, 8)), rng.gamma(2.0, size=(300, 8))
        changes: list[Change] = []
        for summary, column in zip(summarize(name_columns(real)), name_columns(synth), strict=True):
            changes += column_changes(summary, column)
        loud += bool(rank_changes(changes))
    # 1 % is meant; shares of tails estimated from 300 rows make it a little more: at most 4 % with its deviation.
    assert loud / 150 <= 0.04


def test_texts_and_wide_arrays_have_their_columns() -> None:
    texts = np.array(["one two two", "", "three"], dtype=object)
    columns = {c.name: c.values for c in name_columns(texts)}
    assert columns["words"].tolist() == [3, 0, 1] and np.isnan(columns["characters a word"][1])
    assert columns["share of different words"][0] == pytest.approx(2 / 3)
    assert name_columns(np.zeros((3, 500), np.float32)) == []


def test_few_rows_leave_some_measures_out_and_say_so() -> None:
    rng = np.random.default_rng(10)
    small = learn_reference(mixture(rng, 90)[0], None, seeds=0)
    seen = watch_generation(small, mixture(rng, 60)[0], index=0, name="tiny", seeds=0)
    assert math.isnan(seen.measures["chi2_bound"].value) and math.isfinite(seen.measures["mmd2"].value)
    codes = [f.code for f in find_notices(Stream(small, Alarms(), 0, {}, (seen,)))]
    assert codes == ["SS407"]


def test_notices_of_width_horizon_fraction_and_size(stream: Stream) -> None:
    last = stream.seen[1]
    wide = replace(
        last, measures={**last.measures, "widest": replace(last.measures["widest"], value=1.9, low=1.7, high=2.1)}
    )
    many = replace(stream, seen=(wide,) * 21, alpha=(0.0,) * 20)
    assert {"SS402", "SS404", "SS405"} <= {f.code for f in find_notices(many)}
    large = replace(stream, seen=(replace(last, num_rows=5000),), alpha=())
    assert [f.code for f in find_notices(large)] == ["SS406"]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (np.zeros((40, 6), np.float32), "40 rows"),
        (np.zeros((100, 5), np.float32), "columns"),
        (np.full((100, 6), np.nan, np.float32), "NaN"),
    ],
)
def test_bad_generations_are_refused(reference: Reference, rows: np.ndarray, match: str) -> None:
    with pytest.raises(DataError, match=match):
        watch_generation(reference, rows, index=0, name="bad", seeds=0)


def test_bad_references_and_fractions_are_refused(stream: Stream) -> None:
    with pytest.raises(DataError, match="60 rows"):
        learn_reference(np.zeros((60, 2), np.float32), None, seeds=0)
    with pytest.raises(DataError, match="constant"):
        learn_reference(np.ones((200, 2), np.float32), None, seeds=0)
    with pytest.raises(DataError, match="fresh fractions"):
        replace(stream, alpha=(0.3,))
    with pytest.raises(DataError, match="fresh fraction"):
        replace(stream, alpha=(0.3, 1.3))
    assert isinstance(stream.seen[0], Seen) and monitor.HORIZON == 20
    assert trace_of(stream.reference, stream.seen[:1], np.empty(0)).alpha.shape == (0,)


def test_the_python_of_the_docs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "drift.md").read_text("utf-8")
    block = text.split("```python\n")[1].split("```")[0]
    scope: dict[str, object] = {
        "real": mixture(np.random.default_rng(0), 600)[0],
        "generations": [mixture(np.random.default_rng(k), 300, 0.4)[0] for k in range(1, 5)],
    }
    exec(block, scope)
    assert "fresh" in capsys.readouterr().out and len(scope["trace"].names) == 4  # type: ignore[attr-defined]


def test_public_names_are_those_of_their_modules() -> None:
    from synthsift import drift

    assert drift.watch_generation is watch_generation and all(getattr(drift, name) for name in drift.__all__)
    assert sorted(drift._HOME) == sorted(drift.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = drift.nothing
