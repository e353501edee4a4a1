"""The scripts that prepare the shared data sets, run on tiny stand-ins of the same layout."""

from __future__ import annotations

import gzip
import json
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
from small_files import csv_text

from synthsift.data.load import DataSpec, load
from synthsift.report.shell import command_name

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *more: str
) -> dict[str, str]:
    """Run a script on `folder`/shared and return the flags of the command it prints."""
    out = folder / "what I made"
    monkeypatch.setattr("sys.argv", [name, "--data", str(folder / "shared"), "--out", str(out), *more])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    words = shlex.split(capsys.readouterr().out.split("Now run:")[1].replace("\\\n", " "))
    called = shlex.split(command_name())
    assert words[: len(called) + 1] == [*called, "run"]
    flags = words[len(called) + 1 :]
    return dict(zip(flags[::2], flags[1::2], strict=True))


def spec_of(flags: dict[str, str]) -> DataSpec:
    """The data flags of a printed command; flags of other verbs' business are left out."""
    named = {flag[2:].replace("-", "_"): value for flag, value in flags.items()}
    fields = {name: value for name, value in named.items() if name in DataSpec.__dataclass_fields__}
    several = {name: (value,) for name, value in fields.items() if name in ("real", "synthetic")}
    return DataSpec(**(fields | several | {name: int(v) for name, v in fields.items() if name.startswith("max_")}))  # type: ignore[arg-type]


def zipped(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


def test_adult_loses_the_twins_of_its_test_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shared" / "adult_generators"
    starts = {"real_train": 0, "real_val": 30, "real_test": 25, "synthetic/gen": 42}
    for name, start in starts.items():
        table = [{"age": i, "fnlwgt": 7 * i, "income": ("<=50K", ">50K")[i % 2]} for i in range(start, start + 30)]
        zipped(folder / f"{name}.csv.gz", csv_text(table if name != "real_val" else table[:10]))
    flags = run("prepare_adult", tmp_path, monkeypatch, capsys)
    loaded = load(spec_of(flags))
    assert loaded.test is not None and loaded.test.x.values[0].tolist() == [40, 41]
    assert set(loaded.mixture.synth.source) == {"gen"}


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("prepare_tweets", "parrot_llm_text/tweet_sentiment.jsonl.gz"),
        ("prepare_agnews", "agnews_llm_aug/agnews.jsonl.gz"),
    ],
)
def test_texts_keep_their_parents(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = {"seed": 12, "train": 5, "val": 6, "test": 6, "synthetic": 9}
    lines = [
        {"source": "gen" if split == "synthetic" else "real", "split": split, "label": i % 2, "text": f"{split} {i}"}
        | ({"seed": i} if split == "synthetic" else {})
        for split, count in splits.items()
        for i in range(count)
    ]
    zipped(tmp_path / "shared" / file, "".join(json.dumps(line) + "\n" for line in [*lines, lines[23]]))
    loaded = load(spec_of(run(name, tmp_path, monkeypatch, capsys)))
    synth, real = loaded.mixture.synth, loaded.mixture.real
    assert synth.parent is not None and synth.parent.tolist() == real.ids[:9].tolist()
    assert loaded.test is not None and len(loaded.test) == (6 if name == "prepare_agnews" else 7)


def write_letters(folder: Path) -> np.ndarray:
    """60 letters of two classes as photographs and as glyphs; the last is the negative of the one before it."""
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (60, 32, 32), dtype=np.uint8)
    images[59] = 255 - images[58]
    y, names, split = np.arange(60) % 2, np.array(["A", "B"]), np.repeat([0, 1, 2], 20)
    scene = {"x": np.stack([images] * 3, axis=3), "y": y, "classes": names, "good": np.arange(60) != 50}
    np.savez(folder / "scene.npz", **scene, split=split, number=np.arange(60))
    np.savez(folder / "fonts.npz", x=images, y=y, classes=names)
    return images


def test_letters_become_folders_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_letters(tmp_path / "shared" / "chars74k_font_scene")
    flags = run("prepare_chars", tmp_path, monkeypatch, capsys, "--images")
    assert flags["--learner"] == "cnn"
    loaded = load(spec_of(flags))
    real, synth = loaded.mixture.real, loaded.mixture.synth
    assert loaded.mixture.classes == ("A", "B") and loaded.findings == ()
    assert (len(real), len(loaded.mixture.valid), len(synth)) == (20, 20, 60)
    assert loaded.test is not None and len(loaded.test) == 19
    rows = [int(name.rpartition("/")[2].removesuffix(".png")) for name in synth.ids.tolist()]
    assert np.array_equal(np.asarray(synth.x)[..., 0], images[rows]) and (synth.y == np.array(rows) % 2).all()


def test_letters_become_histograms_that_do_not_tell_dark_from_light(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_letters(tmp_path / "shared" / "chars74k_font_scene")
    flags = run("prepare_chars", tmp_path, monkeypatch, capsys)
    loaded = load(spec_of(flags))
    assert loaded.mixture.real.x.shape == (20, 324) and loaded.mixture.classes == ("A", "B")
    assert loaded.test is not None and len(loaded.test) == 19
    x = loaded.test.x
    # float32 sums of 64 votes a cell: some hundred rounding errors of 6e-8 each
    np.testing.assert_allclose(x[-1], x[-2], atol=1e-4)
    assert np.abs(x[-1] - x[-3]).max() > 0.05
