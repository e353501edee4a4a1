"""One image of any size, mode and format into a small color picture, in little more memory than its own pixels.

Large images are brought to color a band of rows at a time, and each band is averaged over whole cells of pixels before
the next one: the same picture, bit for bit, that Pillow makes of all rows at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from synthsift.data.folders import image_formats

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000  # of one image; a file of some kilobytes can claim billions (a decompression bomb)
MAX_THREADS = 8  # that decode at once
ALONE = MAX_PIXELS // MAX_THREADS  # pixels above which an image waits until no other so large one is decoded
BAND = 1 << 20  # pixels that are brought to color at a time
GAP = 3.0  # times that averaging over cells leaves an image larger than what is wanted; smoothing does the rest

_alone = threading.Lock()


def decode(file: str, pixels: int) -> np.ndarray:
    """Return one image as a small color picture (p, p, 3) of bytes.

    Raises
    ------
    Exception
        Whatever Pillow raises on a damaged file; ValueError if it is too large, or holds numbers that are not finite.
    """
    with _opened(file) as image:
        count = image.width * image.height
        if count > MAX_PIXELS:
            size = f"{image.width:,} x {image.height:,}"
            raise ValueError(f"{size} pixels are more than the {MAX_PIXELS:,} that are decoded")
        image.draft(None, (2 * pixels, 2 * pixels))  # JPEG: decode at a fraction of the size
        if "progressive" not in image.info:  # else all of it is in memory nevertheless
            count = image.width * image.height
        with _alone if count > ALONE else nullcontext():
            image.load()
            return np.asarray(_shrunk(_upright(image), pixels))


def _opened(file: str) -> Image.Image:
    """Open an image; where Pillow itself refuses a bomb, it quotes a higher limit of its own."""
    from PIL import Image

    try:
        return Image.open(file, formats=image_formats())
    except Image.DecompressionBombError as error:
        raise ValueError(f"it claims many more pixels than the {MAX_PIXELS:,} that are decoded") from error


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its camera says; damaged metadata do not cost the picture."""
    from PIL import ExifTags, ImageOps

    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image  # which copies all pixels
    except Exception:  # metadata are bytes of unknown origin too: whatever a decoder raises
        return image


def _shrunk(image: Image.Image, pixels: int) -> Image.Image:
    """Return an image of any mode as a square color picture: what `resize` of Pillow makes of it with this `GAP`."""
    from PIL import Image

    (width, height), square = image.size, (pixels, pixels)
    across, down = (int(side / pixels / GAP) or 1 for side in image.size)  # pixels of a cell
    rows = down * max(BAND // (width * down), 1)
    boxes = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]

    def bands() -> Iterator[Image.Image]:
        return (image.crop(box) for box in boxes) if len(boxes) > 1 else iter([image])

    extent = _extent(bands()) if _holds_numbers(image) else None
    cells = Image.new("RGB", (-(-width // across), -(-height // down)))
    for box, band in zip(boxes, bands(), strict=True):
        cells.paste(to_color(band, extent).reduce((across, down)), (0, box[1] // down))
    return cells.resize(square, Image.Resampling.BILINEAR, box=(0, 0, width / across, height / down))


def to_color(image: Image.Image, extent: tuple[float, float] | None = None) -> Image.Image:
    """Return an image of any mode as RGB: transparent pixels become white, 16 bits become 8.

    Numbers beyond 16 bits and floats outside of 0-1 and 0-255 are stretched between their least and their greatest
    value, as no file says what stands for white. `extent` gives both where `image` is a part of one.
    """
    from PIL import Image, ImageCms

    mode = image.mode
    if _holds_numbers(image):
        return Image.fromarray(_to_bytes(np.asarray(image), *(extent or _extent([image])))).convert("RGB")
    if mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        changed = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
        assert changed is not None
        return changed
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        if mode == "La":
            image = image.convert("LA")
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB")


def _holds_numbers(image: Image.Image) -> bool:
    """Tell whether an image is of more than 8 bits a value."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def _extent(parts: Iterable[Image.Image]) -> tuple[float, float]:
    """Return the least and the greatest number of an image in parts; NaN if one is."""
    ends = [(values.min(), values.max()) for values in map(np.asarray, parts)]
    return float(np.min([low for low, _ in ends])), float(np.max([high for _, high in ends]))


def _to_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return numbers between `low` and `high` as gray levels 0-255."""
    if not np.isfinite([low, high]).all():
        raise ValueError("it holds NaN or infinity")
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif values.dtype.itemsize > 2 and low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    elif values.dtype.kind != "f" and low >= 0 and high <= 65535:
        return (values.astype(np.int64) >> 8).astype(np.uint8)
    return np.rint((values - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8)
