"""Whatever is wrong with a stream is told in one sentence, with exit code 2 and nothing written."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from cli_runner import snapshot, synthsift
from drift_files import draw, write_arrays, write_table, write_texts


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a sound stream and one file for every way to spoil it."""
    write_arrays(tmp_path, (0.0, 0.1))
    rows = draw(9)[0]
    np.save(tmp_path / "narrow.npy", rows[:, :3])
    np.save(tmp_path / "few.npy", rows[:49])
    np.save(tmp_path / "turned.npy", np.load(tmp_path / "gen0.npy")[::-1])
    copies = np.load(tmp_path / "real.npy")[np.random.default_rng(0).integers(600, size=200)]
    np.save(tmp_path / "copies.npy", np.concatenate([copies, rows[:60]]))
    np.save(tmp_path / "bytes.npy", (rows * 10).astype(np.uint8))
    np.save(tmp_path / "texts.npy", np.array(["a", "b"] * 90))
    np.save(tmp_path / "objects.npy", np.array([{}] * 60, dtype=object), allow_pickle=True)
    np.save(tmp_path / "scalar.npy", np.float64(3))
    spoiled = rows.copy()
    spoiled[17, 2] = np.nan
    np.save(tmp_path / "nan.npy", spoiled)
    spoiled[17, 2] = np.inf
    np.save(tmp_path / "infinite.npy", spoiled.astype(np.float16))
    np.save(tmp_path / "constant.npy", np.ones((200, 4), np.float32))
    np.savez(tmp_path / "archive.npz", z=rows)
    np.savez(tmp_path / "unlabelled.npz", x=rows)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "gen0.npy").read_bytes()[:200])
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "pickled.npy").write_bytes(pickle.dumps([1, 2]))
    write_table(tmp_path / "table.csv", 3)
    write_table(tmp_path / "other.csv", 4)
    (tmp_path / "renamed.csv").write_text((tmp_path / "other.csv").read_text().replace("size", "length"))
    (tmp_path / "words.csv").write_text((tmp_path / "other.csv").read_text().replace("\n-", "\nminus "))
    write_texts(tmp_path / "texts.jsonl", 5)
    return tmp_path


TWO = ("--real", "real.npy", "gen0.npy")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*TWO, "narrow.npy", "--fresh-fraction", "0.3"), ["narrow.npy", "(3,)", "(4,)", "same width"]),
        ((*TWO, "bytes.npy", "--fresh-fraction", "0.3"), ["bytes.npy", "uint8", "dtype"]),
        ((*TWO, "few.npy", "--fresh-fraction", "0.3"), ["49 rows", "at least 50"]),
        ((*TWO, "nan.npy", "--fresh-fraction", "0.3"), ["NaN", "row 17"]),
        ((*TWO, "infinite.npy", "--fresh-fraction", "0.3"), ["infinity", "row 17"]),
        ((*TWO, "--fresh-fraction", "0.3", "--seed", "-1"), ["--seed is -1", "at least 0"]),
        ((*TWO, "gen0.npy", "--fresh-fraction", "0.3"), ["same rows", "gen0.npy"]),
        ((*TWO, "real.npy", "--fresh-fraction", "0.3"), ["all the real rows"]),
        ((*TWO, "turned.npy", "--fresh-fraction", "0.3"), ["same rows", "gen0.npy", "in another order"]),
        ((*TWO, "copies.npy", "--fresh-fraction", "0.3"), ["mostly copies", "of its distinct rows"]),
        ((*TWO, "texts.npy", "--fresh-fraction", "0.3"), ["dtype <U1"]),
        ((*TWO, "objects.npy", "--fresh-fraction", "0.3"), ["pickle"]),
        ((*TWO, "pickled.npy", "--fresh-fraction", "0.3"), ["pickle"]),
        ((*TWO, "scalar.npy", "--fresh-fraction", "0.3"), ["shape ()"]),
        ((*TWO, "cut.npy", "--fresh-fraction", "0.3"), ["cut.npy"]),
        ((*TWO, "empty.npy", "--fresh-fraction", "0.3"), ["0 bytes"]),
        ((*TWO, "archive.npz", "--fresh-fraction", "0.3"), ["no array 'x'"]),
        ((*TWO, "missing.npy", "--fresh-fraction", "0.3"), ["does not exist"]),
        ((*TWO, "table.csv", "--fresh-fraction", "0.3"), ["a table", "an array"]),
        ((*TWO, "gen1.npy"), ["--fresh-fraction is missing"]),
        ((*TWO, "gen1.npy", "--fresh-fraction", "1.5"), ["[0, 1]"]),
        ((*TWO, "gen1.npy", "--fresh-fraction", "-0.1"), ["[0, 1]"]),
        ((*TWO, "gen1.npy", "--fresh-fraction", "nan"), ["[0, 1]"]),
        ((*TWO, "gen1.npy", "--fresh-fraction", "30%"), ["no list of numbers"]),
        ((*TWO, "gen1.npy", "--fresh-fraction", "0.3,0.4"), ["2 numbers for 1"]),
        ((*TWO, "--label", "y"), ["'y'", "--label", "it has inputs only."]),
        (("--real", "unlabelled.npz", "gen0.npy", "--label", "y"), ["no array 'y'", "it has inputs only."]),
        ((*TWO, "--text", "t"), ["Drop --text"]),
        ((*TWO, "--target", "0"), ["--target", "positive"]),
        ((*TWO, "--target", "nan"), ["--target", "positive"]),
        ((*TWO, "--horizon", "0"), ["horizon = 0"]),
        ((*TWO, "--false-alarms", "1"), ["rate = 1"]),
        ((*TWO, "--horizon", "1000000000"), ["relabellings", "Shorten the horizon"]),
        ((*TWO, "--out", "gen0.npy/below/run"), ["gen0.npy is a file", "cannot be made"]),
        (("--real", "few.npy", "gen0.npy"), ["49 rows", "75"]),
        (("--real", "constant.npy", "gen0.npy"), ["constant"]),
        (("gen0.npy",), ["neither --real nor --state"]),
        (("--real", "table.csv", "renamed.csv"), ["renamed.csv", "size"]),
        (("--real", "table.csv", "words.csv"), ["holds text", "numeric in the real rows"]),
        (("--real", "texts.jsonl", "table.csv", "--text", "text"), ["no column 'text'"]),
        (("--state", "gen0.npy", "gen1.npy", "--fresh-fraction", "0.3"), ["no safetensors"]),
        (("--state", "missing", "gen1.npy", "--fresh-fraction", "0.3"), ["does not exist"]),
    ],
)
def test_bad_input_is_told_and_nothing_is_written(
    files: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: list[str]
) -> None:
    monkeypatch.chdir(files)
    before = snapshot(files)
    more = () if "--out" in arguments else ("--out", "run")
    state = ("--state", "new.safetensors") if "--real" in arguments else ()
    ended = synthsift("drift", *arguments, *more, *state)
    assert ended.code == 2, (ended.out, ended.err)
    assert all(word in ended.err for word in words), ended.err
    assert "Traceback" not in ended.err and "Internal error" not in ended.err
    assert snapshot(files) == before


@pytest.fixture
def state(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state with one generation."""
    monkeypatch.chdir(files)
    assert synthsift("drift", *TWO, "--state", "s", "--out", "new/run", "--no-gallery").code == 0
    (files / "new" / "run").rename(files / "run")
    return files / "s"


def test_state_and_folder_are_guarded(state: Path, files: Path) -> None:
    before = snapshot(files)
    cases: list[tuple[tuple[str, ...], str]] = [
        ((*TWO, "--state", "s"), "exists already"),
        (("--state", "s", "gen1.npy"), "--fresh-fraction is missing"),
        (("--state", "s", "gen0.npy", "--fresh-fraction", "0.3"), "generation gen0 of the state"),
        (("--state", "s", "turned.npy", "--fresh-fraction", "0.3"), "generation gen0 of the state in another order"),
        (("--state", "s", "gen1.npy", "--fresh-fraction", "0.3", "--horizon", "9"), "was fixed when the stream began"),
        (("--state", "s", "narrow.npy", "--fresh-fraction", "0.3"), "same width"),
        (("--real", "gen1.npy", "gen0.npy", "--out", "run"), "another stream"),
        ((*TWO, "--out", "."), "not of `synthsift drift`"),
        ((*TWO, "--out", "gen0.npy"), "is a file"),
    ]
    for arguments, word in cases:
        ended = synthsift("drift", *arguments)
        assert ended.code == 2 and word in ended.err, (arguments, ended.err)
    spoiled = bytearray(state.read_bytes())
    spoiled[len(spoiled) // 2] ^= 255
    (files / "spoiled").write_bytes(spoiled)
    ended = synthsift("drift", "--state", "spoiled", "gen1.npy", "--fresh-fraction", "0.3")
    assert ended.code == 2 and "damaged" in ended.err
    (files / "spoiled").unlink()
    assert snapshot(files) == before


def test_a_reference_smaller_than_a_generation_is_said(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    np.save("large.npy", draw(77, 500)[0])
    ended = synthsift("drift", "--real", "real.npy", "large.npy")
    assert ended.code == 0 and "SS406" in ended.out
