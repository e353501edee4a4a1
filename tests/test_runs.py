from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from synthsift import locking, runs, writing
from synthsift.runs import RunFolder
from synthsift.seeds import Seeds
from synthsift.writing import RunError

SUMMARY = {"schema": 1, "verdict": {"sentence": "Use it."}}
SETTINGS = {"seed": 0, "policies": ("RealOnly", "Everything"), "budget": 5.0, "learner": {"name": "logistic"}}


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run `code` in another Python that imports this package."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def files_below(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*"))


# ---------------------------------------------------------------------------------------------------- opening


def test_a_new_folder_is_made_locked_and_left_without_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"
    with RunFolder.open(path, SETTINGS, "d1") as run:
        assert not run.resumed and not run.complete
        assert files_below(path) == [".lock", "settings.json"]
    assert files_below(path) == ["settings.json"]
    assert runs.read_settings(path) == json.loads(json.dumps(SETTINGS))
    assert runs.read_settings(path / "settings.json") == runs.read_settings(path)


def test_same_settings_and_data_resume_and_a_summary_completes(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, SETTINGS, "d1") as run:
        run.put_cell("Everything", 3, 1, {"loss": np.arange(3.0)})
    with pytest.raises(RunError, match="has not ended"):
        runs.read_summary(tmp_path)
    with RunFolder.open(tmp_path, SETTINGS, "d1") as run:
        assert run.resumed and not run.complete
        assert run.get_cell("Everything", 3, 1) is not None
        writing.write_json(tmp_path / "summary.json", SUMMARY)
        assert run.complete
        run.drop_cells()
    with RunFolder.open(tmp_path, SETTINGS, "d1") as run:
        assert run.resumed and run.complete
    assert files_below(tmp_path) == ["settings.json", "summary.json"]
    assert runs.read_summary(tmp_path) == SUMMARY


@pytest.mark.parametrize(
    ("settings", "data", "pattern"),
    [
        ({**SETTINGS, "seed": 1}, "d1", r"\(--seed: 0 there, 1 now\).*--overwrite"),
        ({**SETTINGS, "extra": True}, "d1", r"--extra: null there, true now"),
        (SETTINGS, "d2", r"\(the content of the data\)"),
        ({**SETTINGS, "seed": 1, "budget": 9}, "d2", r"--seed: .*; --budget: 5.0 there, 9 now; the content"),
        (
            {**SETTINGS, "learner": {"name": "x" * 99}},
            "d1",
            r'--learner: \{"name": "logistic"\} there, .{57}\.\.\. now',
        ),
    ],
)
def test_other_settings_are_refused_and_named(tmp_path: Path, settings: dict, data: str, pattern: str) -> None:
    with RunFolder.open(tmp_path, SETTINGS, "d1") as run:
        run.put_cell("b", 0, 0, {"a": np.zeros(1)})
    before = files_below(tmp_path)
    with pytest.raises(RunError, match=pattern):
        RunFolder.open(tmp_path, settings, data)
    assert files_below(tmp_path) == before


def test_only_what_differs_is_named_and_in_long_texts_the_place(tmp_path: Path) -> None:
    """Another --seed draws other rows, so the hash of the data differs although nobody has touched them."""
    files = [f"/a/long/way/to/the/folder/of/generated/rows/part-{k}.csv" for k in range(4)]
    data = {"data": None, "real": files, "synthetic": ["made=" + "/x" * 60 + "/one.csv"], "seed": 0}
    begun = {"data": data, "first_seed": 0, "num_seeds": 5, "generator_saw": "none"}
    with RunFolder.open(tmp_path, begun, "d1"):
        pass

    def told(settings: dict, data_hash: str) -> str:
        with pytest.raises(RunError) as refused:
            RunFolder.open(tmp_path, settings, data_hash)
        return str(refused.value).partition("(")[2].partition(")")[0]

    assert told({**begun, "data": {**data, "seed": 7}, "first_seed": 7}, "d2") == "--seed: 0 there, 7 now"
    assert told({**begun, "num_seeds": 3}, "d1") == "--seeds: 5 there, 3 now"
    assert told({**begun, "generator_saw": "all"}, "d2") == (
        '--generator-saw: "none" there, "all" now; the content of the data'
    )
    assert told({**begun, "data": {**data, "data": "all.csv"}}, "d2") == '--data: null there, "all.csv" now'
    for changed, words in (
        ({"real": [*files[:3], "/a/new.csv"]}, "/a/new.csv"),
        ({"synthetic": ["made=" + "/x" * 60 + "/two.csv"]}, "/two.csv"),
        ({"real": files[:3]}, "part-2.csv"),
    ):
        there, now = told({**begun, "data": {**data, **changed}}, "d2").removesuffix(" now").split(" there, ")
        assert there.partition(": ")[2] != now and words in now and max(len(there), len(now)) <= 80


def test_settings_that_hold_nan_still_resume(tmp_path: Path) -> None:
    for _ in range(2):
        RunFolder.open(tmp_path, {"x": float("nan"), "p": Path("a")}, "d").close()


def test_overwrite_removes_what_a_run_writes_and_nothing_else(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, SETTINGS, "d1") as run:
        run.put_cell("a", 0, 0, {"x": np.zeros(1)})
        (tmp_path / "model").mkdir()
        for name in (*runs.FILES, "model/net.safetensors", "model/net.json", "model/mine.txt", "notes.txt"):
            (tmp_path / name).write_text("old")
    with RunFolder.open(tmp_path, {"seed": 9}, "d2", overwrite=True) as run:
        assert not run.resumed and not run.complete
        assert run.get_cell("a", 0, 0) is None
    assert files_below(tmp_path) == ["model", "model/mine.txt", "notes.txt", "settings.json"]
    assert runs.read_settings(tmp_path) == {"seed": 9}


def test_every_file_of_the_contract_is_removed_by_overwrite() -> None:
    contract = {
        *("summary.json", "weights.parquet", "features.parquet", "comparison.csv", "predictions.parquet"),
        *("history.parquet", "findings.json", "log.txt", "report.html"),
    }
    assert contract <= set(runs.FILES) and "model" in runs.FOLDERS


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", [None, '{"seed": 0}', "not json", "[1]"])
def test_files_of_others_are_never_touched(tmp_path: Path, overwrite: bool, content: str | None) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "summary.json").write_text("theirs")
    if content is not None:
        (tmp_path / "settings.json").write_text(content)
    before = {name: (tmp_path / name).read_text() for name in files_below(tmp_path)}
    with pytest.raises(RunError, match=r"not a run of synthsift \(.*thesis\.tex\)|nothing was touched"):
        RunFolder.open(tmp_path, SETTINGS, "d1", overwrite=overwrite)
    assert {name: (tmp_path / name).read_text() for name in files_below(tmp_path)} == before


def test_a_lock_file_of_others_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("theirs")
    with pytest.raises(RunError, match="not a run of synthsift"):
        RunFolder.open(tmp_path, SETTINGS, "d1")
    assert (tmp_path / ".lock").read_text() == "theirs"


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    with pytest.raises(RunError, match=r"is a file and a folder is needed.*another --out"):
        RunFolder.open(tmp_path / "run", SETTINGS, "d1")
    with pytest.raises(RunError, match="cannot be written"):
        RunFolder.open(tmp_path / "run" / "below", SETTINGS, "d1")


def test_a_failed_start_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="disk is full"):
        RunFolder.open(tmp_path / "run", SETTINGS, "d1")
    assert files_below(tmp_path) == []


def test_what_a_kill_before_the_settings_leaves_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("pid 1, since then")
    (tmp_path / f"{writing.TEMPORARY}1-ab.tmp").write_text("half")
    with RunFolder.open(tmp_path, SETTINGS, "d1") as run:
        assert not run.resumed
    assert files_below(tmp_path) == ["settings.json"]


@pytest.mark.parametrize("name", ["settings.json", "summary.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1'])
def test_reading_something_else_than_a_run(tmp_path: Path, name: str, content: str) -> None:
    read = runs.read_settings if name == "settings.json" else runs.read_summary
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError, match="does not exist"):
            read(place)
    (tmp_path / name).write_text(content)
    with pytest.raises(RunError, match=r"is not a run of synthsift: its .*json was needed"):
        read(tmp_path)


@pytest.mark.parametrize("settings", [{}, {"settings": []}, {"settings": None}])
def test_settings_that_hold_none_are_damaged(tmp_path: Path, settings: dict[str, object]) -> None:
    writing.write_json(tmp_path / "settings.json", {"schema": 1, "tool": "synthsift", "data_hash": "d1", **settings})
    with pytest.raises(RunError, match=r"is damaged: its settings\.json holds no settings"):
        runs.read_settings(tmp_path)
    with pytest.raises(RunError, match="a run with other settings"):
        RunFolder.open(tmp_path, SETTINGS, "d1")


@pytest.mark.parametrize("verdict", [None, "Use it.", {}, {"sentence": None}])
def test_a_summary_without_a_sentence_is_damaged_and_the_run_is_resumed(tmp_path: Path, verdict: object) -> None:
    RunFolder.open(tmp_path, SETTINGS, "d1").close()
    for content in ({"schema": 1, "verdict": verdict}, [1]):
        writing.write_json(tmp_path / "summary.json", content)
        for place in (tmp_path, tmp_path / "summary.json"):
            with pytest.raises(RunError, match=r"summary\.json is damaged: it|summary\.json is not a run"):
                runs.read_summary(place)
        with RunFolder.open(tmp_path, SETTINGS, "d1") as run:
            assert run.resumed and not run.complete


def test_cells_of_other_rules_are_not_mixed_with_those_of_this_version(tmp_path: Path) -> None:
    RunFolder.open(tmp_path, SETTINGS, "d1").close()
    record = json.loads((tmp_path / "settings.json").read_text())
    (tmp_path / "settings.json").write_text(json.dumps({**record, "rules": runs.RULES - 1}))
    with pytest.raises(RunError, match="rules of training of another version"):
        RunFolder.open(tmp_path, SETTINGS, "d1")


def test_an_unknown_schema_is_refused_but_may_be_overwritten(tmp_path: Path) -> None:
    later = {"schema": 2, "tool": "synthsift", "data_hash": "d1", "settings": {}}
    writing.write_json(tmp_path / "settings.json", later)
    writing.write_json(tmp_path / "summary.json", later)
    for read in (runs.read_settings, runs.read_summary):
        with pytest.raises(RunError, match="has schema 2, this version of synthsift reads 1"):
            read(tmp_path)
    with pytest.raises(RunError, match="a run with schema 2"):
        RunFolder.open(tmp_path, SETTINGS, "d1")
    RunFolder.open(tmp_path, SETTINGS, "d1", overwrite=True).close()
    assert runs.read_settings(tmp_path)["seed"] == 0


# ---------------------------------------------------------------------------------------------------- the lock

HOLD = """
    import sys
    from synthsift.runs import RunFolder
    with RunFolder.open(sys.argv[1], {}, "d"):
        print("locked", flush=True)
        sys.stdin.read()
"""


def test_a_second_process_is_refused_and_a_stale_lock_is_no_obstacle(tmp_path: Path) -> None:
    holder = start(HOLD, tmp_path)
    assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
    before = files_below(tmp_path)
    for overwrite in (False, True):
        pattern = rf"another run \(pid {holder.pid}, since 20\d\d-.*\) is writing into"
        with pytest.raises(RunError, match=pattern):
            RunFolder.open(tmp_path, {}, "d", overwrite=overwrite)
    assert files_below(tmp_path) == before
    holder.kill()
    holder.communicate()
    assert (tmp_path / ".lock").exists()
    with RunFolder.open(tmp_path, {}, "d") as run:
        assert run.resumed
    assert not (tmp_path / ".lock").exists()


def test_the_lock_is_exclusive_inside_a_process_and_released_on_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunFolder.open(tmp_path, {}, "d"):
        with pytest.raises(RunError, match="another run"):
            RunFolder.open(tmp_path, {}, "d")
        raise ZeroDivisionError
    run = RunFolder.open(tmp_path, {}, "d")
    run.close()
    run.close()
    assert files_below(tmp_path) == ["settings.json"]


def test_a_lock_file_that_was_removed_meanwhile_protects_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first holder removes the file between our open and our lock; the second try must lock the new file."""
    real, calls = locking.fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            (tmp_path / ".lock").unlink()
        real(descriptor, operation)

    monkeypatch.setattr(
        locking, "fcntl", SimpleNamespace(flock=flock, LOCK_EX=locking.fcntl.LOCK_EX, LOCK_NB=locking.fcntl.LOCK_NB)
    )
    with RunFolder.open(tmp_path, {}, "d") as run:
        assert len(calls) == 2 and run.lock is not None
        assert os.path.samestat(os.fstat(run.lock), (tmp_path / ".lock").stat())


# ---------------------------------------------------------------------------------------------------- cells


def arrays_of(number: int) -> dict[str, np.ndarray]:
    rng = Seeds(number).numpy("cell")
    return {
        "loss": rng.normal(size=(7, 3)).T,
        "rows": rng.integers(0, 99, size=20),
        "keep": rng.random(5) < 0.5,
        "seconds": np.array(rng.random()),
        "none": np.zeros((0, 2), dtype=np.float32),
    }


def assert_same(seen: dict[str, np.ndarray] | None, wanted: dict[str, np.ndarray]) -> None:
    assert seen is not None and sorted(seen) == sorted(wanted)
    for name, array in wanted.items():
        assert seen[name].dtype == array.dtype
        np.testing.assert_array_equal(seen[name], array)


def test_cells_come_back_equal_and_apart(tmp_path: Path) -> None:
    names = [("a", 0, 0), ("a", 0, 1), ("a", 1, 0), ("a/0", 0, 0), ("<b>/../x", 0, 0), ("ö" * 300, 0, 0)]
    with RunFolder.open(tmp_path, {}, "d") as run:
        for number, name in enumerate(names):
            assert run.get_cell(*name) is None
            run.put_cell(*name, arrays_of(number))
        for number, name in enumerate(names):
            assert_same(run.get_cell(*name), arrays_of(number))
        assert run.get_cell("b", 0, 0) is None
        run.put_cell("a", np.int64(0), 0, arrays_of(7))
        assert_same(run.get_cell("a", 0, 0), arrays_of(7))
        (tmp_path / "cells" / "mine.txt").write_text("x")
        run.drop_cells()
        assert run.get_cell("a", 0, 0) is None
    assert files_below(tmp_path / "cells") == ["mine.txt"]


def test_cells_hold_numbers_only(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, {}, "d") as run:
        for bad in (np.array(["a"]), np.array([None])):
            with pytest.raises(TypeError, match="store numbers or codes"):
                run.put_cell("a", 0, 0, {"x": bad})
    assert files_below(tmp_path) == ["settings.json"]


def test_a_damaged_cell_counts_as_absent(tmp_path: Path) -> None:
    """Every truncation, every flipped byte and the file of another cell: absent, or (padding) still right."""
    with RunFolder.open(tmp_path, {}, "d") as run:
        run.put_cell("b", 0, 0, {"loss": np.arange(4.0)})
        (other,) = (tmp_path / "cells").iterdir()
        run.put_cell("a", 0, 0, {"loss": np.arange(4.0)})
        (file,) = set((tmp_path / "cells").iterdir()) - {other}
        whole = file.read_bytes()
        damaged = [whole[:cut] for cut in range(len(whole))]
        damaged += [whole[:at] + bytes([whole[at] ^ 0x11]) + whole[at + 1 :] for at in range(len(whole))]
        absent = 0
        for data in (*damaged, whole + b"x", other.read_bytes()):
            file.write_bytes(data)
            seen = run.get_cell("a", 0, 0)
            absent += seen is None
            if seen is not None:
                assert_same(seen, {"loss": np.arange(4.0)})
        assert absent >= len(damaged) - 8, "only padding may change without harm"
        assert run.get_cell("b", 0, 0) is not None


# Starting Python takes longer than the writing: one process forks a writer for each number it reads.
NURSERY = """
    import os, sys
    import numpy as np
    import safetensors.numpy
    from synthsift import runs, writing

    def write(start):
        while True:
            with runs.RunFolder.open(sys.argv[1], {"a": 1}, "d", overwrite=start % 3 == 2) as run:
                for number in range(start, start + 40):
                    run.put_cell("policy", number % 7, 0, {"x": np.full(2000, number), "y": np.full(2000, -number / 2)})
                summary = {"schema": 1, "verdict": {"sentence": "Use it."}, "numbers": list(range(3000))}
                writing.write_json(run.path / "summary.json", summary)
            start += 40

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            write(int(line))
        print(child, flush=True)
        print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)
"""


def test_kills_at_random_moments_leave_no_half_file(tmp_path: Path) -> None:
    rng = Seeds(0).numpy("kills")
    cells_read = 0
    nursery = start(NURSERY, tmp_path)
    assert nursery.stdin is not None and nursery.stdout is not None
    for kill in range(200):  # more than 30 where the machine is too busy to finish cells
        if kill >= 30 and cells_read > 30:
            break
        nursery.stdin.write(f"{kill}\n")
        nursery.stdin.flush()
        child = int(nursery.stdout.readline())
        time.sleep(rng.uniform(0, 0.06) * (1 + kill // 30))  # longer where the machine is busy
        os.kill(child, signal.SIGKILL)
        assert int(nursery.stdout.readline()) == signal.SIGKILL, "the writer must not have failed by itself"
        with RunFolder.open(tmp_path, {"a": 1}, "d") as run:
            cells_read += check_cells(run)
            if run.complete:
                assert runs.read_summary(tmp_path)["numbers"] == list(range(3000))
        assert not [name for name in files_below(tmp_path) if ".tmp" in name or name == ".lock"]
    nursery.communicate()
    assert cells_read > 30


def check_cells(run: RunFolder) -> int:
    """Number of cells there are, each of them whole and right."""
    num_read = 0
    for seed in range(7):
        cell = run.get_cell("policy", seed, 0)
        if cell is not None:
            number = int(cell["x"][0])
            assert number % 7 == seed
            assert_same(cell, {"x": np.full(2000, number), "y": np.full(2000, -number / 2)})
            num_read += 1
    return num_read
