"""The demo as a user runs it: digits, a verdict, the planted rows found, a page."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from cli_runner import snapshot, synthsift

MAX_SECONDS = 60.0  # of one core; the promise is a minute on two


def test_the_demo_gives_a_verdict_and_finds_planted_rows(tmp_path: Path) -> None:
    out, began = tmp_path / "demo", time.process_time()
    ended = synthsift("demo", "--out", out)
    seconds = time.process_time() - began
    print(f"the demo took {seconds:.0f} s of one core")
    assert ended.code == 0, ended.err
    assert seconds < MAX_SECONDS
    told = re.search(
        r"(\d+) of the 1500 rendered digits were spoiled on purpose\. Of the (\d+) with the lowest learned weight, "
        r"(\d+) are spoiled ones \((\d+) by chance\); AUROC (0\.\d+)",
        ended.out,
    )
    assert told, ended.out
    planted, lowest, found, by_chance = map(int, told.groups()[:4])
    assert planted == lowest and found > 1.25 * by_chance and float(told[5]) > 0.6
    verdict = json.loads((out / "run" / "summary.json").read_text())["verdict"]
    assert verdict["sentence"] in ended.out and verdict["gain"]["metric"] == "accuracy"
    page = (out / "run" / "report.html").read_text()
    assert page.count("<svg") >= 8 and "<script" not in page
    assert f"<b>{found}</b> are spoiled ones" in page, "what was found is in the page, too"
    assert page.count("<img ") >= 100 and 'class="bad"' in page, "pictures of both ends, the spoiled ones marked"
    before = snapshot(out)
    (out / "run" / "planted.json").unlink()
    (out / "run" / "report.html").unlink()  # as if it had been killed before the last step
    again = synthsift("demo", "--out", out, "--quiet")
    assert again.code == 0 and again.out.startswith(verdict["sentence"]) and told[0] in again.out
    assert snapshot(out) == before


def test_the_demo_touches_no_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.npz").write_bytes(b"years of work")
    before = snapshot(tmp_path)
    ended = synthsift("demo", "--out", tmp_path)
    assert ended.code == 2 and "none of a demo (mine.npz)" in ended.err
    assert snapshot(tmp_path) == before
