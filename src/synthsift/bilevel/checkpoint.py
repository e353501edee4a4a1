"""The state of a training in one file, tensors and numbers alike: written whole or not at all, and no pickle.

A state is what ``state_dict`` methods return: dictionaries, lists and tuples of tensors, arrays, numbers, texts and
None, nested as they like. Tensors go into a safetensors file, and the tree around them as JSON into its header, so that
the two cannot come from different moments.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthsift.records import DataError

SCHEMA = 1


def save(path: Path | str, **parts: Any) -> None:
    """Write the state of a training, replacing the file in one move.

    Parameters
    ----------
    path : Path
        File to make or replace; its folder must exist.
    **parts
        Objects with a ``state_dict`` (model, optimizer, schedule, reweighter, sampler), or states themselves
        (`random_state`, a step count).

    Raises
    ------
    DataError
        If a part holds something that has no place in a state, or the file cannot be written.

    Examples
    --------
    >>> save("run.safetensors", model=model, optimizer=optimizer, reweighter=reweighter)  # doctest: +SKIP
    >>> load("run.safetensors", model=model, optimizer=optimizer, reweighter=reweighter)  # doctest: +SKIP
    """
    from safetensors.torch import save as to_bytes

    tensors: dict[str, Tensor] = {}
    tree = {name: _planted(_state_of(part), tensors, name) for name, part in parts.items()}
    header = {"synthsift": json.dumps({"schema": SCHEMA, "tree": tree}), "format": "pt"}
    data, path = to_bytes(tensors, metadata=header), Path(path)
    temporary = path.with_name(f".synthsift-{os.getpid()}-{secrets.token_hex(6)}.tmp")
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror}); choose a folder that exists and has room"
        ) from error


def load(path: Path | str, **parts: Any) -> dict[str, Any]:
    """Return the state in a file, and put it into the objects that are given by name.

    Parameters
    ----------
    path : Path
        File that `save` wrote.
    **parts
        Objects with a ``load_state_dict``; a name that the file does not have is refused.

    Raises
    ------
    DataError
        If the file is absent, damaged, of another version, or lacks a part, or an object does not take its part; then
        all objects are left as they were.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("synthsift", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a saved training ({error}); save it again, or start anew") from error
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise DataError(f"{path} is no saved training of this version of synthsift; needed is one that `save` wrote")
    state = {name: _grown(node, tensors) for name, node in header["tree"].items()}
    missing = sorted(parts.keys() - state.keys())
    if missing:
        raise DataError(f"{path} holds {', '.join(sorted(state))} and not {', '.join(missing)}; save these, too")
    before: dict[str, Any] = {}
    for name, part in parts.items():
        try:
            before[name] = _copied(part)
            part.load_state_dict(state[name])
        except DataError as error:
            _put_back(parts, before)
            raise DataError(f"{path}: {error}") from error
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            _put_back(parts, before)
            reason = " ".join(str(error).split())[:300]
            raise DataError(
                f"{path} holds a {name} that does not fit the one given ({reason}); make it as it was when it was saved"
            ) from error
    return state


def random_state() -> dict[str, Any]:
    """Return the state of torch's generators (dropout draws from them), for `save`."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put torch's generators where `random_state` was taken."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def _state_of(part: Any) -> Any:
    return part.state_dict() if hasattr(part, "state_dict") else part


def _copied(part: Any) -> Any:
    """A state that the object will not change, in the memory of the CPU; None of an object that tells of none."""
    if not hasattr(part, "state_dict"):
        return None
    tensors: dict[str, Tensor] = {}
    tree = _planted(part.state_dict(), tensors, "state")
    return _grown(tree, tensors)


def _put_back(parts: Mapping[str, Any], states: Mapping[str, Any]) -> None:
    for name, state in states.items():
        if state is not None:
            parts[name].load_state_dict(state)


def _planted(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    """Turn a state into JSON: a list is {"list": [...]}, a dictionary {"dict": [[key, value], ...]}, and so on."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}  # every bit, and infinities
    if isinstance(value, Tensor | np.ndarray | np.generic):
        is_array = not isinstance(value, Tensor)
        tensor = value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
        tensors[name] = tensor.cpu().contiguous().clone()  # a copy: tied parameters may not share memory in the file
        return {"array" if is_array else "tensor": name}
    if isinstance(value, list | tuple):
        items = [_planted(item, tensors, f"{name}.{k}") for k, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if isinstance(value, Mapping):
        keys = [key for key in value if not isinstance(key, str | int)]
        if keys:
            raise DataError(f"{name} has a {type(keys[0]).__name__} for a key; a state has texts and whole numbers")
        return {"dict": [[key, _planted(item, tensors, f"{name}.{key}")] for key, item in value.items()]}
    raise DataError(
        f"{name} is a {type(value).__name__}; a state holds tensors, numbers, texts, lists and dictionaries"
    )


def _grown(node: Any, tensors: dict[str, Tensor]) -> Any:
    """Undo `_planted`."""
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    match kind:
        case "float":
            return float.fromhex(value)
        case "tensor":
            return tensors[value]
        case "array":
            return tensors[value].numpy()
        case "list":
            return [_grown(item, tensors) for item in value]
        case "tuple":
            return tuple(_grown(item, tensors) for item in value)
        case _:
            return {key: _grown(item, tensors) for key, item in value}
