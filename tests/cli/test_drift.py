"""The verb `drift` from files to table, state, record and page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_runner import leave_stale, synthsift
from drift_files import draw, write_arrays, write_table, write_texts

from synthsift.cli.drift import short_names
from synthsift.report import drift_page


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    """A finished run of three generations, the last of which lost a fifth of the data and moved."""
    folder = tmp_path_factory.mktemp("drift")
    real, *generations = write_arrays(folder, (0.0, 0.0, 1.0))
    np.save(generations[-1], draw(3, 250, 1.0)[0] + 1)
    ended = synthsift(
        "drift", "--real", real, *generations, "--fresh-fraction", "0.3,0.2", "--target", "0.0001",
        "--state", folder / "state.safetensors", "--out", folder / "run",
    )  # fmt: skip
    assert ended.code in (0, 1), ended.err
    return folder, ended.out, ended.code


def test_table_sentence_and_exit_code(watched: tuple[Path, str, int]) -> None:
    _, out, code = watched
    assert code == 1 and "ALARM: gen2" in out and "gen2 *" in out and "gen0 *" not in out
    assert "SS401 error" in out and "Target 0.0001" in out


def test_record_holds_everything(watched: tuple[Path, str, int]) -> None:
    record = json.loads((watched[0] / "run" / "drift.json").read_text())
    assert [g["fresh_fraction"] for g in record["generations"]] == [None, 0.3, 0.2]
    assert [g["alarm"] for g in record["generations"]] == [False, False, True]
    assert record["verdict"]["alarms"] == ["gen2"] and record["alarms"]["level"] == pytest.approx(0.0025)
    assert len(record["forecast"]["drift"]) == 17 and record["plan"]["target"] == 0.0001
    plan, page = record["plan"], (watched[0] / "run" / "report.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert (
        plan["alpha_chance"] < 0.05 and plan["alpha_reason"].startswith("impossible") and plan["alpha_median"] is None
    )
    assert f"Target 0.0001: {plan['alpha_reason']}." in watched[1]  # one wording in record, page and terminal
    assert plan["alpha_reason"] in page and plan["data_reason"] in page
    assert {e["kind"] for e in record["gallery"]} == {"rows"} and len(record["gallery"]) == 4
    table = (watched[0] / "run" / "drift.csv").read_text().splitlines()
    assert len(table) == 1 + 3 * 12 and table[0].startswith("generation,fresh_fraction,p_value,alarm,measure,value")


def test_page_has_every_section_and_fetches_nothing(watched: tuple[Path, str, int]) -> None:
    page = (watched[0] / "run" / "report.html").read_text()
    for place in ("drift", "lost", "forecast", "measures", "gallery", "findings", "method"):
        assert f'id="{place}"' in page
    assert page.count("<svg") == 6 and not re.search(r'(src|href)="(?!data:image|#)', page)
    assert (watched[0] / "run" / "drift.svg").read_text().startswith("<svg")


def test_the_page_says_in_words_what_a_round_adds_and_is_typeset(watched: tuple[Path, str, int]) -> None:
    from synthsift.report.drift_page import read_drift, render_drift

    record = read_drift(watched[0] / "run")
    page = render_drift(record, {})
    assert "What one round adds (J): " in page and "Memory: the rows that a generation has learned from" in page
    assert re.search(r"\d %", page) is None  # a number and its percent sign never part
    assert "&amp;nbsp;" not in page
    record["verdict"]["parts"][0] = "No drift is proven in gen-2 (drift -0.001 [-2e-05, 0.001])."
    assert "gen-2 (drift −0.001 [−2e−05, 0.001])" in render_drift(record, {})  # as in the tables; names stay
    for memory, word in ((1.0, "1 round old"), (None, "nothing is ever forgotten")):
        record["forecast"]["memory"] = memory
        assert word in render_drift(record, {})


def test_report_rebuilds_the_page_and_prints_the_record(watched: tuple[Path, str, int]) -> None:
    run = watched[0] / "run"
    before = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    assert synthsift("report", run).code == 0 and (run / "report.html").read_bytes() == before
    printed = synthsift("report", run, "--json")
    assert json.loads(printed.out)["kind"] == "drift" and "gen2 *" in synthsift("report", run, "--markdown").out


def test_adding_one_generation_equals_measuring_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_page, "draw_drift_figures", lambda record: {"drift": {"wide": "", "narrow": ""}})
    real, *generations = write_arrays(tmp_path, (0.0, 0.3, 0.5))
    once = synthsift("drift", "--real", real, *generations, "--fresh-fraction", "0.3,0.5", "--json")
    state, out = tmp_path / "s", tmp_path / "run"
    leave_stale(state)
    first = synthsift("drift", "--real", real, generations[0], "--state", state, "--out", out)
    assert not list(tmp_path.glob(".synthsift-*")), "what a killed command left is gone"
    assert first.code == 0 and "One generation allows no forecast" in first.out
    for file, fraction in zip(generations[1:], ("0.3", "0.5"), strict=True):
        added = synthsift("drift", "--state", state, file, "--fresh-fraction", fraction, "--json", "--out", out)
    together, apart = (json.loads(text) | {"seconds": 0} for text in (once.out, added.out))
    assert together == apart
    assert json.loads((out / "drift.json").read_text())["generations"] == apart["generations"]


def test_no_fresh_data_has_no_steady_state(tmp_path: Path) -> None:
    real, *generations = write_arrays(tmp_path, (0.0, 0.2, 0.4))
    ended = synthsift("drift", "--real", real, *generations, "--fresh-fraction", "0", "--target", "0.01")
    assert ended.code in (0, 1) and "never stops growing" in ended.out and "SS404" in ended.out
    assert (
        "no amount of data replaces fresh data"
        in synthsift("drift", "--real", real, *generations, "--fresh-fraction", "0", "--target", "0.01", "--json").out
    )


def test_tables_with_labels_say_which_class_is_lost(tmp_path: Path) -> None:
    real = write_table(tmp_path / "real.csv", 0, n=600)
    generations = [write_table(tmp_path / f"g{k}.csv", k + 1, lost, n=400) for k, lost in enumerate((0.0, 0.9))]
    ended = synthsift("drift", "--real", real, *generations, "--label", "label", "--fresh-fraction", 0.3, "--json")
    record = json.loads(ended.out)
    lost = {(c["kind"], c["name"]) for c in record["generations"][1]["changes"] if c["is_loss"]}
    assert ended.code == 1 and {("class", "k3"), ("category", "color = y")} <= lost
    assert record["gallery"][1]["items"][0]["label"].startswith("k")
    assert set(record["gallery"][1]["items"][0]["content"]) == {"size", "weight", "color"}


def test_texts_are_watched(tmp_path: Path) -> None:
    real = write_texts(tmp_path / "real.jsonl", 0, n=400)
    generations = [write_texts(tmp_path / f"g{k}.jsonl", k + 1, w, n=250) for k, w in enumerate((12, 8))]
    ended = synthsift("drift", "--real", real, *generations, "--text", "text", "--fresh-fraction", 0.5, "--json")
    record = json.loads(ended.out)
    assert [g["alarm"] for g in record["generations"]] == [False, True]
    assert record["gallery"][2]["kind"] == "text"


def test_names_lose_their_last_ending_only(tmp_path: Path) -> None:
    files = {"dg0.1.npy": "dg0.1", "dg0.2.NPY": "dg0.2", "v1.5.csv.gz": "v1.5", "a.b.npz": "a.b", ".npy": ".npy"}
    for file in files:
        (tmp_path / file).touch()
    (tmp_path / "epoch.10").mkdir()
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "dg0.1.parquet").touch()
    paths = [str(tmp_path / name) for name in (*files, "epoch.10", "again/dg0.1.parquet")]
    assert short_names(paths, []) == [*files.values(), "epoch.10", "dg0.1 (2)"]
    assert short_names(paths[:1], ["dg0.1", "dg0.1 (2)"]) == ["dg0.1 (3)"]


def test_small_pictures_are_shown_as_pictures_and_hostile_names_are_escaped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "real.npz", x=rng.integers(0, 255, (200, 6, 6), dtype=np.uint8), y=rng.integers(0, 2, 200))
    bad = tmp_path / "<script>alert(1)<x>.npz"
    np.savez(bad, x=rng.integers(0, 200, (120, 6, 6), dtype=np.uint8), y=rng.integers(0, 2, 120))
    out = tmp_path / "run"
    ended = synthsift("drift", "--real", tmp_path / "real.npz", bad, "--label", "y", "--out", out, "--quiet")
    assert ended.code == 1 and ended.out.count("\n") == 1
    page = (out / "report.html").read_text()
    assert "<script>" not in page and "data:image/png;base64," in page


def test_no_gallery_keeps_no_rows(tmp_path: Path) -> None:
    real, *generations = write_arrays(tmp_path)
    state = tmp_path / "s"
    ended = synthsift(
        "drift", "--real", real, *generations, "--fresh-fraction", 0.3, "--no-gallery", "--state", state, "--json"
    )
    assert json.loads(ended.out)["gallery"] == [] and b'"items"' not in state.read_bytes()


def test_a_quiet_stream_is_quiet(tmp_path: Path) -> None:
    real, *generations = write_arrays(tmp_path)
    np.save(tmp_path / "more.npy", draw(50)[0])
    ended = synthsift("drift", "--real", real, *generations, tmp_path / "more.npy", "--fresh-fraction", "0.3")
    assert ended.code == 0 and "No drift is proven in more" in ended.out


def test_records_of_older_versions_still_become_pages(watched: tuple[Path, str, int], tmp_path: Path) -> None:
    record = json.loads((watched[0] / "run" / "drift.json").read_text())
    del record["accumulate"], record["reference"]["mode_names"], record["verdict"]["parts"]
    for generation in record["generations"]:
        del generation["fresh_assumed"]
        for change in generation["changes"]:
            del change["what"]
    (tmp_path / "drift.json").write_text(json.dumps(record))
    assert synthsift("report", tmp_path).code == 0
    page = (tmp_path / "report.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert record["verdict"]["sentence"] in page
    assert re.search(r"(mode|class|tail) .*: .* % \(real ", synthsift("report", tmp_path, "--markdown").out)


def test_infinite_cells_are_told(tmp_path: Path) -> None:
    real = write_table(tmp_path / "real.csv", 0, n=300)
    file = write_table(tmp_path / "g0.csv", 1)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *(f"1e300,{line.split(',', 1)[1]}" for line in lines[1:9]), *lines[9:]]))
    ended = synthsift("drift", "--real", real, file, "--label", "label")
    assert "SS103 warning" in ended.out and f"size of {file} (8)" in ended.out
