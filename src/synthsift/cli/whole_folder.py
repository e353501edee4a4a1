"""A folder that appears whole or not at all: made hidden beside its place, and renamed when nothing went wrong."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthsift.records import DataError
from synthsift.writing import explained


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a new hidden folder that becomes `out` when the block ends well.

    After anything else, neither it nor a parent that was made for it is left. What a killed process of this computer
    has left of the same `out` is removed.

    Raises
    ------
    DataError
        If `out` is a file or holds something, or the operating system refuses to write there.
    """
    with explained(out, 0):
        if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
            seen = "not empty" if out.is_dir() else "a file" if out.exists() else "a link that leads nowhere"
            raise DataError(f"{out} is {seen}; name a new folder for the selected data")
        place = Path(os.path.realpath(out))
        begun = begun_name(place)
        made = [parent for parent in place.parents if not parent.exists()]
        try:
            begun.parent.mkdir(parents=True, exist_ok=True)
            remove_stale(place)
            begun.mkdir()
            yield begun
            os.replace(begun, place)
        except BaseException:
            shutil.rmtree(begun, ignore_errors=True)
            for parent in made:
                with suppress(OSError):  # another process has put something there, or it was never made
                    parent.rmdir()
            raise


def begun_name(place: Path) -> Path:
    """Return what this process calls a file or folder that will be `place` while it is written."""
    return place.with_name(f".{place.name}.{_computer()}-{os.getpid()}.part")


def _computer() -> str:
    """A digest of this computer's name: others that share the disk have processes of the same numbers."""
    return hashlib.sha256(platform.node().encode("utf-8", "surrogateescape")).hexdigest()[:10]


def remove_stale(place: Path) -> None:
    """Remove what processes of this computer that are gone have begun for `place`: files, links and whole folders."""
    name = re.compile(rf"\.{re.escape(place.name)}\.{_computer()}-(\d+)\.part")
    for entry in place.parent.iterdir():
        begun = name.fullmatch(entry.name)
        if not begun or _is_running(int(begun[1])):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with suppress(OSError):  # another process was faster, or may and this one may not
                entry.unlink()


def _is_running(process: int) -> bool:
    """Whether another process has this number; one of our own number cannot be another's."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def check_above(out: Path) -> None:
    """Refuse an --out that cannot be made, before the work and not after it.

    Raises
    ------
    DataError
        If something above it is no folder, or a folder above it that is missing may not be made.
    """
    place = Path(os.path.realpath(out.expanduser()))
    above = next(path for path in place.parents if path.exists())
    if not above.is_dir():
        raise DataError(f"{above} is a file, so --out {out} cannot be made. Choose another --out")
    if not place.exists() and not os.access(above, os.W_OK | os.X_OK):
        raise DataError(f"{above} may not be written into, so --out {out} cannot be made. Choose another --out")
