"""The data of the demo: handwritten digits against digits rendered from fonts, some of them flawed on purpose.

Scikit-learn's handwritten digits were made by scaling a pen trace to 32 rows of black and white pixels and counting
the ink in blocks of 4 x 4 (grey levels 0 to 16). The rendered ones go the same way: a glyph of a font that comes with
matplotlib is bent, slanted and scaled to 32 rows, gets a stroke thickness that covers as much paper as a pen does, and
is counted in blocks. Nothing is downloaded, and one seed gives the same files every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from synthsift.seeds import Seeds

SIDE = 32  # pixels of the black and white image, as in the handwritten digits
CELLS = 8  # pixels of the grey image
INK = (0.305, 0.034)  # mean and standard deviation over handwritten digits of the inked share of the paper
LETTERS = "AEFGHKMNRTWXY"  # capitals that no digit looks like
ODD_KINDS = ("half", "mirrored", "speckled", "letter")
ONE_SIDED = (2, 3, 4, 5, 6, 7, 9)  # digits that their mirror image is not a sound picture of
WRONG_LABEL = "wrong label"


class DemoData(NamedTuple):
    """Arrays of the demo; each field is what the file of that name holds.

    Parameters
    ----------
    real, valid, test : dict
        Handwritten digits: x (n, 64) float32 grey levels 0 to 16, y (n,) int64.
    rendered : dict
        Rendered digits: x and y.
    planted : dict
        bad (n,) bool and why (n,) str ("" where sound) of the rendered rows.
    """

    real: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    rendered: dict[str, np.ndarray]
    planted: dict[str, np.ndarray]


@dataclass(frozen=True)
class DemoFiles:
    """Where the files of the demo are; `planted` is only for counting how many bad rows were found."""

    real: Path
    valid: Path
    test: Path
    rendered: Path
    planted: Path


def draw_glyph(font_file: Path, character: str) -> np.ndarray:
    """Return `character` as ink (64, width) in [0, 1], cut to its bounding box; width 0 if nothing is drawn."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(font_file), 96)
    paper = Image.new("L", (192, 192))
    ImageDraw.Draw(paper).text((48, 32), character, fill=255, font=font)
    box = paper.getbbox()
    if box is None:
        return np.zeros((64, 0))
    width = max(1, round(64 * (box[2] - box[0]) / (box[3] - box[1])))
    if width > 160:  # a dash or a rule: no digit is that flat
        return np.zeros((64, 0))
    return np.asarray(paper.crop(box).resize((width, 64), Image.Resampling.BOX), dtype=float) / 255


def _standard(glyph: np.ndarray) -> np.ndarray:
    """Return the glyph blurred on a square of 16 x 16, centered and of length 1, to compare shapes by a dot product."""
    from PIL import Image

    small = np.asarray(Image.fromarray((255 * glyph).astype(np.uint8)).resize((16, 16)), dtype=float)
    soft = gaussian_filter(small, 1.0)
    soft -= soft.mean()
    return soft.ravel() / max(float(np.linalg.norm(soft)), 1e-9)  # a blank square stays zero


@cache
def digit_fonts() -> tuple[Path, ...]:
    """Return the font files of matplotlib that really draw 0 to 9, sorted by name.

    Fonts of symbols have other glyphs, or one and the same, in the places of the digits. A font is taken when at
    least eight of its ten glyphs look more like the same digit in DejaVu Sans than like any other digit there.
    """
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    known = np.stack([_standard(draw_glyph(folder / "DejaVuSans.ttf", str(k))) for k in range(10)])
    taken = []
    for file in sorted(folder.glob("*.ttf")):
        glyphs = [draw_glyph(file, str(k)) for k in range(10)]
        if all(glyph.shape[1] for glyph in glyphs):
            likeness = np.stack([_standard(glyph) for glyph in glyphs]) @ known.T  # (10, 10)
            if np.sum(likeness.argmax(axis=1) == np.arange(10)) >= 8:
                taken.append(file)
    return tuple(taken)


@cache
def _glyphs(character: str) -> tuple[np.ndarray, ...]:
    """Return the glyph of `character` in every digit font."""
    return tuple(draw_glyph(file, character) for file in digit_fonts())


@cache
def _grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows and columns (52 * 52,) of the paper a glyph is bent on, and nine smooth waves over it."""
    place = 2.0 * (np.arange(52) - 25.5)
    rows, cols = (g.ravel() for g in np.meshgrid(place, place, indexing="ij"))
    down, across = (np.stack([np.cos(k * np.pi * g / 64 - k) for k in range(3)]) for g in (rows, cols))
    return rows, cols, (down[:, None] * across[None]).reshape(9, -1)


def _bend(glyph: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the glyph on paper (52, 52), slanted, turned and gently bent, as an unsteady hand would."""
    rows, cols, waves = _grid()
    turn, slant = rng.normal(0, 0.08), rng.normal(0.0, 0.12)
    down, across = rng.normal(0, 1.6, (2, 9)) @ waves
    back_rows = np.cos(turn) * rows - np.sin(turn) * cols + down
    back_cols = np.sin(turn) * rows + np.cos(turn) * cols + slant * rows + across
    return map_coordinates(glyph, [back_rows + 31.5, back_cols + (glyph.shape[1] - 1) / 2], order=1).reshape(52, 52)


def _cut(ink: np.ndarray) -> np.ndarray:
    """Return the ink cut to the rows and columns that have any."""
    rows, cols = (np.flatnonzero(ink.max(axis=axis) > 0.5) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]


def _scale(ink: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Return ink in [0, 1] scaled to `rows` x `cols` pixels."""
    from PIL import Image

    return np.asarray(Image.fromarray((255 * ink).astype(np.uint8)).resize((cols, rows)), dtype=float) / 255


def _fit(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Set the stroke thickness, scale ink to 32 rows, give it a random width, and place it near the middle."""
    ink = _cut(ink)
    width = int(np.clip(SIDE * ink.shape[1] / ink.shape[0] * rng.uniform(0.75, 1.1), 6, 24))
    # Thresholding a blurred image at a rank thickens thin strokes and thins thick ones to the wanted amount of ink.
    soft = gaussian_filter(np.pad(_scale(ink, SIDE - 4, width), 4), rng.uniform(0.6, 1.1))
    # Stretching back to 32 rows, below, adds a tenth of ink.
    count = round(0.9 * SIDE * SIDE * float(np.clip(rng.normal(*INK), 0.2, 0.42)))
    thick = _cut((soft >= np.sort(soft, axis=None)[-count]).astype(float))
    columns = min(thick.shape[1], SIDE)
    left = int(np.clip((SIDE - columns) // 2 + rng.integers(-2, 3), 0, SIDE - columns))
    paper = np.zeros((SIDE, SIDE))
    paper[:, left : left + columns] = _scale(thick, SIDE, columns) > 0.5
    return paper


def _count(ink: np.ndarray) -> np.ndarray:
    """Return the ink (32, 32) counted in blocks of 4 x 4: grey levels 0 to 16, (64,)."""
    return ink.reshape(CELLS, 4, CELLS, 4).sum(axis=(1, 3)).ravel()


def _render(character: str, rng: np.random.Generator) -> np.ndarray:
    """Render one character in a random font as grey levels (64,)."""
    options = _glyphs(character)
    glyph = options[rng.integers(len(options))]
    if character == "1" and rng.random() < 0.5:
        glyph = glyph[:54]  # by hand a 1 is as often written without the foot that fonts give it
    return _count(_fit(_bend(glyph, rng), rng))


def render_digits(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Render digits in random fonts that look like scikit-learn's handwritten ones.

    Parameters
    ----------
    y : ndarray (n,)
        The digits, 0 to 9.
    rng : Generator
        Chooses font, slant, bend, width, thickness and place of each.

    Returns
    -------
    ndarray (n, 64) of float32
        Grey levels 0 to 16 of 8 x 8 pixels, row by row.
    """
    return np.stack([_render(str(k), rng) for k in y]).astype(np.float32)


def _make_odd(x: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return an odd picture (64,) in place of the sound picture `x`."""
    image = x.reshape(CELLS, CELLS).copy()
    if kind == "mirrored":
        return image[:, ::-1].ravel()
    if kind == "half":
        turned = np.rot90(image, int(rng.integers(4)))  # a view: blanking its top blanks one of the four halves
        turned[: CELLS // 2] = 0
        return image.ravel()
    if kind == "speckled":
        return np.clip(image + rng.normal(0, 8, image.shape), 0, 16).round().ravel()
    return _render(LETTERS[rng.integers(len(LETTERS))], rng)


def spoil(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, *, wrong_label: float = 0.2, odd_shape: float = 0.15
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give a share of rendered digits a wrong label and another share an odd shape; no row gets both.

    Parameters
    ----------
    x, y : ndarray (n, 64), (n,)
        Sound rendered digits.
    rng : Generator
        Chooses the rows and their flaws.
    wrong_label, odd_shape : float
        Shares of rows, exact up to rounding.

    Returns
    -------
    x, y, why : ndarray (n, 64), (n,), (n,) of str
        Inputs and labels after spoiling, and what was done: "", "wrong label", or one of `ODD_KINDS`.
    """
    x, y = x.copy(), y.copy()
    why = np.full(len(y), "", dtype="<U12")
    order = rng.permutation(len(y))
    cut = round(wrong_label * len(y))
    mislabeled, odd = order[:cut], order[cut : cut + round(odd_shape * len(y))]
    y[mislabeled] = (y[mislabeled] + rng.integers(1, 10, size=len(mislabeled))) % 10
    why[mislabeled] = WRONG_LABEL
    for i in odd.tolist():
        kinds = [kind for kind in ODD_KINDS if kind != "mirrored" or y[i] in ONE_SIDED]
        kind = str(rng.choice(kinds))
        x[i], why[i] = _make_odd(x[i], kind, rng), kind
    return x, y, why


def demo_data(seeds: Seeds, *, num_real: int = 200, num_valid: int = 100, num_synth: int = 1500) -> DemoData:
    """Return the demo's data; all handwritten digits that are neither real nor valid rows are test rows."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = seeds.numpy("split").permutation(len(y))
    parts = np.split(order, [num_real, num_real + num_valid])
    real, valid, test = ({"x": x[rows].astype(np.float32), "y": y[rows].astype(np.int64)} for rows in parts)
    rng = seeds.numpy("render")
    labels = rng.permutation(np.arange(num_synth) % 10)
    x_rendered, y_rendered, why = spoil(render_digits(labels, rng), labels, seeds.numpy("spoil"))
    rendered = {"x": x_rendered, "y": y_rendered.astype(np.int64)}
    return DemoData(real, valid, test, rendered, {"bad": why != "", "why": why})


def write_demo_files(folder: Path, seeds: Seeds, **sizes: int) -> DemoFiles:
    """Write the demo's data as real.npz, valid.npz, test.npz, rendered.npz and planted.npz; x as pictures (n, 8, 8).

    Parameters
    ----------
    folder : Path
        Made if missing; files of these names are replaced.
    seeds : Seeds
        The same seeds give the same arrays.
    **sizes : int
        `num_real`, `num_valid`, `num_synth` of `demo_data`.

    Returns
    -------
    DemoFiles
        The five paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = DemoFiles(**{name: folder / f"{name}.npz" for name in DemoData._fields})
    for name, arrays in demo_data(seeds, **sizes)._asdict().items():
        if "x" in arrays:
            arrays = {**arrays, "x": arrays["x"].reshape(-1, CELLS, CELLS)}
        np.savez_compressed(getattr(files, name), **arrays)
    return files
