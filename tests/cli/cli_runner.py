"""Run the command line in this process, as `synthsift ...` would, and look at what it leaves behind."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from synthsift import writing
from synthsift.cli.app import run_app


@dataclass(frozen=True)
class Ended:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


def leave_stale(target: Path) -> None:
    """Leave what a killed writer of `target` leaves: half a file under a passing name with its number."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    target.with_name(f"{writing._start_of_name(target)}{ended.pid}-ab.tmp").write_text("half")


def synthsift(*arguments: object) -> Ended:
    """Call the console entry point with `arguments`."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["synthsift", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            run_app()
            code: int | str | None = 0
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int), code
    return Ended(code, out.getvalue(), err.getvalue())


def fill_disk(patch: pytest.MonkeyPatch, after: int) -> None:
    """From the given call on, nothing can be flushed to the disk."""
    calls, flush = [0], os.fsync

    def full(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    patch.setattr(os, "fsync", full)


def snapshot(place: Path) -> dict[str, str] | None:
    """Digest of every file below `place`, or of the file itself; None where there is nothing."""
    if not place.exists():
        return None
    if place.is_file():
        return {"": _digest(place)}
    return {str(p.relative_to(place)): _digest(p) if p.is_file() else "" for p in sorted(place.rglob("*"))}


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
