"""Vectors from pretrained networks of other packages, which are optional and imported on first use.

``timm:NAME`` and ``open_clip:NAME/WEIGHTS`` read images, ``sentence-transformers:NAME`` reads texts. Images are decoded
again at the size that the network was trained with. Nothing of a network is kept in a run folder but its name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from synthsift.records import DataError, Images, Table

EXTRA = {"timm": "images", "open_clip": "images", "sentence-transformers": "text"}  # package -> extra of synthsift
CHUNK = 64  # rows at a time, to bound memory
SAMPLE = 256  # rows that center and scale are taken from; encoding all of them twice would double the cost

Embed = Callable[[Any], np.ndarray]


@dataclass(frozen=True)
class PretrainedEncoder:
    """A frozen network, its output centered and divided by one common scale.

    Parameters
    ----------
    name : str
        "timm:NAME", "open_clip:NAME/WEIGHTS", "open_clip:hf-hub:NAME" or "sentence-transformers:NAME".
    center : ndarray (d,)
    scale : float
        Root of the mean variance of the outputs.
    """

    name: str
    center: np.ndarray
    scale: float

    @staticmethod
    def fit(name: str, x: Any) -> PretrainedEncoder:
        """Learn center and scale from at most 256 rows, evenly spread.

        Raises
        ------
        DataError
            If the name is unknown, its package is not installed, the rows are of the wrong kind, the network cannot be
            loaded, or its output is not finite or constant.
        """
        values = _embed(name, x[np.unique(np.linspace(0, len(x) - 1, SAMPLE).astype(np.int64))])
        scale = float(np.sqrt(values.var(axis=0, dtype=np.float64).mean()))
        if not scale > 1e-9:
            raise DataError(f"--encoder {name} gives the same vector for all rows; choose another network")
        return PretrainedEncoder(name, values.mean(axis=0, dtype=np.float64), scale)

    def transform(self, x: Any) -> np.ndarray:
        """Return vectors (n, d), float32."""
        chunks = [_embed(self.name, x[start : start + CHUNK]) for start in range(0, len(x), CHUNK)]
        values = np.concatenate(chunks) if chunks else np.zeros((0, len(self.center)), np.float32)
        return (values - self.center.astype(np.float32)) / np.float32(self.scale)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays and settings for `restore`."""
        return {"center": self.center}, {"kind": "pretrained", "name": self.name, "scale": self.scale}


def check_encoder(name: str) -> None:
    """Refuse a name that stands for no encoder, or whose package is not installed, before any data are read.

    Raises
    ------
    DataError
        With the packages that are known, or the extra that installs the lacking one.
    """
    package, _, model = name.partition(":")
    if package not in EXTRA or not model:
        raise DataError(
            f"unknown encoder {name!r}; give timm:NAME or open_clip:NAME/WEIGHTS for images, or "
            "sentence-transformers:NAME for texts"
        )
    if package == "open_clip" and not model.startswith("hf-hub:") and "/" not in model:
        raise DataError(
            f"--encoder {name} names no weights, and a network without them sees nothing. Give open_clip:NAME/WEIGHTS, "
            "such as open_clip:ViT-B-32/laion2b_s34b_b79k."
        )
    _package(name)


def reads_images(name: str) -> bool:
    """Tell whether the encoder called `name` reads images rather than texts."""
    return EXTRA[name.partition(":")[0]] == "images"


def _package(name: str) -> Any:
    """Import the package that an encoder's name begins with."""
    package = name.partition(":")[0]
    try:
        return importlib.import_module(package.replace("-", "_"))
    except ImportError as error:
        raise DataError(
            f"--encoder {name} needs the package {package}, which cannot be imported ({error}). Install it with "
            f"pip install 'synthsift[{EXTRA[package]}]', or leave --encoder out to work offline."
        ) from error


def _embed(name: str, x: Any) -> np.ndarray:
    """Return the output (n, d) of the network called `name`, float32."""
    check_encoder(name)
    wants_images = reads_images(name)
    is_image = isinstance(x, Images)
    is_text = isinstance(x, np.ndarray) and x.dtype == object
    if not (is_image if wants_images else is_text):
        seen = "images" if is_image else "texts" if is_text else "a table" if isinstance(x, Table) else "arrays"
        column = "Name the column of documents with --text, choose" if seen == "a table" else "Choose"
        raise DataError(
            f"--encoder {name} reads {'images' if wants_images else 'texts'}, but the data are {seen}. "
            f"{'Choose' if wants_images else column} an encoder that fits, or leave --encoder out."
        )
    values = np.asarray(_load(name)(x), np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"--encoder {name} gave numbers that are not finite; choose another network")
    return values


@cache
def _load(name: str) -> Embed:
    """Load a network once; it may be downloaded by its package."""
    makers = {"timm": _timm, "open_clip": _open_clip, "sentence-transformers": _sentence_transformers}
    package, _, model = name.partition(":")
    try:
        return makers[package](_package(name), model)
    except DataError:
        raise
    except Exception as error:  # what a package raises for an unknown name or without a network is its own affair
        raise DataError(
            f"--encoder {name} cannot be loaded: {error}. Check the name, and that the weights are on this machine or "
            "can be downloaded."
        ) from error


def _timm(timm: Any, model: str) -> Embed:
    """Return the pooled features of a timm network."""
    import torch

    net = timm.create_model(model, pretrained=True, num_classes=0).eval()
    settings = timm.data.resolve_model_data_config(net)
    center, spread = (torch.tensor(settings[key]).reshape(3, 1, 1) for key in ("mean", "std"))

    def embed(x: Images) -> np.ndarray:
        pixels = torch.from_numpy(_pictures(x, settings["input_size"][-1])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return net((pixels.to(torch.float32) / 255 - center) / spread).numpy()

    return embed


def _open_clip(open_clip: Any, model: str) -> Embed:
    """Return the image vectors of a CLIP network."""
    import torch
    from PIL import Image

    named, _, weights = (model, "", None) if model.startswith("hf-hub:") else model.rpartition("/")
    net, _, prepare = open_clip.create_model_and_transforms(named, pretrained=weights)
    net = net.eval()
    side = np.max(net.visual.image_size)

    def embed(x: Images) -> np.ndarray:
        batch = torch.stack([prepare(Image.fromarray(picture)) for picture in _pictures(x, int(side))])
        with torch.inference_mode():
            return net.encode_image(batch).numpy()

    return embed


def _sentence_transformers(package: Any, model: str) -> Embed:
    """Return the vectors of a sentence transformer."""
    net = package.SentenceTransformer(model)
    return lambda x: net.encode([str(text) for text in x], convert_to_numpy=True, show_progress_bar=False)


def _pictures(x: Images, pixels: int) -> np.ndarray:
    """Return pictures (n, pixels, pixels, 3): decoded anew, or the stored ones scaled where there are no files."""
    if x.reread is not None:
        return x.reread(x.place, pixels)
    from PIL import Image

    scaled = [np.asarray(Image.fromarray(picture).resize((pixels, pixels))) for picture in np.asarray(x)]
    return np.stack(scaled)
