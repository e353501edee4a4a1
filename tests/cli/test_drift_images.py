"""`drift` on folders of images: planted drift is found, quiet streams are quiet, odd folders are told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_runner import snapshot, synthsift
from PIL import Image

from synthsift.report import drift_page

CLASSES = ("lying", "standing", "crossed")
Change = Callable[[np.ndarray], np.ndarray]


def draw_bars(kind: int, rng: np.random.Generator) -> np.ndarray:
    """A colored lying or standing bar, or both, on noise (40, 40, 3)."""
    picture = rng.normal(60, 3, (40, 40, 3))
    for axis in (0, 1) if kind == 2 else (kind,):
        start = rng.integers(2, 34)
        np.moveaxis(picture, axis, 0)[start : start + 4] += 60 + 80 * rng.random(3)
    return picture


def write_folder(
    root: Path,
    count: int,
    seed: int,
    *,
    lost: float = 0.0,
    plain: bool = False,
    change: Change = lambda picture: picture,
    side: int = 40,
) -> Path:
    """PNG files by class, or all in one folder; a share of the last class is lost."""
    rng = np.random.default_rng(seed)
    shares = np.array([1.0, 1.0, 1.0 - lost])
    for number in range(count):
        kind = int(rng.choice(3, p=shares / shares.sum()))
        picture = Image.fromarray(change(draw_bars(kind, rng)).clip(0, 255).astype(np.uint8))
        place = (root if plain else root / CLASSES[kind]) / f"{number:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        (picture if side == 40 else picture.resize((side, side))).save(place)
    return root


def bleach(picture: np.ndarray) -> np.ndarray:
    """Most of the color is gone; shapes are as they were."""
    gray = picture.mean(axis=2, keepdims=True)
    return gray + 0.2 * (picture - gray)


@pytest.fixture(scope="module", autouse=True)
def _undrawn() -> Iterator[None]:
    """Leave the plots out of the page: they have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drift_page, "draw_drift_figures", lambda record: {"drift": {"wide": "", "narrow": ""}})
        yield


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real images and a generation of every kind; the tests below leave them as they are."""
    folder = tmp_path_factory.mktemp("pictures")
    write_folder(folder / "real", 180, 1)
    write_folder(folder / "quiet", 80, 2)
    write_folder(folder / "plain", 80, 3, plain=True, side=55)
    write_folder(folder / "bleached", 80, 4, change=bleach)
    write_folder(folder / "lost", 80, 5, lost=0.95)
    return folder


@pytest.fixture(scope="module")
def record(stream: Path) -> dict:
    """What one command finds in all of them."""
    names = ("quiet", "plain", "bleached", "lost")
    out = stream / "run"
    ended = synthsift(
        "drift", "--real", stream / "real", *(stream / n for n in names), "--fresh-fraction", "0.5,0.5,0.3",
        "--state", stream / "state", "--out", out,
    )  # fmt: skip
    assert ended.code == 1, ended.err
    return json.loads((out / "drift.json").read_text())


def test_planted_drift_alarms_and_quiet_generations_do_not(record: dict) -> None:
    assert [g["alarm"] for g in record["generations"]] == [False, False, True, True]
    assert record["reference"]["width"] == 376 and record["reference"]["num_real"] == 180


def test_what_is_lost_is_named(record: dict) -> None:
    changes = [{(c["kind"], c["name"]) for c in g["changes"]} for g in record["generations"]]
    assert ("mean", "saturation") in changes[2] and ("class", "crossed") in changes[3]
    assert changes[0] == changes[1] == set()
    assert not any(kind == "class" for kind, _ in changes[2])


def test_the_page_shows_pictures_of_every_generation(record: dict, stream: Path) -> None:
    gallery = record["gallery"]
    assert [e["name"] for e in gallery] == ["real data", "quiet", "plain", "bleached", "lost"]
    assert {e["kind"] for e in gallery} == {"image"} and all(len(e["items"]) == 20 for e in gallery)
    assert gallery[1]["items"][0]["label"] in CLASSES and gallery[2]["items"][0]["label"] == ""
    page = (stream / "run" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 100


def test_a_generation_added_to_the_state_is_measured_as_in_one_command(
    stream: Path, record: dict, tmp_path: Path
) -> None:
    state = tmp_path / "s"
    first = synthsift("drift", "--real", stream / "real", stream / "quiet", "--state", state, "--quiet")
    assert first.code == 0, first.err
    added = synthsift("drift", "--state", state, stream / "plain", "--fresh-fraction", "0.5", "--json")
    assert added.code == 0, added.err
    assert json.loads(added.out)["generations"] == record["generations"][:2]
    again = synthsift("drift", "--state", state, stream / "plain", "--fresh-fraction", "0.5")
    assert again.code == 2 and "same rows as generation plain" in again.err
    for flag in (("--pixels", "64"), ("--encoder", "timm:x")):
        ended = synthsift("drift", "--state", state, stream / "lost", "--fresh-fraction", "0.5", *flag)
        assert ended.code == 2 and "was fixed when the stream began" in ended.err


def test_odd_folders_are_watched_and_what_is_left_out_is_told(stream: Path, tmp_path: Path) -> None:
    odd = write_folder(tmp_path / "odd", 55, 7)
    here = odd / "lying"
    (here / "zero.png").write_bytes(b"")
    (here / "cut.png").write_bytes(next(here.glob("0*.png")).read_bytes()[:200])
    (odd / "empty").mkdir()
    (odd / "sheet.png").write_bytes(next(here.glob("0*.png")).read_bytes())
    os.symlink(odd, here / "loop")
    other = write_folder(tmp_path / "other", 55, 8)
    for name in CLASSES:
        (other / name).rename(other / f"made-{name}")
    words = ("--real", stream / "real", odd, other, "--fresh-fraction", "0.5", "--json")
    ended = synthsift("drift", *words)
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    codes = {f["code"]: f["seen"] for f in found["findings"]}
    assert {"SS121", "SS122", "SS123", "SS124"} <= set(codes) and "2 of 112 images" in codes["SS121"]
    assert found["generations"][0]["num_rows"] == 55 and "sheet.png" in codes["SS123"]
    assert "No folder in" in ended.err and "classes are not compared" in ended.err
    assert not any(c["kind"] == "class" for c in found["generations"][1]["changes"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--real", "real", "hollow"), ["hollow", "holds no image", "one folder"]),
        (("--real", "hollow", "quiet"), ["hollow", "holds no image"]),
        (("--real", "real", "missing"), ["missing", "does not exist"]),
        (("--real", "real", "rows.npy"), ["rows.npy", "is a file", "folder of images is needed"]),
        (("--real", "rows.npy", "quiet"), ["quiet", "is a folder", "give all in one kind"]),
        (("--real", "real", "mixed"), ["mixed", "2 images directly and 1 in folders below"]),
        (("--real", "real", "broken"), ["60 of 60 images of broken", "cannot be decoded"]),
        (("--real", "real", "few"), ["few has 20 rows", "at least 50"]),
        (("--real", "few", "quiet"), ["20 rows", "75"]),
        (("--real", "same", "quiet"), ["all the same"]),
        (("--real", "real", "real"), ["all the real rows"]),
        (("--real", "real", "quiet", "quiet", "--fresh-fraction", "0.5"), ["same rows"]),
        (("--real", "real", "quiet", "--label", "y"), ["--label y", "folder of images"]),
        (("--real", "real", "quiet", "--text", "y"), ["--text y", "folder of images"]),
        (("--real", "real", "quiet", "--pixels", "33"), ["--pixels is 33", "32 or 64"]),
        (("--real", "rows.npy", "rows.npy", "--pixels", "32"), ["--pixels 32", "no folder of images"]),
        (("--real", "real", "quiet", "--encoder", "resnet"), ["unknown encoder"]),
    ],
)
def test_bad_folders_are_told_and_nothing_is_written(
    stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("real", "quiet"):
        os.symlink(stream / name, name)
    Path("hollow/below").mkdir(parents=True)
    np.save("rows.npy", np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32))
    picture = next((stream / "quiet" / "lying").iterdir()).read_bytes()
    for folder, count, content in (("broken", 60, b"x"), ("few", 20, picture), ("same", 90, picture)):
        Path(folder).mkdir()
        for k in range(count):
            Path(folder, f"{k}.png").write_bytes(content)
    Path("mixed/cat").mkdir(parents=True)
    for file in ("mixed/a.png", "mixed/b.png", "mixed/cat/c.png"):
        Path(file).write_bytes(picture)
    before = snapshot(tmp_path)
    ended = synthsift("drift", *arguments, "--out", "run", "--state", "new")
    assert ended.code == 2, (ended.out, ended.err)
    assert all(word in ended.err for word in words), ended.err
    assert "Traceback" not in ended.err and snapshot(tmp_path) == before
