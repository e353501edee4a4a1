"""Whatever is wrong with a simulation is told in one sentence, with exit code 2 and nothing foreign touched."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from cli_runner import snapshot, synthsift

from synthsift.cli import simulate

TINY = (
    "diffusion", "--rows", "60", "--paths", "100", "--steps", "3", "--sampling-steps", "3", "--generations", "1",
    "--quiet",
)  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gaussian", "--alpha", "1.5"), ["alpha", "1.5", "from 0"]),
        (("gaussian", "--alpha", "-0.1"), ["alpha"]),
        (("gaussian", "--alpha", "nan"), ["alpha"]),
        (("gaussian", "--alpha", "a"), ["--alpha"]),
        (("gaussian", "--alpha", "0.33"), ["whole number of rows", "16.5"]),
        (("gaussian", "--rows", "1"), ["at least 2 rows"]),
        (("gaussian", "--rows", "0"), ["at least 2 rows"]),
        (("gaussian", "--rounds", "0"), ["--rounds is 0"]),
        (("mixture", "--rounds", "1000000000"), ["--rounds is 1000000000", "at most 5000"]),
        (("gaussian", "--runs", "-3"), ["--runs is -3"]),
        (("gaussian", "--runs", "1000000000"), ["numbers at once", "Lower --runs"]),
        (("gaussian", "--dim", "0"), ["--dim is 0"]),
        (("gaussian", "--fixed-real", "--alpha", "0"), ["alpha above 0"]),
        (("gaussian", "--fixed-real", "--unbiased"), ["ddof = 0"]),
        (("gaussian", "--seed", "-1"), ["--seed is -1"]),
        (("accumulate", "--rows", "1"), ["at least 2 rows"]),
        (("accumulate", "--rounds", "-1"), ["--rounds is -1"]),
        (("accumulate", "--dim", "-1"), ["--dim is -1"]),
        (("mixture", "--alpha", "2"), ["alpha"]),
        (("mixture", "--alpha", "0", "--eps", "0.5", "--rounds", "300", "--runs", "2"), ["flat", "Take fewer rounds"]),
        (("mixture", "--eps", "0"), ["--eps is 0"]),
        (("mixture", "--eps", "9"), ["--eps is 9"]),
        (("mixture", "--eps", "nan"), ["--eps is nan"]),
        (("mixture", "--runs", "0"), ["--runs is 0"]),
        (("truncation", "--alpha", "-1"), ["alpha"]),
        (("truncation", "--t0", "0"), ["--t0 is 0"]),
        (("truncation", "--t0", "inf"), ["t0"]),
        (("truncation", "--rows", "0"), ["--rows is 0"]),
        (("diffusion", "--alpha", "1.01"), ["alpha"]),
        (("diffusion", "--generations", "0"), ["num_rounds = 0"]),
        (("diffusion", "--dim", "1"), ["at least 2 dimensions"]),
        (("diffusion", "--rows", "10"), ["50 rows"]),
        (("diffusion", "--paths", "10"), ["100 paths"]),
        (("diffusion", "--steps", "0"), ["steps = 0"]),
        (("diffusion", "--sampling-steps", "0"), ["sampling_steps = 0"]),
        (("diffusion", "--t0", "4"), ["horizon > t0"]),
        (("diffusion", "--sampler", "magic"), ["magic", "sde, ode"]),
        (("diffusion", "--data", "cifar"), ["--data cifar", "mnist:FOLDER"]),
        (("diffusion", "--data", "mnist:nowhere"), ["holds no MNIST files"]),
        (("diffusion", "--data", "nowhere.npy"), ["nowhere.npy", "does not exist"]),
        (("diffusion", "--data", "digits", "--dim", "64"), ["--dim 64", "Leave it out"]),
        (("diffusion", "--data", "digits", "--width", "0"), ["width = 0"]),
        (("diffusion", "--data", "digits", "--rows", "10"), ["50 rows"]),
        (("diffusion", "--data", "digits", "--alpha", "2"), ["alpha"]),
        (("diffusion", "--device", "tpu"), ["device 'tpu'", "cpu, cuda"]),
        (("novelty",), ["novelty"]),
    ],
)
def test_bad_flags_are_told_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = synthsift("simulate", *arguments, *(() if arguments == ("novelty",) else ("--debug",)))
    assert ended.code == 2, (ended.out, ended.err)
    assert all(word in ended.err for word in words), ended.err
    assert "Internal error" not in ended.err and ended.out == ""
    again = synthsift("simulate", *arguments, *(() if arguments == ("novelty",) else ("--out", "out")))
    assert again.code == 2 and "Traceback" not in again.err
    assert not (tmp_path / "out" / "simulate.json").exists()


SHORT = ("accumulate", "--rounds", "2", "--runs", "10")


def test_folders_are_guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("mine")
    (tmp_path / "hidden" / "rounds").mkdir(parents=True)
    (tmp_path / "hidden" / "rounds" / "notes.txt").write_text("mine")
    assert synthsift("simulate", *SHORT, "--out", "new/used").code == 0
    (tmp_path / "new" / "used").rename(tmp_path / "used")
    before = snapshot(tmp_path)
    for out, word in (
        ("file", "is a file"),
        ("foreign", "thesis.txt"),
        ("hidden", "notes.txt"),
        ("file/below/run", "file is a file"),
    ):
        for more in ((), ("--overwrite",)):
            ended = synthsift("simulate", *SHORT, "--out", out, *more)
            assert ended.code == 2 and word in ended.err, ended.err
    ended = synthsift("simulate", *SHORT, "--seed", "5", "--out", "used")
    assert ended.code == 2 and "other settings" in ended.err and "--overwrite" in ended.err
    assert snapshot(tmp_path) == before
    assert synthsift("simulate", *SHORT, "--seed", "5", "--out", "used", "--overwrite").code == 0


def test_corrupt_checkpoints_are_refused_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "draw_files", lambda figure: {})
    monkeypatch.chdir(tmp_path)
    assert synthsift("simulate", *TINY, "--out", "run").code == 0
    place = tmp_path / "run" / "rounds" / "round-001.safetensors"
    sound = place.read_bytes()
    flipped = bytearray(sound)
    flipped[len(flipped) // 2] ^= 255
    for content in (b"", sound[:300], bytes(flipped), pickle.dumps([1])):
        place.write_bytes(content)
        ended = synthsift("simulate", *TINY, "--out", "run")
        assert ended.code == 2 and "round-001" in ended.err and "Remove the file" in ended.err, ended.err
        assert place.read_bytes() == content
    place.write_bytes(sound)
    assert synthsift("simulate", *TINY, "--out", "run").code == 0
    other = synthsift("simulate", *TINY, "--alpha", "0.5", "--out", "run")
    assert other.code == 2 and "other settings" in other.err and place.read_bytes() == sound
    (tmp_path / "run" / "settings.json").write_text("{")
    assert "other settings" in synthsift("simulate", *TINY, "--out", "run").err
