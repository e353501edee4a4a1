"""One command at a time on a state: nobody's generation is lost when two commands add to it at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from synthsift.records import DataError
from synthsift.writing import explained


@contextlib.contextmanager
def own_turn(state: Path | None, before: bytes | None, *, may_replace: bool) -> Iterator[None]:
    """Hold the folder of `state` while results are written, if the state still is what this command began with.

    Measuring takes minutes and writing a moment. So nothing is held while rows are read; who comes second is told.
    The folder itself is locked, as the file is replaced and a lock of its own would be left behind by a crash.

    Parameters
    ----------
    state : Path, optional
        File of the state; without one nothing is held.
    before : bytes, optional
        What it held when it was read; None for a new stream.
    may_replace : bool
        Whether a new stream may take the place of a state.

    Raises
    ------
    DataError
        If another command has written the state since.
    """
    if state is None:
        yield
        return
    state = Path(os.path.realpath(state))
    with explained(state.parent, 0):
        descriptor = os.open(state.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if before is None and state.exists() and not may_replace:
            raise DataError(
                f"{state.name} was made by another command while this one measured. Nothing was written; leave --real "
                f"out to add generations to that stream, or choose another --state"
            )
        if before is not None and (not state.is_file() or state.read_bytes() != before):
            raise DataError(
                f"{state.name} was changed by another command while this one measured. Nothing was written; run this "
                f"command again, and it adds its generations to the new state"
            )
        yield
    finally:
        os.close(descriptor)


def check_writable(state: Path) -> None:
    """Refuse a place where the state cannot be written, before anything is measured.

    Raises
    ------
    DataError
        If it is a folder, or its folder may not be written into.
    """
    place = Path(os.path.realpath(state))
    if place.is_dir():
        raise DataError(f"--state {state} is a folder; name a file in it")
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise DataError(f"{place.parent}, the folder of --state {state}, may not be written into. Choose another place")
