"""A killed or interrupted run ends with the numbers of an undisturbed one; a folder has one writer at a time."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_data import draw, two_files, write

NUM_KILLS = 20
CHANGING = {"summary.json", "report.html", "log.txt"}  # they hold times


class Server:
    """The process that starts the others."""

    def __init__(self) -> None:
        path = os.pathsep.join(sys.path)
        quiet = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}
        script = str(Path(__file__).with_name("fork_server.py"))
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, script], stdin=pipe, stdout=pipe, text=True, env=quiet)
        assert self.read() == "ready"

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Send one job; see fork_server."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.read())

    def run(self, words: list[str], **job: Any) -> dict[str, Any]:
        """Run one command; ``said`` is what it printed."""
        log = Path(words[words.index("--out") + 1]).with_suffix(".log")
        ended = self.ask({"words": words, "log": str(log), **job})
        return {**ended, "said": log.read_text() if log.exists() else ""}

    def start_slowly(self, words: list[str], pause: float) -> int:
        """Start a run on a slow disk and return its pid when a first cell is finished."""
        pid = self.run(words, pause=pause, wait=False)["pid"]
        cells, patience = Path(words[words.index("--out") + 1]) / "cells", time.monotonic() + 60
        while not list(cells.glob("*.safetensors")) and time.monotonic() < patience:
            time.sleep(0.02)
        return pid


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    assert one.process.stdin is not None and one.process.stdout is not None
    one.process.stdin.close()
    one.process.wait(300)
    one.process.stdout.close()


def command(folder: Path, policies: str) -> list[str]:
    """A run without --out."""
    files = {"real": draw(80, 1, flipped=0.1), "synthetic": draw(120, 2, flipped=0.2)}
    words = two_files(folder, "--test", write(folder / "test.csv", draw(40, 3)), **files)
    words[words.index("--policies") + 1] = policies
    at = words.index("--out")
    return [*words[:at], *words[at + 2 :]]


def without_seconds(record: Any) -> Any:
    """A record of summary.json without the entries that name times."""
    if isinstance(record, dict):
        return {name: without_seconds(value) for name, value in record.items() if name != "seconds"}
    return [without_seconds(entry) for entry in record] if isinstance(record, list) else record


def check_equal(run: Path, other: Path) -> None:
    """Same files; same content but for seconds."""
    names = [sorted(str(file.relative_to(folder)) for file in folder.rglob("*")) for folder in (run, other)]
    assert names[0] == names[1]
    for name in set(names[0]) - CHANGING:
        if (run / name).is_file():
            assert (run / name).read_bytes() == (other / name).read_bytes(), name
    first, second = (json.loads((folder / "summary.json").read_text()) for folder in (run, other))
    assert without_seconds(first) == without_seconds(second)


def test_twenty_random_kills(server: Server, tmp_path: Path) -> None:
    words = command(tmp_path, "TrustedMargin,LearnedWeights")
    undisturbed = server.run([*words, "--out", str(tmp_path / "undisturbed")])
    assert undisturbed["code"] == 0, undisturbed["said"]
    rng, num_kills, num_finished, states = random.Random(0), 0, 0, set()
    while num_kills < NUM_KILLS or not num_finished:
        out = tmp_path / f"run{num_finished}"
        limit = rng.uniform(0.05, 0.35) * undisturbed["seconds"] if num_kills < NUM_KILLS else 300
        ended = server.run([*words, "--out", str(out)], kill_after=limit)
        assert ended["code"] in (0, -signal.SIGKILL), ended["said"]
        num_kills += ended["code"] != 0
        states.add(len(list(out.glob("cells/*.safetensors"))))
        if ended["code"] == 0:
            check_equal(out, tmp_path / "undisturbed")
            num_finished += 1
    assert any(0 < num_cells < 20 for num_cells in states), "no kill met the run in the middle"


def test_kills_while_the_results_are_written(server: Server, tmp_path: Path) -> None:
    words, out, num_cells = command(tmp_path, "TrustedMargin"), tmp_path / "run", 15
    assert server.run([*words, "--out", str(tmp_path / "undisturbed")])["code"] == 0

    def start(kill_at: int) -> bool:
        """Whether it was killed."""
        return server.run([*words, "--out", str(out)], kill_at=kill_at)["code"] == -signal.SIGKILL

    assert start(1) and start(2) and start(7)  # the settings, the second cell, some cell
    num_left = num_cells - len(list(out.glob("cells/*.safetensors")))
    assert 3 <= num_left <= 10 and start(num_left + 1)  # the first file of results
    number = 3
    while start(number):  # two files further each time; the eleventh is the report, after the summary
        number += 2
    assert number >= 11
    check_equal(out, tmp_path / "undisturbed")


def test_a_second_run_into_the_same_folder_is_refused(server: Server, tmp_path: Path) -> None:
    words = [*command(tmp_path, "TrustedMargin"), "--out", str(tmp_path / "run")]
    pid = server.start_slowly(words, pause=60)
    try:
        for more in ([], ["--overwrite"]):
            ended = server.run([*words, *more])
            assert ended["code"] == 2
            assert f"another run (pid {pid}, since" in ended["said"]
    finally:
        os.kill(pid, signal.SIGKILL)


def test_ctrl_c_ends_with_3_and_the_run_goes_on(server: Server, tmp_path: Path) -> None:
    words, run = command(tmp_path, "TrustedMargin"), tmp_path / "run"
    assert server.run([*words, "--out", str(tmp_path / "undisturbed")])["code"] == 0
    pid = server.start_slowly([*words, "--out", str(run)], pause=1.0)  # 15 of them are far longer than the signal takes
    os.kill(pid, signal.SIGINT)
    assert server.ask({"pid": pid})["code"] == 3
    said = run.with_suffix(".log").read_text()
    assert "Interrupted. Finished cells are kept: the same command goes on" in said and "Traceback" not in said
    assert sorted(file.name for file in run.iterdir()) == ["cells", "settings.json"]
    assert server.run([*words, "--out", str(run)])["code"] == 0
    check_equal(run, tmp_path / "undisturbed")
