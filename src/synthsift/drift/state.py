"""What a monitor remembers between generations, as one safetensors file whose header carries the rest as JSON.

One file, so that it can be replaced in one step and is never half old and half new. Nothing in it is ever executed;
whatever does not fit together is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from synthsift.drift.arguments import check_alpha
from synthsift.drift.columns import ColumnSummary
from synthsift.drift.losses import Change
from synthsift.drift.measures import FourierFeatures
from synthsift.drift.monitor import Alarms, Seen, trace_of
from synthsift.drift.reference import Reference
from synthsift.drift.space import FeatureSpace
from synthsift.drift.traces import DriftTrace, Measured
from synthsift.numerics.fingerprints import fingerprint_arrays
from synthsift.records import DataError
from synthsift.represent.encoders import restore

KIND = "synthsift drift state"
SCHEMA = 1


@dataclass(frozen=True)
class Stream:
    """A reference and the generations seen so far.

    Parameters
    ----------
    reference : Reference
        The real side.
    alarms : Alarms
        What the stream promises.
    seed : int
        Randomness of all generations, each with its own stream.
    schema : mapping
        How the files are read (for the loader), JSON-safe.
    seen : tuple of Seen
        Generations, oldest first.
    alpha : tuple of float
        Fresh fraction of the mix between each generation and the next (one fewer than generations).
    exhibits : tuple of mapping
        Raw rows to look at, JSON-safe: of the real data, then of each generation. Empty where none are kept.
    accumulate : bool
        Whether every training set keeps the rows of all generations before it, as in `DriftTrace`.
    announced : float, optional
        Fresh fraction that was given before there was a step it could belong to.
    assumed : tuple of int
        Places of generations whose fresh fraction was not given but taken over from the step before.
    """

    reference: Reference
    alarms: Alarms
    seed: int
    schema: Mapping[str, Any]
    seen: tuple[Seen, ...] = ()
    alpha: tuple[float, ...] = ()
    exhibits: tuple[Mapping[str, Any], ...] = ()
    accumulate: bool = False
    announced: float | None = None
    assumed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.alpha:
            check_alpha(self.alpha)
        if self.announced is not None:
            check_alpha(self.announced)
        if not isinstance(self.accumulate, bool) or not all(0 < k < len(self.seen) for k in self.assumed):
            raise DataError(
                f"accumulate = {self.accumulate!r} must be True or False, and the generations {self.assumed} whose "
                f"fresh fraction was taken over must be among the {len(self.seen)} seen, from the second on"
            )
        if len(self.alpha) != max(0, len(self.seen) - 1):
            raise DataError(
                f"{len(self.seen)} generations have {max(0, len(self.seen) - 1)} training mixes between them but "
                f"{len(self.alpha)} fresh fractions were given; give one for each step"
            )

    @property
    def trace(self) -> DriftTrace:
        """The stream as a trace."""
        trace = trace_of(self.reference, self.seen, np.array(self.alpha), self.alarms)
        return replace(trace, accumulate=self.accumulate)

    @property
    def last_fraction(self) -> float | None:
        """Fresh fraction that was given last; None where none ever was."""
        return self.alpha[-1] if self.alpha else self.announced


def pack_state(stream: Stream) -> bytes:
    """Return the state as the bytes of a safetensors file."""
    from safetensors.numpy import save

    reference, space = stream.reference, stream.reference.space
    encoder_arrays, encoder = reference.encoder.state()
    arrays = {f"encoder.{name}": value for name, value in encoder_arrays.items()}
    arrays |= {"frequencies": space.fourier.frequencies, "phases": space.fourier.phases}
    arrays |= {"center": space.center, "directions": space.directions, "modes": space.modes}
    arrays |= {"mode_share": space.mode_share, "rows": reference.rows}
    if stream.seen:
        arrays["delta"] = np.array([s.delta for s in stream.seen])
    arrays = {name: np.array(value, order="C") for name, value in arrays.items()}
    plain = {
        "encoder": encoder,
        "columns": [asdict(column) for column in reference.columns],
        "class_shares": reference.class_shares,
        "num_labelled": reference.num_labelled,
        "num_real": reference.num_real,
        "mode_words": reference.mode_words,
        "alarms": asdict(stream.alarms),
        "seed": stream.seed,
        "schema": dict(stream.schema),
        "alpha": list(stream.alpha),
        "seen": [_plain_seen(s) for s in stream.seen],
        "exhibits": list(stream.exhibits),
        "accumulate": stream.accumulate,
        "announced": stream.announced,
        "assumed": stream.assumed,
    }
    text = json.dumps(plain)  # Python's own NaN and Infinity, which Python reads back
    return save(
        arrays,
        metadata={"kind": KIND, "schema": str(SCHEMA), "state": text, "digest": fingerprint_arrays(arrays, text)},
    )


def _plain_seen(seen: Seen) -> dict[str, Any]:
    """All of one generation but its mean feature."""
    return {name: value for name, value in asdict(seen).items() if name != "delta"}


def unpack_state(data: bytes, name: str) -> Stream:
    """Rebuild a stream from `pack_state`.

    Parameters
    ----------
    data : bytes
        Content of the file.
    name : str
        What to call it in messages.

    Returns
    -------
    Stream
        As it was.

    Raises
    ------
    DataError
        If it is no state of the drift monitor, comes from another version, or was damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{name} is no safetensors file, or a damaged one ({str(error)[:80]}). Name a file that `synthsift drift "
            f"--state` wrote; if it was one, start anew with --real and all generations"
        ) from error
    if header.get("kind") != KIND:
        raise DataError(
            f"{name} is a safetensors file, but not a state of `synthsift drift`. Name the file that it wrote"
        )
    if header.get("schema") != str(SCHEMA):
        raise DataError(
            f"{name} has schema {header.get('schema')!r}; this version reads {SCHEMA}. Use the version that wrote it, "
            f"or start anew with --real"
        )
    if header.get("digest") != fingerprint_arrays(arrays, header.get("state", "")):
        raise DataError(f"{name} was changed or damaged after it was written; restore a copy or start anew with --real")
    try:
        return _rebuild(arrays, json.loads(header["state"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"{name} does not fit together ({type(error).__name__}: {error}); start anew with --real"
        ) from error


def _rebuild(arrays: Mapping[str, np.ndarray], plain: Mapping[str, Any]) -> Stream:
    """Records from arrays and JSON."""
    start = "encoder."
    encoder = restore({k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}, plain["encoder"])
    space = FeatureSpace(
        FourierFeatures(arrays["frequencies"], arrays["phases"]),
        *(arrays[name] for name in ("center", "directions", "modes", "mode_share")),
    )
    reference = Reference(
        encoder,
        space,
        arrays["rows"],
        tuple(ColumnSummary(**column) for column in plain["columns"]),
        plain["class_shares"],
        plain["num_labelled"],
        plain["num_real"],
        tuple(plain.get("mode_words", ())),  # this and the last three entries came later: older files lack them
    )
    seen = tuple(
        Seen(
            **{
                **record,
                "delta": delta,
                "measures": {key: _measured(value) for key, value in record["measures"].items()},
                "changes": tuple(Change(**change) for change in record["changes"]),
            }
        )
        for record, delta in zip(plain["seen"], arrays.get("delta", np.empty((0, 1))), strict=True)
    )
    alarms, alpha = Alarms(**plain["alarms"]), tuple(plain["alpha"])
    return Stream(
        reference,
        alarms,
        plain["seed"],
        plain["schema"],
        seen,
        alpha,
        tuple(plain["exhibits"]),
        plain.get("accumulate", False),
        plain.get("announced"),
        tuple(plain.get("assumed", ())),
    )


def _measured(value: Mapping[str, Any]) -> Measured:
    """One measure; JSON has no tuples."""
    return Measured(**{**value, "num_rows": tuple(value["num_rows"])})
