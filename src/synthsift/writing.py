"""Files that are whole or absent: each is written beside its place, flushed to the disk and renamed.

A reader sees the old content or the new one and never half of it; what the operating system refuses is explained.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import errno
import hashlib
import io
import json
import math
import os
import platform
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from synthsift.records import DataError

if TYPE_CHECKING:
    import pyarrow as pa

TEMPORARY = ".synthsift-"


class RunError(DataError):
    """A run folder that cannot be used as asked. The message says what was seen, needed and what to do next."""


def atomic_write(path: Path | str, data: bytes) -> None:
    """Write `data` so that `path` holds all of it or what it held before, whatever happens in between.

    Parameters
    ----------
    path : Path
        File to make or replace; its folder must exist.
    data : bytes
        Whole content.

    Raises
    ------
    RunError
        If the disk is full or the file cannot be written. The temporary file is gone and `path` is as it was.
    """
    with atomic_file(path, len(data)) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(path: Path | str, needed: int = 0) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends, as `atomic_write` does with a whole content.

    Parameters
    ----------
    path : Path
    needed : int
        Bytes that will be written; 0 where nobody knows.

    Raises
    ------
    RunError
        As `atomic_write`. Where the block raises, the temporary file is gone and `path` is as it was, too.
    """
    path = Path(path)
    temporary = path.with_name(f"{_start_of_name(path)}{os.getpid()}-{secrets.token_hex(6)}.tmp")
    with explained(path, needed):
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def drop_stale(path: Path | str) -> None:
    """Remove what killed writers of `path` on this computer have left half written beside it; nothing else.

    A writer that still runs keeps its file, and so does a number that another process has taken over meanwhile.
    """
    path = Path(path)
    start = _start_of_name(path)
    for file in path.parent.glob(f"{start}*.tmp"):
        number = file.name.removeprefix(start).partition("-")[0]
        if number.isdigit() and not _is_running(int(number)):
            with contextlib.suppress(OSError):  # gone already, or not ours to remove: then it stays
                file.unlink()


def _start_of_name(path: Path) -> str:
    """How the names of temporary files of `path` begin: a digest of this computer's name and of the file's."""
    key = f"{platform.node()}\0{path.name}".encode("utf-8", "surrogateescape")
    return f"{TEMPORARY}{hashlib.sha256(key).hexdigest()[:10]}-"


def _is_running(number: int) -> bool:
    """Whether a process of that number runs, whoever's it is."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no number of a process: rather not
        return True
    return True


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically; a lone surrogate (a file name that is not UTF-8) becomes its escape."""
    atomic_write(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as JSON, atomically: key order kept, floats in full, NaN and infinities as null.

    Parameters
    ----------
    path : Path
        File to make or replace.
    value : Any
        Mappings, sequences, dataclasses, enums, paths, NumPy arrays and scalars, and what JSON knows itself.
    """
    write_text(path, json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False, indent=1) + "\n")


def write_csv(path: Path | str, columns: Mapping[str, Sequence[Any] | np.ndarray]) -> None:
    """Write equally long `columns` as CSV with a header, atomically; a missing number is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(to_plain(list(column)) for column in columns.values()), strict=True))
    write_text(path, text.getvalue())


def write_parquet(path: Path | str, columns: Mapping[str, Sequence[Any] | np.ndarray]) -> None:
    """Write equally long one-dimensional `columns` as Parquet with a checksum a page, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.BufferOutputStream()
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    pq.write_table(table, buffer, write_page_checksum=True)
    atomic_write(path, buffer.getvalue().to_pybytes())


def write_parquet_parts(path: Path | str, parts: Iterable[Mapping[str, Sequence[Any] | np.ndarray | pa.Array]]) -> None:
    """Write the parts of a table, of the same columns each, one below the other as `write_parquet` writes the whole.

    Each is a row group, and no more than one is in memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = (pa.table({name: pa.array(column) for name, column in columns.items()}) for columns in parts)
    first = next(tables)
    with atomic_file(path) as file, pq.ParquetWriter(file, first.schema, write_page_checksum=True) as writer:
        writer.write_table(first)
        del first
        for table in tables:
            writer.write_table(table)


def to_plain(value: Any) -> Any:
    """Turn `value` into what JSON can hold: text, numbers, booleans, None, lists and dictionaries with text keys.

    Raises
    ------
    TypeError
        If a part of `value` has no such form.
    """
    if isinstance(value, np.ndarray | np.generic):
        return to_plain(value.tolist())
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} has no JSON form: {value!r}")


@contextlib.contextmanager
def explained(path: Path, needed: int) -> Iterator[None]:
    """Turn an error of the operating system at `path` into a message that a user can act on.

    Parameters
    ----------
    path : Path
        What the user knows of, whatever it is called while it is written.
    needed : int
        Bytes; 0 where nobody knows.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(_full_disk(path, needed)) from error
        raise RunError(
            f"{path} cannot be written ({error.strerror}). Nothing was damaged. "
            "Give the right to write there, or choose another folder."
        ) from error


def _full_disk(path: Path, needed: int) -> str:
    """What to say when no space is left for `needed` bytes (0: for how many is not known) at `path`."""
    free = shutil.disk_usage(next(parent for parent in (path, *path.parents) if parent.is_dir())).free
    lacking = f"{needed:,} bytes in {path.parent} and" if needed else f"more space in {path.parent} than the"
    return (
        f"The disk is full: {path.name} needs {lacking} {free:,}{'' if needed else ' bytes that'} are free. "
        "Nothing was damaged: every file there is as it was. Free some space and run the same command again; "
        "a run goes on where it stopped."
    )


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
