"""How training sets are built: --accumulate and a fraction that goes on, from flags to state, forecast and page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from cli_runner import snapshot, synthsift
from drift_files import draw, write_arrays

from synthsift.cli.drift_mixes import choose_fractions
from synthsift.drift.state import unpack_state
from synthsift.report import drift_page

SHIFT, ALPHA, ROWS = 0.2, 0.1, 400


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Real rows and 13 generations of a loop that keeps all rows; its trainer moves them the same way each time."""
    folder, rng = tmp_path_factory.mktemp("kept"), np.random.default_rng(3)
    np.save(folder / "real.npy", draw(73, 900)[0])
    generations = [draw(3001, ROWS)[0] + np.float32(SHIFT)]
    for k in range(1, 13):
        pool = np.concatenate(generations)
        fresh = draw(3050 + k, round(ALPHA * ROWS))[0]
        own = pool[rng.choice(len(pool), ROWS - len(fresh))]
        generations.append(np.concatenate([own, fresh]) + np.float32(SHIFT))
    files = [folder / "real.npy"]
    for k, rows in enumerate(generations):
        files.append(folder / f"g{k}.npy")
        np.save(files[-1], rows)
    return files


def watch(files: Sequence[Path], *more: object) -> dict[str, object]:
    """The record of a stream at the loop's fraction."""
    words = ["--fresh-fraction", ALPHA, "--no-gallery", "--json", "--false-alarms", 0.5]
    ended = synthsift("drift", "--real", *files, *words, *more)
    return dict(json.loads(ended.out))


def test_the_forecast_of_a_loop_that_keeps_its_rows_needs_the_flag(
    kept: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthsift.drift.streamtest.LEAST_DRAWS", 199)  # nothing here hangs on an alarm
    last = watch([kept[0], kept[13]])  # measured alike, alone or in a stream
    truth = last["generations"][0]["measures"]["mmd2"]["value"]  # type: ignore[index]
    right, wrong = watch(kept[:6], "--accumulate"), watch(kept[:6], "--replace")
    assert right["accumulate"] is True and wrong["accumulate"] is False
    ends = []
    for record in (right, wrong):
        forecast = record["forecast"]
        ends.append((forecast["drift"][7], forecast["high"][7] - forecast["low"][7]))  # type: ignore[index]
    # Taken for a loop that replaces its rows, the error looks as if it were passed on in full: too much, too vague.
    assert abs(math.log(ends[0][0] / truth)) < 0.2 < math.log(ends[1][0] / truth)
    assert ends[0][1] < 0.5 * ends[1][1]
    assert "with all rows kept and a real share of 0.1" in right["verdict"]["sentence"]  # type: ignore[index]
    assert "at a fresh fraction of 0.1" in wrong["verdict"]["sentence"]  # type: ignore[index]
    assert right["weight"] == {"fresh": None, "pooled": None} and right["forecast"]["memory"] is None  # type: ignore[index]


def test_how_rows_are_kept_is_remembered_and_named(kept: list[Path], tmp_path: Path) -> None:
    real, state, out = kept[0], tmp_path / "s", tmp_path / "run"
    begun = synthsift("drift", "--real", real, kept[1], "--fresh-fraction", 0.1, "--accumulate", "--state", state)
    assert "keep the rows of all rounds" in begun.out
    added = synthsift("drift", "--state", state, *kept[2:5], "--target", 0.5, "--out", out)
    assert "taken to go on at 0.1" in added.err and "SS408 note" in added.out
    assert "of the whole set keeps" in added.out or "hardly any fresh data" in added.out
    page = (out / "report.html").read_text()
    assert "keep the rows of all rounds" in page and "This loop is “fresh, kept”" in page and "0.1 ?" in page
    assert "mean(δ(0) … δ(i))" in page and "taken to go on" in page
    stream = unpack_state(state.read_bytes(), "s")
    assert stream.accumulate and stream.alpha == (0.1,) * 3 and stream.assumed == (1, 2, 3) and stream.trace.accumulate
    before = snapshot(tmp_path)
    refused = synthsift("drift", "--state", state, kept[6], "--replace")
    assert refused.code == 2 and "--replace is given" in refused.err and "keep all rows" in refused.err
    assert snapshot(tmp_path) == before
    assert synthsift("drift", "--state", state, kept[6], "--accumulate").code in (0, 1)  # the same again is no conflict


def test_before_the_first_training_set_it_can_be_chosen_anew(kept: list[Path], tmp_path: Path) -> None:
    state = tmp_path / "s"
    synthsift("drift", "--real", kept[0], kept[1], "--state", state)
    synthsift("drift", "--state", state, kept[2], "--fresh-fraction", 0.1, "--accumulate")
    assert unpack_state(state.read_bytes(), "s").accumulate
    synthsift("drift", "--real", kept[0], *kept[1:3], "--fresh-fraction", 0.1, "--state", state, "--overwrite")
    refused = synthsift("drift", "--state", state, kept[3], "--accumulate")
    assert refused.code == 2 and "--accumulate is given" in refused.err and "replace the rows" in refused.err


def test_nothing_fresh_and_everything_kept(kept: list[Path]) -> None:
    ended = synthsift("drift", "--real", *kept[:5], "--fresh-fraction", 0, "--accumulate", "--target", 0.1)
    assert "all rows are kept but none are fresh" in ended.out and "held no real rows" in ended.out
    assert "N J after N rounds" not in ended.out and "nan" not in ended.out


def test_a_fraction_goes_on_until_another_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_page, "draw_drift_figures", lambda record: {"drift": {"wide": "", "narrow": ""}})
    real, *files = write_arrays(tmp_path, (0.0, 0.1, 0.1, 0.2, 0.2))
    state = tmp_path / "s"
    assert synthsift("drift", "--real", real, *files[:2], "--fresh-fraction", 0.4, "--state", state).code in (0, 1)
    one = synthsift("drift", "--state", state, files[2], "--out", tmp_path / "run")
    assert "taken to go on at 0.4" in one.err and "came with gen2: taken to go on at 0.4" in one.out
    assert "0.4 ?" in (tmp_path / "run" / "report.html").read_text()
    given = synthsift("drift", "--state", state, files[3], "--fresh-fraction", 0.7)
    assert "taken to go on" not in given.err and "came with gen2" in given.out
    synthsift("drift", "--state", state, files[4])
    stream = unpack_state(state.read_bytes(), "s")
    assert stream.alpha == (0.4, 0.4, 0.7, 0.7) and stream.assumed == (2, 4)


def test_the_wording_of_one_and_of_two_missing_fractions(tmp_path: Path) -> None:
    real, *files = write_arrays(tmp_path, (0.0, 0.1, 0.1))
    one = synthsift("drift", "--real", real, *files[:2])
    assert one.code == 2 and "1 training mix lies between these generations. Give the real share of it (" in one.err
    two = synthsift("drift", "--real", real, *files)
    assert two.code == 2 and "2 training mixes lie" in two.err and "(s)" not in two.err + one.err


def test_a_new_stream_cannot_go_on_with_what_was_never_said(tmp_path: Path) -> None:
    real, *files = write_arrays(tmp_path, (0.0, 0.1))
    state = tmp_path / "s"
    synthsift("drift", "--real", real, files[0], "--state", state)
    stream = unpack_state(state.read_bytes(), "s")
    assert stream.last_fraction is None and choose_fractions("0.2", stream, 1) == ([0.2], False)
    assert "--fresh-fraction is missing" in synthsift("drift", "--state", state, files[1]).err
