"""One writer at a time: the lock of a run folder, which says who holds it since when."""

from __future__ import annotations

import fcntl
import os
from datetime import datetime
from pathlib import Path

from synthsift.writing import RunError, explained

LOCK = ".lock"


def take_lock(path: Path) -> int:
    """Lock `path` for this process and say in the lock who holds it since when."""
    with explained(path / LOCK, 0):
        while True:
            descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The holder removes the file before it lets go: a lock on a removed file protects nothing, so again.
                if os.path.exists(path / LOCK) and os.path.samestat(os.fstat(descriptor), os.stat(path / LOCK)):
                    break
            except BlockingIOError as error:
                holder = os.pread(descriptor, 200, 0).decode() or "unknown pid"
                os.close(descriptor)
                raise RunError(
                    f"another run ({holder}) is writing into {path}. Wait for it, stop it, or choose another --out."
                ) from error
            os.close(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S}".encode(), 0)
    return descriptor


def release_lock(path: Path, descriptor: int) -> None:
    """Remove the lock file while it is still held, then let go."""
    (path / LOCK).unlink(missing_ok=True)
    os.close(descriptor)
