"""A killed run goes on and ends with the numbers of an undisturbed one; a folder has one writer at a time."""

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

    def run(self, words: list[str], **job: Any) -> dict[str, Any]:
        """Run one command; see fork_server."""
        assert self.process.stdin is not None
        log = Path(words[words.index("--out") + 1]).with_suffix(".log")
        self.process.stdin.write(json.dumps({"words": words, "log": str(log), **job}) + "\n")
        self.process.stdin.flush()
        return {**json.loads(self.read()), "said": log.read_text() if log.exists() else ""}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    assert one.process.stdin is not None and one.process.stdout is not None
    one.process.stdin.close()
    one.process.wait(30)
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
        limit = rng.uniform(0.05, 0.4) * undisturbed["seconds"] if num_kills < NUM_KILLS else 300
        ended = server.run([*words, "--out", str(out)], kill_after=limit)
        assert ended["code"] in (0, -signal.SIGKILL), ended["said"]
        num_kills += ended["code"] != 0
        states.add(len(list(out.glob("cells/*.safetensors"))))
        if ended["code"] == 0:
            check_equal(out, tmp_path / "undisturbed")
            num_finished += 1
    assert len(states) > 3, "the kills met the run in different states"


def test_a_kill_before_each_file_is_renamed(server: Server, tmp_path: Path) -> None:
    words, out, num_cells = command(tmp_path, "TrustedMargin"), tmp_path / "run", 15
    assert server.run([*words, "--out", str(tmp_path / "undisturbed")])["code"] == 0

    def start(kill_at: int) -> bool:
        """Whether it was killed."""
        return server.run([*words, "--out", str(out)], kill_at=kill_at)["code"] == -signal.SIGKILL

    assert start(1) and start(2) and start(7)  # the settings, the second cell, some cell
    num_left = num_cells - len(list(out.glob("cells/*.safetensors")))
    assert 3 <= num_left <= 10 and start(num_left + 1)  # the first file of results
    number = 2
    while start(number):
        number += 1
    assert number > 10, "each file of results was once the last one"
    check_equal(out, tmp_path / "undisturbed")


def test_a_second_run_into_the_same_folder_is_refused(server: Server, tmp_path: Path) -> None:
    words = [*command(tmp_path, "TrustedMargin"), "--out", str(tmp_path / "run")]
    first = server.run(words, pause=60, wait=False)
    patience = time.monotonic() + 60
    while not list((tmp_path / "run").glob("cells/*")) and time.monotonic() < patience:
        time.sleep(0.02)
    try:
        for more in ([], ["--overwrite"]):
            ended = server.run([*words, *more])
            assert ended["code"] == 2
            assert f"another run (pid {first['pid']}, since" in ended["said"]
    finally:
        os.kill(first["pid"], signal.SIGKILL)
