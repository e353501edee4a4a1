"""One picture in every mode and format comes out the same; what is hostile or damaged is refused with a reason."""

from __future__ import annotations

import errno
import os
import struct
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthsift.data import decoding, images
from synthsift.data.decoding import decode, to_color
from synthsift.records import DataError, Images, concat_x


def scene() -> np.ndarray:
    """A gray picture (48, 64) without two equal quarters: dark, middle, bright, and a slope."""
    picture = np.zeros((48, 64), np.uint8)
    picture[:24, 32:], picture[24:, :32] = 120, 250
    picture[24:, 32:] = np.arange(32) * 4
    return picture


GRAY = Image.fromarray(scene())
COLOR = Image.merge("RGB", (GRAY, GRAY, GRAY))
WANT = np.asarray(COLOR.resize((32, 32), Image.Resampling.BILINEAR)).astype(float)


def sixteen(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint16))


def with_alpha(mode: str) -> Image.Image:
    picture = COLOR.convert(mode) if mode != "PA" else COLOR.convert("P").convert("PA")
    picture.putalpha(255)
    return picture


# mode -> picture, file, largest error in gray levels (palettes of 8 colors a channel and JPEG lose some)
MODES: dict[str, tuple[Callable[[], Image.Image], str, float]] = {
    "L": (lambda: GRAY, "a.png", 0),
    "RGB": (lambda: COLOR, "a.png", 0),
    "P": (lambda: COLOR.convert("P"), "a.png", 30),
    "P with 4 colors": (lambda: COLOR.quantize(4), "a.gif", 60),
    "RGBA": (lambda: with_alpha("RGBA"), "a.png", 0),
    "LA": (lambda: with_alpha("LA"), "a.png", 0),
    "PA": (lambda: with_alpha("PA").convert("RGBA"), "a.tif", 30),
    "CMYK": (lambda: COLOR.convert("CMYK"), "a.tif", 2),
    "CMYK JPEG": (lambda: COLOR.convert("CMYK"), "a.jpg", 12),
    "YCbCr": (lambda: COLOR.convert("YCbCr"), "a.tif", 2),
    "LAB": (lambda: Image.merge("LAB", [GRAY, *[Image.new("L", GRAY.size, 128)] * 2]), "a.tif", 60),
    "16 bits": (lambda: sixteen(scene().astype(int) * 257), "a.png", 1),
    "16 bits, TIFF": (lambda: sixteen(scene().astype(int) * 257), "a.tif", 1),
    "32 bits": (lambda: Image.fromarray(scene().astype(np.int32)), "a.tif", 1),
    "32 bits, large": (lambda: Image.fromarray(scene().astype(np.int32) * 1_000_000), "a.tif", 5),
    "float 0-1": (lambda: Image.fromarray(scene().astype(np.float32) / 255), "a.tif", 1),
    "float 0-255": (lambda: Image.fromarray(scene().astype(np.float32)), "a.tif", 1),
    "WebP": (lambda: COLOR, "a.webp", 12),
    "JPEG": (lambda: COLOR, "a.jpg", 12),
    "BMP": (lambda: COLOR, "a.bmp", 0),
    "PPM": (lambda: COLOR, "a.ppm", 0),
    "huge JPEG": (lambda: COLOR.resize((4096, 3072), Image.Resampling.NEAREST), "a.jpg", 40),
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_gives_the_same_picture(name: str, tmp_path: Path) -> None:
    make, file, error = MODES[name]
    make().save(tmp_path / file)
    found = decode(str(tmp_path / file), 32)
    assert found.shape == (32, 32, 3) and found.dtype == np.uint8
    # one level for the order of rounding and scaling; edges of enlarged pictures lie a little differently
    gap = np.abs(found.astype(float) - WANT)
    assert gap.mean() <= error / 4 + 1 and np.quantile(gap, 0.9) <= error + 1


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 431)).astype(np.uint8))  # 431 is prime
CLEAR = Image.merge("RGBA", (NOISE, NOISE.rotate(180), NOISE, NOISE.rotate(180)))
LARGE: dict[str, tuple[Image.Image, str]] = {
    **{mode: (NOISE.convert(mode), "a.png") for mode in ("1", "L", "RGB")},
    **{mode: (CLEAR.convert(mode), "a.png") for mode in ("RGBA", "LA")},
    **{mode: (CLEAR.convert(mode), "a.tif") for mode in ("CMYK", "LAB", "I;16B", "I", "F")},
    "I;16": (NOISE.convert("I").point(lambda level: level * 257).convert("I;16"), "a.png"),
    "P": (CLEAR.convert("RGB").quantize(7), "a.png"),
    "P, clear": (CLEAR.quantize(7), "a.png"),
    "JPEG": (CLEAR.convert("RGB"), "a.jpg"),
}


@pytest.mark.parametrize("name", LARGE)
def test_bands_give_the_picture_of_all_rows_bit_for_bit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, file = LARGE[name]
    picture.save(tmp_path / file)
    for pixels in (16, 200):
        with Image.open(tmp_path / file) as image:
            image.draft(None, (2 * pixels, 2 * pixels))
            plain = to_color(image).resize((pixels, pixels), Image.Resampling.BILINEAR, reducing_gap=3.0)
        for band in (10_000, 1 << 20):
            monkeypatch.setattr(decoding, "BAND", band)
            np.testing.assert_array_equal(decode(str(tmp_path / file), pixels), np.asarray(plain))


def test_only_one_large_picture_is_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [str(tmp_path / f"{k}.png") for k in range(6)]
    for k, file in enumerate(files):
        Image.new("L", (40, 40) if k % 2 else (20, 20)).save(file)
    together, inside, most, shrunk = threading.Barrier(3, timeout=60), [0], [0], decoding._shrunk

    def spy(image: Image.Image, pixels: int) -> Image.Image:
        if image.width == 20:
            together.wait()  # nobody passes unless all three small ones are here
            return shrunk(image, pixels)
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.02)
        inside[0] -= 1
        return shrunk(image, pixels)

    monkeypatch.setattr(decoding, "_shrunk", spy)
    monkeypatch.setattr(decoding, "ALONE", 1000)
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda file: decode(file, 8), files))
    assert most == [1]


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    GRAY.convert("1", dither=Image.Dither.NONE).save(tmp_path / "a.png")
    found = decode(str(tmp_path / "a.png"), 32)
    assert found[4, 4].tolist() == [0, 0, 0] and found[28, 4].tolist() == [255, 255, 255]


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    clear = COLOR.convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "a.png")
    assert (decode(str(tmp_path / "a.png"), 32) == 255).all()
    GRAY.save(tmp_path / "b.png", transparency=120)  # one gray level of a picture without an alpha channel
    found = decode(str(tmp_path / "b.png"), 64)
    assert found[8, 48].tolist() == [255] * 3 and found[8, 8].tolist() == [0] * 3
    for mode in ("La", "RGBa"):
        half = with_alpha("LA" if mode == "La" else "RGBA")
        half.putalpha(128)
        assert np.asarray(to_color(half.convert(mode))).min() > 100


def test_the_first_picture_of_an_animation_is_taken(tmp_path: Path) -> None:
    for file in ("a.gif", "a.webp", "a.png", "a.tif"):
        more = {"lossless": True} if file.endswith("webp") else {}
        COLOR.save(tmp_path / file, save_all=True, append_images=[Image.new("RGB", COLOR.size, "red")], **more)
        assert np.abs(decode(str(tmp_path / file), 32) - WANT).mean() < 5, file


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_is_turned_as_its_camera_says(turn: int, tmp_path: Path) -> None:
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation -> the transposition that undoes it
    stored = COLOR if turn == 1 else COLOR.transpose(Image.Transpose(back[turn]))
    exif = Image.Exif()
    exif[0x0112] = turn
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.abs(decode(str(tmp_path / "a.png"), 32) - WANT).mean() < 1


def test_damaged_metadata_do_not_cost_the_picture(tmp_path: Path) -> None:
    COLOR.save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\xff\xff garbage")
    store = np.zeros((1, 32, 32, 3), np.uint8)
    assert images._decode_all([str(tmp_path / "a.jpg")], store) == [""]
    assert np.abs(store[0] - WANT).mean() < 4


def png_header(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def cut(folder: Path, name: str) -> bytes:
    COLOR.save(folder / name)
    whole = (folder / name).read_bytes()
    return whole[: len(whole) // 2]


HOSTILE: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "zero bytes": ("a.png", lambda f: b"", "an empty file"),
    "text": ("a.jpg", lambda f: b"hello", "no picture that can be read"),
    "cut off PNG": ("a.png", lambda f: cut(f, "b.png"), "truncated|broken"),
    "cut off JPEG": ("a.jpg", lambda f: cut(f, "b.jpg"), "truncated|Truncated"),
    "cut off BMP": ("a.bmp", lambda f: cut(f, "b.bmp"), "truncated|broken"),
    "bomb": ("a.png", lambda f: png_header(20_000, 20_000), "more pixels than the 100,000,000 that"),
    "larger bomb": ("a.png", lambda f: png_header(2**30, 2**30), "more pixels than the 100,000,000 that"),
    "just too large": ("a.png", lambda f: png_header(10_001, 10_000), "10,001 x 10,000 pixels are more than the"),
    "PostScript behind a PNG ending": (
        "a.png", lambda f: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "no picture that can be read"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_damaged_files_are_refused_with_a_reason(name: str, tmp_path: Path) -> None:
    file, content, reason = HOSTILE[name]
    (tmp_path / file).write_bytes(content(tmp_path))
    store = np.zeros((1, 32, 32, 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing of Pillow's own warnings comes through
        (found,) = images._decode_all([str(tmp_path / file)], store)
    assert any(word in found for word in reason.split("|")), found


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    values = scene().astype(np.float32)
    values[3, 3] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="NaN or infinity"):
        decode(str(tmp_path / "a.tif"), 32)


def test_a_large_store_is_mapped_and_holds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for k in range(150):  # more than two blocks
        Image.new("L", (8, 8), k).save(tmp_path / f"{k}.png")
        files.append(str(tmp_path / f"{k}.png"))
    monkeypatch.setattr(images, "MAX_MEMORY", 1000)
    store = images._new_store(150, 32)
    assert isinstance(store, np.memmap) and images._decode_all(files, store) == [""] * 150
    assert store[:, 0, 0, 0].tolist() == list(range(150))


def test_a_disk_without_room_for_the_store_is_told_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first picture that finds no room would end the process (SIGBUS)."""

    def fail(number: int) -> Callable[..., None]:
        def allocate(file: int, start: int, size: int) -> None:
            raise OSError(number, os.strerror(number))

        return allocate

    monkeypatch.setattr(images, "MAX_MEMORY", 1000)
    monkeypatch.setattr(os, "posix_fallocate", fail(errno.ENOSPC), raising=False)
    with pytest.raises(DataError, match=r"The disk is full: decoded pictures need 460,800 bytes in .* TMPDIR"):
        images._new_store(150, 32)
    monkeypatch.setattr(os, "posix_fallocate", fail(errno.EOPNOTSUPP))
    assert (images._new_store(150, 32) == 0).all()
    monkeypatch.undo()
    monkeypatch.setattr(images, "MAX_MEMORY", 1000)
    store = images._new_store(150, 32)
    assert isinstance(store, np.memmap) and (store == 0).all()


def test_pictures_share_their_store_until_they_must_not() -> None:
    store = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 3), np.uint8)
    whole = Images(store, np.arange(4))
    part = whole[np.array([True, False, True, True])][1:]
    assert (len(part), part.shape, part.dtype, part.pixels) == (2, (2, 16, 16, 3), np.uint8, 16)
    assert part.store is store and np.asarray(part)[:, 0, 0, 0].tolist() == [2, 3]
    joined = concat_x([part, whole[:1]])
    assert joined.store is store and np.asarray(joined)[:, 0, 0, 0].tolist() == [2, 3, 0]
    other = concat_x([part, Images(store + 10, np.array([1]))])
    assert np.asarray(other)[:, 0, 0, 0].tolist() == [2, 3, 11]
    with pytest.raises(DataError, match=r"\[16, 32\] pixels"):
        concat_x([part, Images(np.zeros((1, 32, 32, 3), np.uint8), np.array([0]))])
    with pytest.raises(DataError, match="different kinds"):
        concat_x([part, np.zeros((2, 3))])
    with pytest.raises(DataError, match="must be uint8"):
        Images(np.zeros((1, 32, 32, 3)), np.array([0]))
