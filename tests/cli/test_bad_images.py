"""Folders of images on the command line: whole runs, what is left out on the way, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_data import columns_of, two_files
from cli_runner import snapshot, synthsift
from PIL import Image

from synthsift.cli.gallery import make_gallery
from synthsift.data.load import load
from synthsift.data.spec import DataSpec
from synthsift.training.cnn import CNN

pytestmark = pytest.mark.usefixtures("no_pictures")
Change = Callable[[Path], object]
CLASSES = ("lying", "standing")
QUICK = ("--policies", "Everything", "--seeds", "1")


def write_folder(root: Path, count: int, seed: int) -> Path:
    """PNG files of a lying or a standing bar on noise, in one folder a class."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        picture = rng.normal(60, 15, (40, 40))
        start = rng.integers(2, 34)
        (picture.T if number % 2 else picture)[start : start + 4] += 120
        place = root / CLASSES[number % 2] / f"{number:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(place)
    return root


def folders(folder: Path, *more: str) -> list[str]:
    """Write 40 real and 40 synthetic images and return the arguments of a quick run."""
    real, made = write_folder(folder / "real", 40, 1), write_folder(folder / "made", 40, 2)
    words = ["run", "--real", str(real), "--synthetic", f"gen={made}", "--out", str(folder / "run")]
    return [*words, *QUICK, *(word.replace("{}", str(folder)) for word in more)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> Path:
    """The folder of a finished run with a tiny network; the tests below leave it as it is."""
    folder = tmp_path_factory.mktemp("images")
    words = folders(folder, "--learner", "cnn", "--test", str(write_folder(folder / "test", 20, 3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synthsift.training.cnn.CNN", lambda: replace(CNN(), width=8, steps=16, batch=8))
        ended = synthsift(*words)
    assert ended.code == 0, ended.err
    assert "40 synthetic rows from 1 source, 2 classes, 324 inputs" in ended.err
    return folder


def test_a_run_of_images_names_every_file(finished: Path) -> None:
    weights = columns_of(finished / "run" / "weights.parquet")
    assert set(weights["row"]) == {0} and len(set(weights["file"])) == 80
    assert [Path(file).parent.name for file in weights["file"]] == weights["label"]
    assert weights["id"][0] == "real:lying/000.png" and weights["id"][-1] == "gen:standing/039.png"


def test_the_network_is_kept(finished: Path) -> None:
    from safetensors.numpy import load_file

    settings = json.loads((finished / "run" / "model" / "model.json").read_text())
    arrays = load_file(finished / "run" / "model" / "model.safetensors")
    assert settings["learner"] == "cnn" and settings["encoder"]["kind"] == "gradients"
    assert arrays["learner.head.bias"].shape == (2,) and arrays["encoder.center"].shape == (324,)


def test_a_gallery_shows_the_pictures_of_both_ends(finished: Path) -> None:
    synth = load(DataSpec(real=(str(finished / "real"),), synthetic=(f"gen={finished / 'made'}",))).mixture.synth
    gallery = make_gallery(synth, ("lying", "standing"), np.arange(len(synth)) / 10, "LearnedWeights", {})
    assert gallery is not None and gallery["kind"] == "image"
    assert {item["end"] for item in gallery["items"]} == {"highest", "lowest"}
    for item in gallery["items"]:
        with Image.open(io.BytesIO(base64.b64decode(item["png"]))) as picture:
            shown = np.asarray(picture)
        place = int(np.flatnonzero(synth.ids == item["id"])[0])
        assert np.array_equal(shown, np.asarray(synth.x[[place]])[0])


def test_the_test_images_are_judged(finished: Path) -> None:
    summary = json.loads((finished / "run" / "summary.json").read_text())
    assert {row["name"] for row in summary["test"]} == {"RealOnly", "Everything"}
    assert summary["data"]["num_test"] == 20


def test_the_kept_images_are_exported_and_can_be_run_again(finished: Path, tmp_path: Path) -> None:
    ended = synthsift("export", finished / "run", "--out", tmp_path / "kept")
    assert ended.code == 0, ended.err
    weights = columns_of(finished / "run" / "weights.parquet")
    assert len(list((tmp_path / "kept").rglob("*.png"))) == sum(weights["keep"])
    first = (tmp_path / "kept" / "real" / "lying" / "000.png").read_bytes()
    assert first == (finished / "real" / "lying" / "000.png").read_bytes()
    lines = (tmp_path / "kept" / "weights.csv").read_text().splitlines()
    assert lines[0] == "file,source,label,weight" and len(lines) == sum(weights["keep"]) + 1
    words = ["--real", f"{tmp_path}/kept/real", "--synthetic", f"gen={finished}/made", "--out", f"{tmp_path}/run"]
    assert synthsift("run", *words, *QUICK, "--policies", "RealOnly").code == 0


def test_an_export_without_its_images_is_refused_and_leaves_nothing(finished: Path, tmp_path: Path) -> None:
    picture = finished / "real" / "lying" / "000.png"
    content = picture.read_bytes()
    picture.unlink()
    try:
        ended = synthsift("export", finished / "run", "--out", tmp_path / "kept")
    finally:
        picture.write_bytes(content)
    assert ended.code == 2 and "000.png cannot be copied" in ended.err and list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------- odd, but good enough


def damaged(folder: Path) -> None:
    """One image of every kind that cannot be read."""
    here = folder / "made" / "lying"
    (here / "zero.png").write_bytes(b"")
    (here / "cut.png").write_bytes((here / "000.png").read_bytes()[:300])
    (here / "text.jpg").write_text("no picture")
    head = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (2**30).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    (here / "bomb.png").write_bytes(head + zlib.crc32(head[12:]).to_bytes(4, "big"))
    os.symlink(folder / "nowhere", here / "gone.png")


def odd(folder: Path) -> None:
    """One image of every kind that can be read."""
    here = folder / "made" / "lying"
    picture = Image.open(here / "000.png")
    picture.save(here / "animated.gif", save_all=True, append_images=[picture.rotate(90)])
    picture.convert("CMYK").save(here / "cmyk.jpg")
    picture.convert("1").save(here / "one.png")
    Image.fromarray(np.asarray(picture).astype(np.uint16) * 257).save(here / "sixteen.png")
    picture.resize((3, 500)).save(here / "narrow.png")
    picture.convert("RGBA").resize((900, 700)).save(here / "clear.webp")


ODD: dict[str, tuple[Change, list[str]]] = {
    "damaged images": (damaged, ["SS121"]),
    "images of every mode": (odd, []),
    "an empty class folder": (lambda f: (f / "real" / "sitting").mkdir(), ["SS122"]),
    "stray files": (lambda f: (f / "real" / "lying" / "Thumbs.db").write_bytes(b"x"), ["SS123"]),
    "a loop of links": (lambda f: os.symlink(f / "real", f / "real" / "lying" / "loop"), ["SS124"]),
    "a class folder that is a loop": (lambda f: os.symlink(f / "real", f / "real" / "all"), ["SS124"]),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_folders_run_and_the_finding_is_kept(tmp_path: Path, name: str) -> None:
    change, codes = ODD[name]
    arguments = folders(tmp_path)
    change(tmp_path)
    ended = synthsift(*arguments)
    assert ended.code == 0, ended.err
    found = json.loads((tmp_path / "run" / "findings.json").read_text())
    assert [finding["code"] for finding in found if finding["code"][:4] == "SS12"] == codes


def test_check_reads_folders_of_images_and_finds_copies(tmp_path: Path) -> None:
    words = ["check", *folders(tmp_path)[1:5], "--test", str(write_folder(tmp_path / "test", 20, 3)), "--json"]
    picture = tmp_path / "test" / "lying" / "000.png"
    (tmp_path / "made" / "lying" / "copy.png").write_bytes(picture.read_bytes())
    (tmp_path / "made" / "lying" / "zero.png").write_bytes(b"")
    ended = synthsift(*words)
    assert ended.code == 1, ended.err
    found = {finding["code"]: finding["seen"] for finding in json.loads(ended.out)}
    assert "gen:lying/copy.png" in found["SS130"] and "zero.png" in found["SS121"]


# ------------------------------------------------------------------------------------------------- refused


def table(folder: Path) -> None:
    """A table beside the images."""
    two_files(folder)


BAD: dict[str, tuple[Change, tuple[str, ...], str]] = {
    "most images are damaged": (
        lambda f: [p.write_bytes(b"x") for p in sorted((f / "made").rglob("*.png"))[:21]], (), "21 of 40 images of"
    ),
    "images and a table": (
        table, ("--synthetic", "{}/made.csv", "--label", "label"), "holds images but .* holds a table"
    ),
    "no class folders": (
        table, ("--valid", "{}/real/lying"), "is a folder where one data file is needed.*one folder a class"
    ),
    "the cnn learner on a table": (
        table, ("table", "--learner", "cnn"), "--learner cnn reads pictures, and the data are none"
    ),
    "other pixels": (table, ("--pixels", "33"), "--pixels is 33; images are scaled to 32 or 64"),
    "unknown encoder": (table, ("--encoder", "resnet"), "unknown encoder 'resnet'"),
    "encoder that is not installed": (table, ("--encoder", "timm:resnet18"), r"pip install 'synthsift\[images\]'"),
    "encoder and embeddings": (table, ("--encoder", "timm:a", "--embeddings", "v.npy"), "give one"),
    "copies of test images": (
        lambda f: write_folder(f / "test", 20, 1), ("--test", "{}/test"), "SS130 error: Copies of test rows"
    ),
    "flat images": (
        lambda f: [Image.new("L", (9, 9), 7).save(p) for p in f.rglob("*.png")], (), "do not differ in their gradients"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_folders_are_refused_and_nothing_is_touched(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # importing it fails, installed or not
    change, more, pattern = BAD[name]
    arguments = two_files(tmp_path, *more[1:]) if more[:1] == ("table",) else folders(tmp_path, *more)
    change(tmp_path)
    before = snapshot(tmp_path)
    ended = synthsift(*arguments)
    told = " ".join(ended.err.split())
    assert ended.code == (1 if "SS130" in pattern else 2), told
    assert re.search(pattern, told), told
    assert "Traceback" not in told and ended.out == ""
    assert snapshot(tmp_path) == before
