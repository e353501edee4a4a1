"""The folder model/ of a run: all that weighs new rows, and the final learner. Arrays and JSON, never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.bilevel.inputs import NetworkInputs
from synthsift.records import DataError
from synthsift.represent.encoders import Encoder, restore
from synthsift.represent.table import NAMES, RowDescriber
from synthsift.writing import atomic_write, write_json

MODEL_SCHEMA = 2  # raised whenever arrays or settings change their meaning
ARRAYS, SETTINGS = "model.safetensors", "model.json"


def save_model(folder: Path, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> None:
    """Write arrays and settings, with a digest of both."""
    from safetensors.numpy import save

    folder.mkdir(exist_ok=True)
    data = save({name: np.ascontiguousarray(value) for name, value in arrays.items()})
    record = {"schema": MODEL_SCHEMA, "features": list(NAMES), **settings}
    record = json.loads(json.dumps(record))
    atomic_write(folder / ARRAYS, data)
    write_json(folder / SETTINGS, {**record, "digest": _digest(data, record)})


def _digest(data: bytes, record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(data + b"\n" + text.encode()).hexdigest()


def load_model(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read arrays and settings of a run's model.

    Raises
    ------
    DataError
        If a file is missing, damaged, changed since it was written, or of another version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        record = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        data = (folder / ARRAYS).read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(f"the model in {folder} cannot be read ({error}); repeat the run that made it") from error
    if not isinstance(record, dict):
        raise DataError(f"{folder / SETTINGS} does not hold the settings of a model; repeat the run that made it")
    if record.get("schema") != MODEL_SCHEMA or record.get("features") != list(NAMES):
        raise DataError(
            f"the model in {folder} is of version {record.get('schema')!r}, this program reads version {MODEL_SCHEMA} "
            "with its own list of features; repeat the run with this version"
        )
    digest = record.pop("digest", None)
    if digest != _digest(data, record):
        raise DataError(f"the files in {folder} are not the ones that the run wrote; repeat the run that made them")
    try:
        return load(data), record
    except SafetensorError as error:
        raise DataError(f"{folder / ARRAYS} is damaged ({error}); repeat the run that made it") from error


def part_of(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with `name` and a dot, without this beginning."""
    return {key.removeprefix(f"{name}."): value for key, value in arrays.items() if key.startswith(f"{name}.")}


@dataclass(frozen=True)
class RowWeigher:
    """Weighs encoded rows with the meta-networks of a run.

    Parameters
    ----------
    describe : RowDescriber
    inputs : NetworkInputs
    network : Council
    temper, shift : float
        log learned_weight = temper * log-weight - shift; the rows of the run have mean weight 1.
    """

    describe: RowDescriber
    inputs: NetworkInputs
    network: Any
    temper: float
    shift: float

    @staticmethod
    def of(arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> RowWeigher:
        """Rebuild from a model."""
        from synthsift.bilevel.metanet import restored_council

        learned = part_of(arrays, "metanet")
        sources, num_classes = tuple(settings["metanet"]["sources"]), len(settings["classes"])
        inputs = NetworkInputs.restore(part_of(learned, "inputs"), num_classes, sources)
        width = len(inputs.center) + num_classes + inputs.num_sources
        network = restored_council(part_of(learned, "network"), width, num_classes, inputs.num_sources)
        describe = RowDescriber.restore(part_of(arrays, "features"))
        return RowWeigher(describe, inputs, network, float(learned["temper"][0]), float(learned["shift"][0]))

    @property
    def says_nothing(self) -> bool:
        """Whether all rows get the same weight: the power is 0, or no network has left its start."""
        last = [value for name, value in self.network.state_dict().items() if name.endswith("last.weight")]
        return self.temper == 0 or not any(bool(value.any()) for value in last)

    def __call__(self, x: np.ndarray, y: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Return the learned weight (n,) of encoded rows `x` (n, d) with label codes and sources (n,)."""
        import torch

        told = self.inputs(self.describe(x, y), x, y, source)
        with torch.no_grad():
            log_weights = self.network(torch.as_tensor(told)).double().numpy()
        return np.exp(self.temper * log_weights - self.shift)


def restored_encoder(arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Encoder:
    """Return the encoder of a run."""
    return restore(part_of(arrays, "encoder"), settings["encoder"])
