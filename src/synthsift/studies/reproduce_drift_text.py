"""A character model retrained on its own writing, watched by the monitor: a loop of texts at three fresh fractions.

Two things are exact here that pictures do not have: the loss on real text that no generation read is a cross-entropy,
so its rise since generation 1 is a rise of KL(real||generation) a character; and a word is either one of the real text
or not.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.drift.monitor import watch_generation
from synthsift.drift.reference import learn_reference
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.reproduction import COLORS, Rebuilt, Table, label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = Path("tinyshakespeare") / "input.txt"
PIECE, DOCUMENT = 64, 256  # characters that are read at a time, and of a text that the monitor sees
HELD = 0.1  # share of the file, its end, that no generation reads
LEAST_CHARACTERS = 400_000


@dataclass(frozen=True)
class TextStudy:
    """Size of the recursion.

    Parameters
    ----------
    alphas : tuple of float
        Fresh fractions, rising.
    rounds : int
        Generations of each; the first is common to all.
    steps, documents, width : int
        Training steps, texts a generation writes, units of the model.
    """

    alphas: tuple[float, ...] = (0.1, 0.5, 0.9)
    rounds: int = 6
    steps: int = 1500
    documents: int = 400
    width: int = 128


QUICK = TextStudy((0.1, 0.9), 3, 400, 120, 96)


@dataclass(frozen=True)
class RealText:
    """A text as codes of its characters.

    Parameters
    ----------
    letters : ndarray (c,) of str
        Different characters, sorted.
    train, held : ndarray (n,) of int64
        What generations read, and the end of the file.
    """

    letters: np.ndarray
    train: np.ndarray
    held: np.ndarray

    def words(self, codes: np.ndarray) -> list[str]:
        """Texts (n,) of codes (n, t)."""
        return ["".join(line) for line in self.letters[codes].tolist()]


def find_text(data: Path | None) -> Path | None:
    """The file below `data` or SYNTHSIFT_DATA; None where neither has it."""
    given = data if data is not None else Path(os.environ["SYNTHSIFT_DATA"]) if "SYNTHSIFT_DATA" in os.environ else None
    places = [] if given is None else [given, given / FILE.name, given / FILE]
    return next((place for place in places if place.is_file()), None)


def read_text(file: Path) -> RealText:
    """Read a file of text.

    Raises
    ------
    DataError
        If it is not UTF-8, too short, or of one character.
    """
    try:
        text = file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as text ({error}); a UTF-8 file is needed") from error
    if len(text) < LEAST_CHARACTERS:
        raise DataError(f"{file} has {len(text):,} characters; at least {LEAST_CHARACTERS:,} are needed")
    points, codes = np.unique(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), return_inverse=True)
    cut = int((1 - HELD) * len(codes))
    return RealText(np.array([chr(point) for point in points]), codes[:cut], codes[cut:])


def rebuild_text(seeds: Seeds, file: Path, *, quick: bool = False) -> Rebuilt:
    """Drift, loss on real text, and share of real words, by fresh fraction and generation."""
    study, text, table = QUICK if quick else TextStudy(), read_text(file), Table()
    node = seeds.child("text")
    held = text.held[: len(text.held) // DOCUMENT * DOCUMENT].reshape(-1, DOCUMENT)
    reference = learn_reference(np.array(text.words(held), dtype=object), None, seeds=node.child("monitor"))
    known = set(text.words(text.train[None])[0].split())
    first = last_words = None
    for alpha in study.alphas:
        own: np.ndarray | None = None
        for k in range(study.rounds):
            shared = k == 0 and first is not None
            own, loss = first if shared else _generation(text, own, alpha, study, node.child("round", k))  # type: ignore[misc]
            first = first or (own, loss)
            made = text.words(own[:, :DOCUMENT])
            words = [word for document in made for word in document.split()[1:-1]]  # the outer ones are cut off
            seen = watch_generation(
                reference, np.array(made, dtype=object), index=k, name=f"generation {k + 1}", seeds=node
            )
            drift = seen.measures["mmd2"]
            row: dict[str, Any] = {"fraction": alpha, "round": k + 1, "drift": drift.value, "low": drift.low}
            row |= {"high": drift.high, "p_value": seen.p_value, "loss": loss}
            table.add(**row, real_words=float(np.mean([word in known for word in words])))
            if alpha == study.alphas[0]:
                last_words = made[0][:70]
    return Rebuilt(
        "text_loop",
        f"A character model retrained on {file.parent.name}/{file.name}: drift by fresh fraction",
        table.columns,
        lambda figure: _draw(figure, study, table),
        (11.0, 3.6),
        note=f"Nothing was printed to compare with. With {100 * study.alphas[0]:g} % fresh text generation "
        f"{study.rounds} writes {' '.join((last_words or '').split())!r}.",
    )


def _generation(
    text: RealText, own: np.ndarray | None, alpha: float, study: TextStudy, seeds: Seeds
) -> tuple[np.ndarray, float]:
    """Train on real text and the last generation's (d, DOCUMENT + 1), write as much, and judge on held-out text."""
    import torch

    from synthsift.training.characters import fit_reader, mean_loss, write_characters

    model = fit_reader(
        partial(mixed_pieces, text.train, own, alpha), len(text.letters), seeds, width=study.width, steps=study.steps
    )
    starts = seeds.numpy("first").integers(len(text.train), size=study.documents)
    first = torch.from_numpy(text.train[starts])[:, None]
    made = write_characters(model, first, DOCUMENT, seeds.torch("writing"))
    count = (len(text.held) - 1) // PIECE
    judged = text.held[np.arange(count)[:, None] * PIECE + np.arange(PIECE + 1)]
    return made, mean_loss(model, judged)


def mixed_pieces(
    train: np.ndarray, own: np.ndarray | None, alpha: float, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Pieces (n, PIECE + 1), each of the real text (m,) with probability alpha, else of own texts (d, t)."""
    places = rng.integers(len(train) - PIECE, size=n)
    fresh = train[places[:, None] + np.arange(PIECE + 1)]
    if own is None:
        return fresh
    rows, starts = rng.integers(len(own), size=n), rng.integers(own.shape[1] - PIECE, size=n)
    old = own[rows[:, None], starts[:, None] + np.arange(PIECE + 1)]
    return np.where((rng.random(n) < alpha)[:, None], fresh, old)


def _draw(figure: Figure, study: TextStudy, table: Table) -> None:
    panels = {
        "drift": "Drift from real text (MMD2)",
        "loss": "Loss on real text, nats a character",
        "real_words": "Share of words that the real text has",
    }
    for axes, (name, title) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for color, alpha in zip(COLORS, study.alphas, strict=False):
            axes.plot(*table.where("round", name, fraction=alpha), "o-", color=color, label=f"{100 * alpha:g} % fresh")
        label_axes(axes, title, "generation", name.replace("_", " "))
        axes.set_xticks(range(1, study.rounds + 1))
        axes.legend()
