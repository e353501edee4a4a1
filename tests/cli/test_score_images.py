"""New folders of images weighed from what a run of images left behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cli_data import columns_of, draw, write
from cli_runner import Ended, synthsift
from PIL import Image

from synthsift.data import images
from synthsift.data.folders import list_images
from synthsift.represent import pretrained

pytestmark = pytest.mark.usefixtures("no_pictures")
CLASSES = ("lying", "standing")
QUICK = ("--seeds", "1", "--policies", "LearnedWeights")


def write_folder(root: Path, count: int, seed: int, *, wrong: float = 0.0, classes: tuple[str, str] = CLASSES) -> Path:
    """PNG files of a lying or a standing bar on noise, in one folder a class; a share lies in the wrong one."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        picture = rng.normal(60, 15, (40, 40))
        start = rng.integers(2, 34)
        (picture.T if number % 2 else picture)[start : start + 4] += 120
        shown = 1 - number % 2 if rng.random() < wrong else number % 2
        place = root / classes[shown] / f"{number:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(place)
    return root


def score(folder: Path, out: Path, *entries: object, run: str = "run", more: tuple[object, ...] = ()) -> Ended:
    words: list[object] = ["score", "--run", folder / run, "--out", out, *more]
    for entry in entries:
        words += ["--synthetic", entry]
    return synthsift(*words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> Path:
    """A finished run on folders of images, one damaged file among them; the tests below leave it as it is."""
    folder = tmp_path_factory.mktemp("score_images")
    write_folder(folder / "real", 60, 1)
    write_folder(folder / "made", 50, 2, wrong=0.4)
    (folder / "made" / "lying" / "cut.png").write_bytes((folder / "made" / "lying" / "000.png").read_bytes()[:200])
    words = ["run", "--real", folder / "real", "--synthetic", f"gen={folder / 'made'}", "--out", folder / "run", *QUICK]
    ended = synthsift(*words)
    assert ended.code == 0, ended.err
    return folder


def test_training_pictures_get_the_weights_of_the_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = columns_of(folder / "run" / "weights.parquet")
    right = {name: w for name, w in zip(run["id"], run["learned_weight"], strict=True) if name.startswith("gen:")}
    names = list_images(folder / "made").names
    for size in (7, 512):  # pieces do not matter
        monkeypatch.setattr(images, "PIECE", size)
        ended = score(folder, tmp_path / f"{size}.parquet", f"gen={folder / 'made'}")
        assert ended.code == 0 and "50 rows" in ended.out, ended.err
        assert "SS121 warning" in ended.err and "1 of 51 images" in ended.err and "cut.png" in ended.err
        found = columns_of(tmp_path / f"{size}.parquet")
        assert list(found) == ["id", "source", "row", "learned_weight"]
        assert found["id"] == list(right) and set(found["source"]) == {"gen"}
        assert [f"gen:{names[row]}" for row in found["row"]] == found["id"], "the place among all images of the folder"
        np.testing.assert_allclose(found["learned_weight"], list(right.values()), rtol=1e-5)
    assert score(folder, tmp_path / "q.parquet", folder / "made", more=("--quiet",)).err == ""


def test_encoded_pictures_and_features_are_those_of_the_run_bit_for_bit(folder: Path) -> None:
    """Known rows are looked up by a hash of their encoded content, and described by their held-out probe."""
    from synthsift.cli.model import load_model, part_of, restored_encoder
    from synthsift.data.files import read_folder
    from synthsift.represent.table import NAMES, RowDescriber

    arrays, settings = load_model(folder / "run" / "model")
    describe, encoder = RowDescriber.restore(part_of(arrays, "features")), restored_encoder(arrays, settings)
    raw, lost = read_folder(folder / "made", "y"), dict[str, str]()
    ((places, pictures),) = images.decode_pieces(raw, "gen", 32, lost)
    assert raw.folder is not None and len(lost) == 1
    x, y = encoder.transform(pictures), np.array([CLASSES.index(raw.folder.labels[k]) for k in places])
    alone = np.concatenate([encoder.transform(pictures[k : k + 1]) for k in range(len(pictures))])
    assert np.array_equal(x, alone)
    kept = columns_of(folder / "run" / "features.parquet")
    stored = np.column_stack([kept[name][-len(y) :] for name in NAMES])
    assert [name.partition(":")[2] for name in kept["id"][-len(y) :]] == [raw.folder.names[k] for k in places]
    assert np.array_equal(describe(x, y), stored)


def test_new_pictures_and_an_unknown_source(folder: Path, tmp_path: Path) -> None:
    right, wrong = write_folder(tmp_path / "right", 60, 5), write_folder(tmp_path / "wrong", 60, 6, wrong=1.0)
    (right / "sitting").mkdir()
    ended = score(folder, tmp_path / "w.parquet", right, f"gen={wrong}")
    assert ended.code == 0 and "right is no source of the run (gen)" in ended.err, ended.err
    assert "SS122 warning" in ended.err and "sitting" in ended.err
    weight = np.array(columns_of(tmp_path / "w.parquet")["learned_weight"])
    assert np.isfinite(weight).all() and (weight > 0).all()
    assert weight[:60].mean() > 1.2 * weight[60:].mean(), "right labels weigh more than wrong ones"


def test_memory_does_not_grow_with_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than one piece of pixels is held."""
    from synthsift.data.files import read_folder

    monkeypatch.setattr(images, "PIECE", 8)
    pieces = list(images.decode_pieces(read_folder(folder / "made", "y"), "gen", 32, {}))
    assert max(len(pictures.store) for _, pictures in pieces) == 8 and sum(len(at) for at, _ in pieces) == 50


# ------------------------------------------------------------------------------------------------------- refused


def nothing(tmp_path: Path) -> Path:
    (tmp_path / "new" / "lying").mkdir(parents=True)
    return tmp_path / "new"


def strange_class(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "new", 6, 1, classes=("lying", "sitting"))


def a_table(tmp_path: Path) -> Path:
    return Path(write(tmp_path / "new.csv", draw(20, 3)))


def arrays_file(tmp_path: Path) -> Path:
    np.savez(tmp_path / "new.npz", x=np.zeros((4, 3)), y=np.zeros(4, int))
    return tmp_path / "new.npz"


def one_class_folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "new", 6, 1) / "lying"


def mostly_cut(tmp_path: Path) -> Path:
    for number, file in enumerate(sorted(write_folder(tmp_path / "new", 9, 1).rglob("*.png"))):
        if number < 5:
            file.write_bytes(file.read_bytes()[:100])
    return tmp_path / "new"


def mixed(tmp_path: Path) -> Path:
    write(write_folder(tmp_path / "new", 6, 1) / "new.csv", draw(20, 3))
    return tmp_path / "new"


BAD: dict[str, tuple[Callable[[Path], Path], tuple[str, ...], str]] = {
    "an empty folder": (nothing, (), "is a folder without data files"),
    "a class that the run did not know": (
        strange_class, (), "has a class folder 'sitting', which is no class of the run: lying, standing"
    ),
    "a table": (a_table, (), "is no folder of images, but the run learned from images; give a folder with one"),
    "arrays": (arrays_file, (), "is no folder of images, but the run learned from images"),
    "pictures without class folders": (one_class_folder, (), "is a folder without data files"),
    "mostly truncated pictures": (mostly_cut, (), "5 of 9 images of"),
    "pictures beside a table": (mixed, (), "not clear which of them are meant"),
    "a column of texts": (lambda f: write_folder(f / "new", 4, 1), ("--text", "a"), "--text a names a column"),
    "a column of sources": (
        lambda f: write_folder(f / "new", 4, 1), ("--source-column", "a"), "--source-column a names a column"
    ),
    "own vectors": (
        lambda f: write_folder(f / "new", 4, 1), ("--embeddings", "a.npy"), "encoded its rows itself; leave"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_folders_are_told_and_nothing_is_written(folder: Path, tmp_path: Path, name: str) -> None:
    make, more, words = BAD[name]
    ended = score(folder, tmp_path / "w.parquet", make(tmp_path), more=more)
    assert ended.code == 2 and words in ended.err and "Traceback" not in ended.err, ended.err
    assert not list(tmp_path.glob("*.parquet*")) and not list(tmp_path.glob(".*"))


def test_numbered_classes_and_a_run_of_tables(tmp_path: Path) -> None:
    """Class folders 0 and 1 are the numbers 0 and 1; a run of tables refuses a folder."""
    write(tmp_path / "real.csv", draw(60, 1, labels=(0, 1)))
    made = write(tmp_path / "made.csv", draw(40, 2, labels=(0, 1)))
    words = ["run", "--real", tmp_path / "real.csv", "--synthetic", made, "--label", "label", "--out", tmp_path / "run"]
    assert synthsift(*words, *QUICK).code == 0
    new = write_folder(tmp_path / "new", 6, 1, classes=("0", "1"))
    ended = score(tmp_path, tmp_path / "w.parquet", new)
    assert ended.code == 2 and "is a folder of images, but the run learned from tables" in ended.err, ended.err


# ---------------------------------------------------------------------------------------------- other encoders


def test_own_vectors_go_by_id(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {"real": "real", "gen": "made"}
    for seed, place in enumerate(names.values()):
        write_folder(tmp_path / place, 40, seed, classes=("0", "1"))
    rng, ids, rows = np.random.default_rng(0), list[str](), list[list[float]]()
    for prefix, place in names.items():
        for file in sorted((tmp_path / place).rglob("*.png")):
            ids.append(f"{prefix}:{file.relative_to(tmp_path / place).as_posix()}")
            rows.append((rng.normal(size=4) + 2.0 * int(file.parent.name)).tolist())
    pq.write_table(pa.table({"id": ids, "vector": rows}), tmp_path / "v.parquet")
    data = ["--synthetic", f"gen={tmp_path / 'made'}", "--embeddings", tmp_path / "v.parquet"]
    words = ["run", "--real", tmp_path / "real", *data, "--out", tmp_path / "run", *QUICK]
    assert synthsift(*words).code == 0
    ended = synthsift("score", "--run", tmp_path / "run", *data, "--out", tmp_path / "w.parquet")
    assert ended.code == 0, ended.err
    run, found = columns_of(tmp_path / "run" / "weights.parquet"), columns_of(tmp_path / "w.parquet")
    np.testing.assert_allclose(found["learned_weight"], run["learned_weight"][40:], rtol=1e-5)
    assert found["id"] == run["id"][40:]
    other = score(tmp_path, tmp_path / "v2.parquet", f"new={tmp_path / 'made'}", more=data[2:])
    assert other.code == 2 and "have no embedding" in other.err
    strange = write_folder(tmp_path / "s", 4, 1, classes=("1", "cat"))
    ended = score(tmp_path, tmp_path / "s.parquet", f"gen={strange}", more=data[2:])
    assert ended.code == 2 and "'cat' among its class folders" in ended.err, ended.err


def test_a_pretrained_network_sees_the_files_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    class Coarse(torch.nn.Module):
        """Means of patches, and whether rows or columns differ, which tells a lying bar from a standing one."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.shape[1:] == (3, 48, 48)
            grey = x.mean(dim=1)
            spread = torch.stack([grey.mean(dim=2).std(dim=1), grey.mean(dim=1).std(dim=1)], dim=1)
            return torch.cat([torch.nn.functional.avg_pool2d(grey[:, None], 8).flatten(1), 10 * spread], dim=1)

    config: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "input_size": (3, 48, 48)}
    module = ModuleType("timm")
    module.__dict__.update(
        create_model=lambda name, pretrained, num_classes: Coarse(),
        data=SimpleNamespace(resolve_model_data_config=lambda net: config),
    )
    monkeypatch.setitem(sys.modules, "timm", module)
    pretrained._load.cache_clear()
    real, made = write_folder(tmp_path / "real", 40, 1), write_folder(tmp_path / "made", 40, 2, wrong=0.3)
    words = ["run", "--real", real, "--synthetic", made, "--encoder", "timm:a", "--out", tmp_path / "run", *QUICK]
    try:
        assert synthsift(*words).code == 0
        ended = score(tmp_path, tmp_path / "w.parquet", made)
    finally:
        pretrained._load.cache_clear()
    assert ended.code == 0 and ended.err == "", ended.err
    run, found = columns_of(tmp_path / "run" / "weights.parquet"), columns_of(tmp_path / "w.parquet")
    np.testing.assert_allclose(found["learned_weight"], run["learned_weight"][40:], rtol=1e-4)
