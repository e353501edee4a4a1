"""Watch a retraining loop: files of generations in; drift, alarm, forecast, plan and a page out."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from synthsift.cli.console import Console
from synthsift.cli.drift_copies import refuse_copies
from synthsift.cli.drift_exhibits import exhibit
from synthsift.cli.drift_files import check_out, write_out
from synthsift.cli.drift_mixes import announced_fraction, choose_accumulate, choose_fractions
from synthsift.cli.drift_record import describe_stream
from synthsift.cli.drift_turns import check_writable, own_turn
from synthsift.cli.drift_types import fractional_columns, truncated_columns
from synthsift.cli.whole_folder import check_above
from synthsift.data.generations import Rows, Shape, read_generations, read_real
from synthsift.data.paths import existing_file, source_name
from synthsift.drift.arguments import LEAST_ROWS
from synthsift.drift.monitor import FALSE_ALARMS, HORIZON, Alarms, watch_generation
from synthsift.drift.notices import find_notices
from synthsift.drift.outlook import Outlook, look_ahead
from synthsift.drift.reference import Reference, learn_reference
from synthsift.drift.state import Stream, pack_state, unpack_state
from synthsift.records import DataError, Finding
from synthsift.represent.pretrained import check_encoder, reads_images
from synthsift.seeds import Seeds
from synthsift.writing import atomic_write, drop_stale

LEAST_AHEAD = 5


@dataclass(frozen=True)
class DriftSettings:
    """What the flags of ``drift`` say; None means "not given"."""

    generations: tuple[str, ...]
    real: str | None = None
    state: Path | None = None
    fresh_fraction: str | None = None
    accumulate: bool | None = None
    label: str | None = None
    text: str | None = None
    pixels: int | None = None
    encoder: str | None = None
    target: float | None = None
    horizon: int | None = None
    false_alarms: float | None = None
    seed: int | None = None
    out: Path | None = None
    gallery: bool = True
    overwrite: bool = False


def execute_drift(settings: DriftSettings, console: Console) -> int:
    """Measure the generations given, look ahead, and write what was asked for.

    Returns
    -------
    int
        1 when a generation of this command alarms, else 0.

    Raises
    ------
    DataError
        For anything wrong with flags, files or the state.
    """
    started = time.perf_counter()
    if settings.state is not None:
        settings = replace(settings, state=settings.state.expanduser())
    if settings.out is not None:
        settings = replace(settings, out=settings.out.expanduser())
    _check_flags(settings)
    with threadpool_limits(max(1, min(2, os.cpu_count() or 1))):
        left_out: list[Finding] = []
        before = _old_state(settings)
        begun = _resume(settings, before) if before is not None else _begin(settings, console, left_out)
        begun = replace(begun, accumulate=choose_accumulate(settings.accumulate, begun))
        if settings.out is not None:
            check_out(settings.out, begun, overwrite=settings.overwrite)
        stream = _measure(settings, begun, console, left_out)
        outlook = _look_ahead(stream, settings)
    findings = sorted([*find_notices(stream), *left_out], key=lambda f: -f.severity.value)
    record = describe_stream(stream, outlook, findings, settings.target)
    record["seconds"] = time.perf_counter() - started
    with own_turn(settings.state, before, may_replace=settings.overwrite):
        # The state last: whatever stops this command, running it again makes all of its results.
        if settings.out is not None:
            write_out(settings.out, record)
        if settings.state is not None:
            atomic_write(os.path.realpath(settings.state), pack_state(stream))
    console.close_drift(record, settings.out, settings.state)
    measured = stream.seen[len(begun.seen) :]
    return int(any(stream.alarms.sounds(seen) for seen in measured))


def _check_flags(settings: DriftSettings) -> None:
    """Refuse flags that make no sense together, before a file is opened."""
    if settings.real is None and settings.state is None:
        raise DataError(
            "neither --real nor --state is given. Name the real rows with --real, or with --state the file that an "
            "earlier command wrote"
        )
    if settings.out is not None:
        check_above(settings.out)
    if settings.state is not None:
        if settings.state.parent != settings.state and not Path(os.path.realpath(settings.state)).parent.is_dir():
            raise DataError(f"the folder of --state {settings.state} does not exist; make it first")
        check_writable(settings.state)
        drop_stale(os.path.realpath(settings.state))
    if settings.real is None:
        fixed: dict[str, object] = {
            "label": settings.label,
            "text": settings.text,
            "pixels": settings.pixels,
            "encoder": settings.encoder,
            "horizon": settings.horizon,
            "seed": settings.seed,
            "false-alarms": settings.false_alarms,
        }
        for flag, value in fixed.items():
            if value is not None:
                raise DataError(
                    f"--{flag} {value} is given with --state, but was fixed when the stream began. Leave it out, or "
                    f"start a new stream with --real"
                )
    elif settings.state is not None and settings.state.exists() and not settings.overwrite:
        raise DataError(
            f"{settings.state} exists already. Leave --real out to add generations to it, or give --overwrite to "
            f"start a new stream there"
        )
    if settings.seed is not None and settings.seed < 0:
        raise DataError(f"--seed is {settings.seed}; give a whole number of at least 0")
    if settings.target is not None and not (math.isfinite(settings.target) and settings.target > 0):
        raise DataError(f"--target is {settings.target}; it must be a positive number (an MMD2, between 0 and 2)")


def _begin(settings: DriftSettings, console: Console, left_out: list[Finding]) -> Stream:
    """A new stream: read and learn the real side; what could not be read is added to `left_out`."""
    assert settings.real is not None
    alarms = Alarms(
        HORIZON if settings.horizon is None else settings.horizon,
        FALSE_ALARMS if settings.false_alarms is None else settings.false_alarms,
        settings.target or 0.0,
    )
    if settings.encoder is not None:
        check_encoder(settings.encoder)
    console.say(f"Reading {settings.real} ...")
    rows, shape, found = read_real(settings.real, label=settings.label, text=settings.text, pixels=settings.pixels)
    left_out += found
    if settings.encoder is not None and shape.kind != ("image" if reads_images(settings.encoder) else "text"):
        raise DataError(f"--encoder {settings.encoder} does not read a {shape.kind} such as {settings.real}; drop it")
    seed = settings.seed or 0
    reference = learn_reference(rows.x, rows.labels, seeds=Seeds(seed).child("drift"), encoder=settings.encoder)
    shown = (exhibit(rows, shape, "real data", seed),) if settings.gallery else ()
    schema = {**shape.plain(), "real": str(settings.real), "fractions": fractional_columns(rows.x)}
    return Stream(reference, alarms, seed, schema, exhibits=shown)


def _old_state(settings: DriftSettings) -> bytes | None:
    """Content of the state that generations are added to; None for a new stream."""
    if settings.real is not None:
        return None
    assert settings.state is not None
    # An empty file is left to `unpack_state`, which says what a state is.
    is_file = settings.state.is_file() and not settings.state.stat().st_size
    return b"" if is_file else existing_file(settings.state).read_bytes()


def _resume(settings: DriftSettings, data: bytes) -> Stream:
    """The stream that a state holds."""
    stream = unpack_state(data, str(settings.state))
    if settings.target is not None:
        stream = replace(stream, alarms=replace(stream.alarms, tolerated=settings.target))
    return stream if settings.gallery else replace(stream, exhibits=())


def _measure(settings: DriftSettings, begun: Stream, console: Console, left_out: list[Finding]) -> Stream:
    """Read all files first, so that a slip in the last one costs nothing, then measure each."""
    shape = Shape.of({name: value for name, value in begun.schema.items() if name not in ("real", "fractions")})
    samples, found = read_generations(settings.generations, shape)
    left_out += found
    for sample in samples:
        if len(sample.x) < LEAST_ROWS:
            rows = f"{len(sample.x)} row{'' if len(sample.x) == 1 else 's'}"
            raise DataError(f"{sample.file} has {rows}; at least {LEAST_ROWS} are needed. Generate more")
    alpha, taken_over = choose_fractions(settings.fresh_fraction, begun, len(samples))
    if taken_over:
        console.say(f"No --fresh-fraction is given: taken to go on at {alpha[0]:.3g}.")
    left_out += truncated_columns(samples, begun.schema)
    refuse_copies(samples, begun)
    names, stream = short_names([s.file for s in samples], [s.name for s in begun.seen]), begun
    for k, (sample, name) in enumerate(zip(samples, names, strict=True)):
        console.say(f"Measuring {name}: {len(sample.x):,} rows ...")
        seen = watch_generation(
            stream.reference,
            sample.x,
            index=len(stream.seen),
            name=name,
            seeds=Seeds(stream.seed),
            labels=_known_labels(sample, shape, stream.reference, console),
            alarms=stream.alarms,
        )
        step = () if not stream.seen else (alpha[k - (not begun.seen)],)
        assumed = (len(stream.seen),) if taken_over else ()
        shown = (exhibit(sample, shape, name, stream.seed),) if stream.exhibits else ()
        stream = replace(
            stream,
            seen=(*stream.seen, seen),
            alpha=(*stream.alpha, *step),
            exhibits=(*stream.exhibits, *shown),
            assumed=(*stream.assumed, *assumed),
        )
    return replace(stream, announced=announced_fraction(settings.fresh_fraction, begun))


def _known_labels(sample: Rows, shape: Shape, reference: Reference, console: Console) -> np.ndarray | None:
    """Classes of a generation; None where folders of images are named after something else than the real classes."""
    shares = reference.class_shares
    if shape.kind != "image" or sample.labels is None or shares is None or set(sample.labels) & set(shares):
        return sample.labels
    console.say(f"No folder in {sample.file} is named like a class of the real images, so classes are not compared.")
    return None


def short_names(files: list[str], taken: list[str]) -> list[str]:
    """File names without the ending that can be read (``gen.0.1.npy`` -> ``gen.0.1``), numbered where they clash."""
    names, used = [], set(taken)
    for file in files:
        path = Path(file)
        bare = source_name(path) or path.resolve().name  # "/" has no name
        stem = bare[: -len(".npy")] if path.is_file() and Path(bare).suffix.lower() == ".npy" else bare
        name, number = stem, 2
        while name in used:
            name, number = f"{stem} ({number})", number + 1
        used.add(name)
        names.append(name)
    return names


def _look_ahead(stream: Stream, settings: DriftSettings) -> Outlook | None:
    """Forecast and plan; None with a single generation."""
    if len(stream.seen) < 2:
        return None
    ahead = max(LEAST_AHEAD, stream.alarms.horizon - len(stream.seen))
    seeds = Seeds(stream.seed).child("outlook")
    return look_ahead(stream.trace, ahead, seeds=seeds, target=settings.target or (stream.alarms.tolerated or None))
