"""Is it the same training: on every process that shares it, and when a saved one goes on.

What a `Reweighter` was made of is told in short texts, and what it was made from in checksums. Processes that differ in
either would learn one selector from several truths without a word; a state of other rows or another network would be
taken up in silence, or end in a message about shapes.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from synthsift.bilevel.live import spread_out
from synthsift.records import DataError

if TYPE_CHECKING:
    from synthsift.bilevel.processes import Processes
    from synthsift.bilevel.reweighter import Reweighter

LOOKED_AT = 256  # trusted rows whose content is compared; a source may decode pictures


def made_of(reweighter: Reweighter) -> dict[str, str]:
    """Return rows, settings and shapes of a reweighter in words."""
    selector, of = reweighter.selector, reweighter.of
    objective = selector.objective if reweighter.l2r is None else reweighter.l2r
    return {
        "rows": f"{selector.count:,}",
        "columns of features": f"{selector.features.shape[1]:,}",
        "trusted rows": f"{reweighter.trusted.count:,}",
        "objective": _settings(objective),
        "scores": _settings(reweighter.backend),
        "schedule": _settings(reweighter.schedule),
        "selector's network": _shapes(selector.network.state_dict()),
        "learner": _shapes(of.trainable),
        "learner's optimizer": type(reweighter.ahead.optimizer).__name__,
    }


def share(reweighter: Reweighter) -> None:
    """Give all processes the selector of the first one, once they are found to have been given the same.

    Raises
    ------
    DataError
        On every process, if settings, seeds, features or trusted rows differ between them.
    """
    processes, selector = reweighter.processes, reweighter.selector
    if not processes.several:
        return
    told = {name: _number([text.encode()]) for name, text in made_of(reweighter).items()}
    told["values of features"] = _number(_bytes(selector.features))
    told["content of trusted rows"] = _content(reweighter, processes)
    told["seeds"] = _number(_bytes(reweighter.generator.get_state()))
    numbers = torch.tensor(list(told.values()), device=selector.device)
    differ = processes.differ(numbers).tolist()
    names = [name for name, is_other in zip(told, differ, strict=True) if is_other]
    if names:
        raise DataError(
            f"the {processes.count} processes do not have the same {', '.join(names)}; each needs the same features, "
            "trusted rows, seeds and settings. Make them from one file or one seed before the processes differ in "
            "anything (a seed by rank belongs to the learner's own randomness)"
        )
    processes.spread(list(selector.network.state_dict().values()))


def refuse_other(reweighter: Reweighter, state: Mapping[str, Any]) -> None:
    """Compare a saved state with the reweighter that is to go on from it, before anything is changed.

    Raises
    ------
    DataError
        If it is no such state, or was taken from one with other rows, settings, networks.
    """
    was, now = state.get("made of") if isinstance(state, Mapping) else None, made_of(reweighter)
    if not isinstance(was, Mapping):
        raise DataError("this is no state of a Reweighter of this version; give what its state_dict returned")
    other = [f"{name}: {was.get(name)} instead of {text}" for name, text in now.items() if was.get(name) != text]
    if other:
        raise DataError(f"the state belongs to another training ({'; '.join(other)}); make it with the same ones")


def _settings(made: Any) -> str:
    """Class and plain settings of an object; what it has gathered while it ran is none."""
    fields = dataclasses.fields(made) if dataclasses.is_dataclass(made) else ()
    values = {field.name: getattr(made, field.name) for field in fields if field.init}
    plain = [f"{name}={value!r}" for name, value in values.items() if isinstance(value, bool | int | float | str)]
    return f"{type(made).__name__}({', '.join(plain)})"


def _shapes(tensors: Mapping[str, Tensor]) -> str:
    """How many tensors and numbers, and a mark of their names and shapes."""
    total = sum(t.numel() for t in tensors.values())
    names = "; ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
    return f"{len(tensors)} tensors of {total:,} numbers, {_number([names.encode()]):x}"


def _number(parts: Iterable[bytes]) -> int:
    """A checksum that fits a signed 64-bit number with its negative."""
    found = hashlib.blake2b(digest_size=7)
    for part in parts:
        found.update(part)
    return int.from_bytes(found.digest(), "big")


def _content(reweighter: Reweighter, processes: Processes) -> int:
    """Checksum of trusted rows from all over the set; 0 where two looks differ on any process (augmentation)."""
    places = spread_out(reweighter.trusted.count, LOOKED_AT)
    with torch.random.fork_rng(devices=[]):
        first, second = (_number(_bytes(reweighter.trusted.fetch(places))) for _ in range(2))
    differ = processes.max(torch.tensor(float(first != second), device=reweighter.selector.device))
    return 0 if differ else first


def _bytes(value: Any) -> Iterable[bytes]:
    """Tensors and arrays, nested in mappings and sequences, as bytes; of anything else the kind."""
    if isinstance(value, Mapping):
        for name in value:
            yield str(name).encode()
            yield from _bytes(value[name])
    elif isinstance(value, Tensor | np.ndarray):
        tensor = torch.as_tensor(value) if not isinstance(value, Tensor) else value
        yield f"{tensor.dtype} {tuple(tensor.shape)}".encode()
        yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for part in value:
            yield from _bytes(part)
    else:
        yield repr(value).encode() if isinstance(value, str | bytes | int | float) else type(value).__name__.encode()
