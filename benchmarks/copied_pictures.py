"""How near altered copies of pictures lie to the original, and other pictures of the same set to one another.

    python -m benchmarks.copied_pictures FOLDER    # prints the table of docs/findings.md, SS131; a minute

FOLDER holds pacs64/pacs64.npz and cifar10n/train.npz (JPEG files joined in `jpg` with `offset`),
chars74k_font_scene/scene.npz (`x`) and mnist/train-images-idx3-ubyte.gz. Up to 3,000 pictures of each set are decoded at
32 and at 64 pixels; 300 are altered. The last column is the least distance beyond the limit between two pictures of the
set, in units of the median distance to the nearest other one.
"""

from __future__ import annotations

import argparse
import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from synthsift.numerics.closeness import LOOK_ALIKE
from synthsift.numerics.neighbors import nearest
from synthsift.numerics.thumbnails import thumbnails

MOST, NUM_ALTERED, SIDES = 3000, 300, (32, 64)
Pictures = list[Image.Image]


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """Save and read a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def noisy(picture: Image.Image) -> Image.Image:
    """Move every value by up to 2 levels."""
    values = np.asarray(picture).astype(int)
    values += np.random.default_rng(0).integers(-2, 3, values.shape)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


ALTERED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 90": lambda p: as_jpeg(p, 90),
    "JPEG 60": lambda p: as_jpeg(p, 60),
    "resized by 1.56": lambda p: p.resize((round(1.56 * p.width),) * 2, Image.Resampling.LANCZOS),
    "5 % brighter": lambda p: p.point(lambda value: min(255, int(value * 1.05))),
    "noise of 2 levels": noisy,
    "cropped by a pixel": lambda p: p.crop((1, 1, p.width - 1, p.height - 1)),
}


def sets(folder: Path) -> Iterator[tuple[str, Pictures]]:
    """Yield the pictures of every set, at most `MOST` drawn ones."""
    rng = np.random.default_rng(1)
    pacs = np.load(folder / "pacs64/pacs64.npz", allow_pickle=False)
    for number, name in enumerate(pacs["domains"].tolist()):
        yield f"PACS {name}", joined(pacs, rng.permutation(np.flatnonzero(pacs["domain"] == number))[:MOST])
    cifar = np.load(folder / "cifar10n/train.npz", allow_pickle=False)
    yield "CIFAR-10", joined(cifar, rng.permutation(len(cifar["offset"]) - 1)[:MOST])
    scene = np.load(folder / "chars74k_font_scene/scene.npz", allow_pickle=False)["x"]
    yield "letters from street photos", [Image.fromarray(x) for x in rng.permutation(scene)[:MOST]]
    with gzip.open(folder / "mnist/train-images-idx3-ubyte.gz") as file:
        digits = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 28, 28)
    yield "MNIST digits", [Image.fromarray(x).convert("RGB") for x in digits[rng.permutation(len(digits))[:MOST]]]


def joined(file: np.lib.npyio.NpzFile, rows: np.ndarray) -> Pictures:
    """Decode pictures that are kept as JPEG files joined end to end."""
    jpg, offset = file["jpg"], file["offset"]
    return [Image.open(io.BytesIO(jpg[offset[k] : offset[k + 1]].tobytes())).convert("RGB") for k in rows]


def small(pictures: Pictures, side: int) -> np.ndarray:
    """Thumbnails (n, d) of pictures that are decoded at that side, as the loader does."""
    resized = [np.asarray(p.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0)) for p in pictures]
    return thumbnails(np.stack(resized)).astype(np.float64)


def measure(pictures: Pictures) -> list[str]:
    """Return the cells of one line: shares of copies within the limit as "least-greatest", and the next pair."""
    shares, beyond = np.zeros((len(SIDES), len(ALTERED))), []
    for at, side in enumerate(SIDES):
        rows = small(pictures, side)
        near = nearest(rows, rows, 1, skip=np.arange(len(rows)))[1][:, 0]
        own = np.linalg.norm(rows - rows[near], axis=1)
        usual = float(np.median(own))
        beyond.append(float(own[own > LOOK_ALIKE * usual].min() / usual))
        for k, alter in enumerate(ALTERED.values()):
            moved = small([alter(picture) for picture in pictures[:NUM_ALTERED]], side) - rows[:NUM_ALTERED]
            shares[at, k] = np.mean(np.linalg.norm(moved, axis=1) <= LOOK_ALIKE * usual)
    ends = [(f"{100 * low:.0f}", f"{100 * high:.0f}") for low, high in zip(shares.min(0), shares.max(0), strict=True)]
    return [f"{low if low == high else f'{low}-{high}'} %" for low, high in ends] + [f"{min(beyond):.2f}".lstrip("0")]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print("| images |", " | ".join([*ALTERED, "next pair"]), "|")
    print("| --- |", " | ".join(["---"] * (len(ALTERED) + 1)), "|")
    for name, pictures in sets(folder):
        print(f"| {name} |", " | ".join(measure(pictures)), "|", flush=True)


if __name__ == "__main__":
    main()
