"""A finished round of a trained loop as one safetensors file whose header carries the rest as JSON.

One file a round, so that it is replaced in one step; nothing in it is ever executed, and what does not fit is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from synthsift.drift.diffusion import DiffusionSettings, ScoreModel, layer_shapes
from synthsift.drift.diffusion_loop import LoopStep, PathMeasures
from synthsift.drift.picture_loop import PictureStep, ScoreGap
from synthsift.drift.plane import PlaneRound
from synthsift.numerics.fingerprints import fingerprint_arrays
from synthsift.records import DataError

KIND = "synthsift diffusion round"
SCHEMA = 1
AGAIN = "Remove the file, or start the loop anew in another folder"


def pack_step(step: LoopStep | PictureStep, identity: Mapping[str, Any]) -> bytes:
    """Return a finished round as the bytes of a safetensors file.

    Parameters
    ----------
    step : LoopStep or PictureStep
        The round.
    identity : mapping
        What the loop and the round are (settings, seed, number), JSON-safe; checked when the file is read.
    """
    from safetensors.numpy import save

    arrays = {f"layer.{name}": value for name, value in step.model.arrays.items()}
    arrays |= {"losses": step.model.losses, "pool": step.pool}
    arrays = {name: np.array(value, order="C") for name, value in arrays.items()}
    if isinstance(step, LoopStep):
        measured: dict[str, Any] = {"paths": asdict(step.paths), "plane": asdict(step.plane)}
    else:
        measured = {"audit": asdict(step.audit)}
    plain = {"identity": dict(identity), "settings": asdict(step.model.settings), **measured}
    text = json.dumps(plain)  # Python's own NaN, which Python reads back
    return save(
        arrays,
        metadata={"kind": KIND, "schema": str(SCHEMA), "round": text, "digest": fingerprint_arrays(arrays, text)},
    )


def unpack_step(data: bytes, name: str, identity: Mapping[str, Any]) -> LoopStep | PictureStep:
    """Rebuild a round from `pack_step`.

    Parameters
    ----------
    data : bytes
        Content of the file.
    name : str
        What to call it in messages.
    identity : mapping
        What it must be a round of.

    Raises
    ------
    DataError
        If it is no such file, was damaged, or belongs to a loop with other settings.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{name} is no safetensors file, or a damaged one ({str(error)[:80]}). {AGAIN}") from error
    if header.get("kind") != KIND or header.get("schema") != str(SCHEMA):
        raise DataError(f"{name} is no round of `synthsift simulate diffusion` of this version. {AGAIN}")
    if header.get("digest") != fingerprint_arrays(arrays, header.get("round", "")):
        raise DataError(f"{name} was changed or damaged after it was written. {AGAIN}")
    try:
        plain = json.loads(header["round"])
        step = _rebuild(arrays, plain)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{name} does not fit together ({type(error).__name__}: {error}). {AGAIN}") from error
    if plain["identity"] != json.loads(json.dumps(dict(identity))):
        raise DataError(f"{name} belongs to a loop with other settings. Repeat its settings, or choose another folder")
    return step


def _rebuild(arrays: Mapping[str, np.ndarray], plain: Mapping[str, Any]) -> LoopStep | PictureStep:
    """Records from arrays and JSON."""
    settings = DiffusionSettings(**plain["settings"])
    layers = {k.removeprefix("layer."): v for k, v in arrays.items() if k.startswith("layer.")}
    model, pool = ScoreModel(settings, layers, arrays["losses"]), arrays["pool"]
    if {k: v.shape for k, v in layers.items()} != layer_shapes(pool.shape[1], settings):
        raise ValueError("the layers have other shapes than the settings say")
    if "audit" in plain:
        return PictureStep(model, pool, ScoreGap(**plain["audit"]))
    return LoopStep(model, pool, PathMeasures(**plain["paths"]), PlaneRound(**plain["plane"]))
