"""Folders with one folder of images a class: what is read, how it is named, and what is passed over."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_files import refuses, write_npz
from small_images import CLASSES, write_folder

from synthsift.check.copies import test_copies as copies_of_test_rows
from synthsift.data.folders import is_image_folder, list_images, list_sample
from synthsift.data.load import DataSpec, data_hash, load
from synthsift.records import Images, Loaded, plain_finding


def two_folders(folder: Path, **flags: object) -> DataSpec:
    real, made = write_folder(folder / "real", 20, 1), write_folder(folder / "made", 30, 2)
    return DataSpec(**{"real": (str(real),), "synthetic": (str(made),), **flags})  # type: ignore[arg-type]


def codes(loaded: Loaded) -> list[str]:
    return [finding.code for finding in loaded.findings]


def test_images_are_named_by_their_paths_and_labelled_by_their_folders(tmp_path: Path) -> None:
    spec = replace(
        two_folders(tmp_path),
        valid=str(write_folder(tmp_path / "more", 6, 3)),
        test=str(write_folder(tmp_path / "held", 8, 4)),
    )
    loaded = load(spec)
    real, synth, test = loaded.mixture.real, loaded.mixture.synth, loaded.test
    assert loaded.mixture.classes == CLASSES and loaded.findings == ()
    assert test is not None and (len(real), len(synth), len(loaded.mixture.valid), len(test)) == (20, 30, 6, 8)
    assert real.ids[0] == "real:lying/000.png" and synth.ids[-1] == "made:standing/029.png"
    assert loaded.mixture.valid.ids[0] == "valid:lying/000.png"
    assert real.file is not None and real.file[0] == f"{tmp_path}/real/lying/000.png"
    assert real.row is not None and (real.row == 0).all()
    assert [Path(file).parent.name for file in real.file] == [CLASSES[code] for code in real.y]
    assert isinstance(real.x, Images) and real.x.shape == (20, 32, 32, 3)
    assert real.x.store is synth.x.store, "all parts share one store"


def test_pixels_and_limits(tmp_path: Path) -> None:
    spec = replace(two_folders(tmp_path), pixels=64, max_real=12, max_rows_per_source=9)
    small, large = load(spec), load(replace(spec, max_real=15))
    assert small.mixture.real.x.shape == (12, 64, 64, 3) and len(small.mixture.synth) == 9
    assert len(small.mixture.real.x.store) == 21, "images that were not drawn are not decoded"
    assert set(small.mixture.real.ids) < set(large.mixture.real.ids)


def test_sources_are_folders_globs_and_names(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    write_folder(tmp_path / "gen" / "one.v2", 6, 5), write_folder(tmp_path / "gen" / "two", 4, 6)
    (tmp_path / "gen" / "notes.txt").write_text("beside")
    several = replace(spec, synthetic=(f"{tmp_path}/gen/*o*", f"mine={tmp_path}/made"))
    refuses(several, r"notes\.txt has \.txt, which names no known format")
    loaded = load(replace(spec, synthetic=(f"{tmp_path}/gen/[ot]*", f"mine={tmp_path}/made")))
    assert Counter(loaded.mixture.synth.source.tolist()) == {"one.v2": 6, "two": 4, "mine": 30}


def test_two_real_folders_may_use_the_same_names(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    other = write_folder(tmp_path / "other", 10, 7)
    loaded = load(replace(spec, real=(*spec.real, str(other))))
    assert len(loaded.mixture.real) == 30 and loaded.mixture.real.ids[-1] == f"real:{other}/standing/009.png"


def test_numbers_as_folder_names_are_numbers(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    for part in ("real", "made"):
        (tmp_path / part / "lying").rename(tmp_path / part / "01")
        (tmp_path / part / "standing").rename(tmp_path / part / "7")
    assert load(spec).mixture.classes == (1, 7)


def test_images_in_subfolders_belong_to_the_class(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    deep = tmp_path / "real" / "lying" / "a" / "b"
    deep.mkdir(parents=True)
    shutil.copy(tmp_path / "real" / "standing" / "001.png", deep / "UPPER.PNG")
    loaded = load(spec)
    place = loaded.mixture.real.ids.tolist().index("real:lying/a/b/UPPER.PNG")
    assert loaded.mixture.real.y[place] == 0


def test_what_is_no_image_is_passed_over_and_said(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    root = tmp_path / "real"
    (root / "lying" / "Thumbs.db").write_bytes(b"x")
    (root / "lying" / ".DS_Store").write_bytes(b"x")  # hidden: nobody put it there on purpose
    (root / ".cache" / "a").mkdir(parents=True)
    shutil.copy(root / "lying" / "000.png", root / ".cache" / "a" / "0.png")
    shutil.copy(root / "lying" / "000.png", root / "loose.png")
    (root / "sitting").mkdir()
    loaded = load(spec)
    assert codes(loaded) == ["SS122", "SS123"] and len(loaded.mixture.real) == 20
    empty, strays = loaded.findings
    assert "sitting" in empty.seen and "2 files" in strays.seen and "loose.png" in strays.seen


def test_links_are_followed_once(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    elsewhere = write_folder(tmp_path / "elsewhere", 4, 9)
    root = tmp_path / "real"
    os.symlink(elsewhere / "lying", root / "lying" / "more")  # a folder from elsewhere: read
    os.symlink(root / "standing", root / "again")  # before its target in the alphabet, and yet the target is read
    os.symlink(root, root / "lying" / "back")
    os.symlink(root / "nowhere", root / "lying" / "gone")
    loaded = load(spec)
    assert codes(loaded) == ["SS124"] and len(loaded.mixture.real) == 22
    assert loaded.mixture.classes == CLASSES
    assert all(name in loaded.findings[0].seen for name in ("again", "lying/back", "lying/gone"))


def test_links_to_themselves_are_not_followed(tmp_path: Path) -> None:
    """As a class folder, as a folder inside one, and as an image."""
    spec = two_folders(tmp_path)
    for name in ("all", "lying/loop", "lying/loop.png"):
        os.symlink(Path(name).name, tmp_path / "real" / name)
    loaded = load(spec)
    assert codes(loaded) == ["SS124"] and len(loaded.mixture.real) == 20
    assert all(name in loaded.findings[0].seen for name in ("real/all", "lying/loop", "lying/loop.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_are_never_opened(tmp_path: Path) -> None:
    """Opening one would wait forever; by a link to it as well."""
    spec = two_folders(tmp_path)
    os.mkfifo(tmp_path / "real" / "lying" / "pipe.png")
    os.symlink("pipe.png", tmp_path / "real" / "lying" / "link.png")
    loaded = load(spec)
    assert codes(loaded) == ["SS123"] and len(loaded.mixture.real) == 20
    assert "pipe.png" in loaded.findings[0].seen and "link.png" in loaded.findings[0].seen
    shutil.copytree(tmp_path / "made" / "lying", tmp_path / "plain")
    os.mkfifo(tmp_path / "plain" / "pipe.png")
    listed = list_sample(tmp_path / "plain")
    assert "pipe.png" in listed.strays and "pipe.png" not in listed.names and listed.names


def test_every_damaged_file_is_listed(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    lost = [tmp_path / "made" / "lying" / f"lost{k}.png" for k in range(7)]
    for file in lost:
        file.write_bytes(b"no picture")
    (finding,) = load(spec).findings
    assert "and 4 more" in finding.seen and list(plain_finding(finding)["files"]) == [str(file) for file in lost]
    assert all(finding.files.values())


def test_class_folders_01_and_1_are_two_classes(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    for root in (tmp_path / "real", tmp_path / "made"):
        for old, new in zip(CLASSES, ("01", "1"), strict=True):
            (root / old).rename(root / new)
    mixture = load(spec).mixture
    assert mixture.classes == ("01", "1") and np.bincount(mixture.real.y).tolist() == [10, 10]
    (tmp_path / "real" / "01").rename(tmp_path / "real" / "2")
    (tmp_path / "made" / "01").rename(tmp_path / "made" / "02")  # 02 and 2 do not stand beside each other
    assert load(spec).mixture.classes == (1, 2)


def test_undecodable_images_are_left_out_and_named(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    (tmp_path / "real" / "lying" / "002.png").write_bytes(b"")
    (tmp_path / "made" / "lying" / "zzz.jpg").write_bytes(b"no picture")
    os.symlink(tmp_path / "nowhere", tmp_path / "made" / "standing" / "broken.png")
    loaded = load(spec)
    assert codes(loaded) == ["SS121"] and (len(loaded.mixture.real), len(loaded.mixture.synth)) == (19, 30)
    assert "real:lying/002.png" not in loaded.mixture.ids
    assert loaded.findings[0].seen.startswith("3 of 52 images, ")
    assert {Path(file).name: reason for file, reason in loaded.findings[0].files.items()} == {
        "002.png": "an empty file",
        "zzz.jpg": "no picture that can be read",
        "broken.png": "a link to nothing",
    }
    for part in loaded.mixture.parts[::2]:  # what is left out shifts nothing
        assert part.file is not None
        rows = [int(Path(file).stem) for file in part.file]
        want = np.asarray(load(two_folders(tmp_path / "again")).mixture.real.x) if part.source[0] == "real" else None
        if want is not None:
            keep = np.array([k for k in range(20) if k != 1])  # the second of the sorted names is 002
            assert np.array_equal(np.asarray(part.x), want[keep]) and rows[1] == 4


@pytest.mark.parametrize(("bits", "brightest"), [(8, 0), (10, 3), (12, 15), (14, 63), (15, 127), (16, 255)])
def test_files_of_16_bits_that_use_few_of_them_are_told(tmp_path: Path, bits: int, brightest: int) -> None:
    spec = two_folders(tmp_path)
    for file in sorted((tmp_path / "made").glob("*/*")):
        level = np.asarray(Image.open(file).convert("L")).astype(np.int64)
        level[:, : level.shape[1] // 2] = 255  # wide enough to outlive the resizing
        Image.fromarray((level * (2**bits - 1) // 255).astype(np.uint16)).save(file.with_suffix(".png"))
    loaded = load(spec)
    assert codes(loaded) == (["SS125"] if brightest < 64 else [])
    if loaded.findings:
        assert loaded.findings[0].seen == f"Brightest pixel of all pictures, of 255: made {brightest}."


def test_a_name_that_is_not_utf_8_is_left_out_with_its_reason(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    try:
        (tmp_path / "real" / "lying" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system stores no name that is not UTF-8")
    loaded = load(spec)
    assert codes(loaded) == ["SS121"] and len(loaded.mixture.real) == 20
    assert "UTF-8" in loaded.findings[0].seen
    loaded.findings[0].seen.encode()
    assert len(data_hash(spec)) == 64


def test_copies_of_test_images_are_found(tmp_path: Path) -> None:
    spec = replace(two_folders(tmp_path), test=str(write_folder(tmp_path / "held", 8, 4)))
    assert copies_of_test_rows(load(spec)) is None
    shutil.copy(tmp_path / "held" / "lying" / "000.png", tmp_path / "made" / "lying" / "copy.png")
    found = copies_of_test_rows(load(spec))
    assert found is not None and "1 synthetic rows (such as made:lying/copy.png)" in found.seen


def test_the_hash_follows_every_byte_and_name(tmp_path: Path) -> None:
    spec = two_folders(tmp_path)
    hashes = [data_hash(spec), data_hash(spec), data_hash(replace(spec, pixels=64))]
    picture = tmp_path / "real" / "lying" / "000.png"
    picture.rename(picture.with_name("new.png"))
    hashes.append(data_hash(spec))
    picture.with_name("new.png").write_bytes(b"other")
    hashes.append(data_hash(spec))
    os.symlink(tmp_path / "nowhere", picture)
    hashes.append(data_hash(spec))
    assert hashes[0] == hashes[1] and len(set(hashes)) == 5


BAD: dict[str, tuple[Callable[[Path], DataSpec], str]] = {
    "more than half is lost": (
        lambda f: _spoil(two_folders(f), f / "made", 16), r"16 of 30 images of .*made.*cannot be decoded.*\.png: .*half"
    ),
    "images without class folders": (
        lambda f: replace(two_folders(f), real=(str(f / "real" / "lying"),)),
        "is a folder where one data file.*one folder a class"
    ),
    "synthetic images without class folders": (
        lambda f: replace(two_folders(f), synthetic=(str(f / "made" / "lying"),)),
        "without data files.*one folder a class"
    ),
    "one class": (lambda f: _only_lying(two_folders(f), f), "same label"),
    "images and tables": (
        lambda f: replace(two_folders(f), synthetic=(write_npz(f / "x.npz"),)), "holds images but .*x.npz holds arrays"
    ),
    "tables beside the class folders": (
        lambda f: (two_folders(f), (f / "made" / "labels.csv").write_text("a,b\n1,2\n"))[0],
        "class folders of images and data files .labels.csv",
    ),
    "text": (lambda f: two_folders(f, text="caption"), "--text caption names a column, but .*is a folder of images"),
    "group": (lambda f: two_folders(f, group="sign"), "--group sign names a column"),
    "other pixels": (lambda f: two_folders(f, pixels=48), "--pixels is 48; images are scaled to 32 or 64"),
    "vectors row by row": (
        lambda f: two_folders(f, embeddings=(f"{f}/real={write_npz(f / 'v.npz')}",)), "images have no row numbers"
    ),
    "the same folder twice": (lambda f: two_folders(f, synthetic=(f"x={f}/real",)), "given twice"),
    "sources for classes": (
        lambda f: replace(two_folders(f), synthetic=(str(_inside(f / "made", f / "all" / "clean")),)),
        "real labels are lying, standing, synthetic ones clean. The folders in .*/all look like sources, not like "
        r"classes: in them are folders called lying, standing. Give each as a source: --synthetic '.*/all/\*'.$",
    ),
    "no common class": (lambda f: _renamed(two_folders(f), f / "made"), "no synthetic row has a label"),
}  # fmt: skip


def _spoil(spec: DataSpec, root: Path, count: int) -> DataSpec:
    for file in sorted(root.rglob("*.png"))[:count]:
        file.write_bytes(file.read_bytes()[:40])
    return spec


def _inside(old: Path, new: Path) -> Path:
    """Move a folder; returns the one that it is in now."""
    new.parent.mkdir()
    old.rename(new)
    return new.parent


def _only_lying(spec: DataSpec, folder: Path) -> DataSpec:
    shutil.rmtree(folder / "real" / "standing")
    return spec


def _renamed(spec: DataSpec, root: Path) -> DataSpec:
    for label in CLASSES:
        (root / label).rename(root / f"a {label} one")
    return spec


@pytest.mark.parametrize("name", BAD)
def test_folders_that_cannot_be_used_are_refused(name: str, tmp_path: Path) -> None:
    build, pattern = BAD[name]
    refuses(build(tmp_path), pattern)


def test_listing_is_sorted_and_knows_its_folder(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "real", 4, 1)
    found = list_images(root)
    assert found.names == ("lying/000.png", "lying/002.png", "standing/001.png", "standing/003.png")
    assert found.paths[0] == f"{root}/lying/000.png" and not is_image_folder(root / "lying")
    assert is_image_folder(root) and not is_image_folder(root / "lying" / "000.png")
