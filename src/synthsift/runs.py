"""The run folder: files that are whole or absent, one writer at a time, and results that survive a kill.

Every file is written beside its place, flushed to the disk and renamed, so a reader sees the old content or the new one
and never half of it. `RunFolder.open` takes a lock, decides whether the folder holds the run that was asked for, and
keeps each finished (policy, seed, fold) cell in a file of its own; a killed run repeats at most one of them.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import errno
import fcntl
import hashlib
import io
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.records import DataError

SCHEMA = 1
TOOL = "synthsift"
SETTINGS = "settings.json"
SUMMARY = "summary.json"
LOCK = ".lock"
CELLS = "cells"
TEMPORARY = ".synthsift-"
# summary.json goes first when a run is removed: without it nothing can take the rest for a finished run.
FILES = (
    SUMMARY,
    "weights.parquet",
    "features.parquet",
    "comparison.csv",
    "predictions.parquet",
    "history.parquet",
    "findings.json",
    "gallery.json",
    "planted.json",
    "plan.json",
    "log.txt",
    "report.html",
)
FOLDERS = {CELLS: (".safetensors",), "model": (".safetensors", ".json")}


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
    path = Path(path)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(6)}.tmp")
    with _explained(path, len(data)):
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


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
    """Write equally long one-dimensional `columns` as Parquet, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), buffer)
    atomic_write(path, buffer.getvalue().to_pybytes())


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


def read_settings(path: Path | str) -> dict[str, Any]:
    """Return the settings of the run in folder `path` (or in a settings.json given itself).

    Raises
    ------
    RunError
        If there is no run, or another version of synthsift wrote it.
    """
    return _read_record(path, SETTINGS)["settings"]


def read_summary(path: Path | str) -> dict[str, Any]:
    """Return summary.json of the finished run in folder `path` (or the file given itself).

    Raises
    ------
    RunError
        If there is no finished run, or another version of synthsift wrote it.
    """
    return _read_record(path, SUMMARY)


@dataclass(eq=False)
class RunFolder:
    """A folder that this process alone writes a run into. Made by `RunFolder.open`; use it as a context manager.

    Parameters
    ----------
    path : Path
        The folder.
    data_hash : str
        Names the data that the run reads.
    resumed : bool
        True when an earlier run with the same settings and data had begun here.
    lock : int or None
        Descriptor of the lock; None once closed.
    """

    path: Path
    data_hash: str
    resumed: bool
    lock: int | None

    @classmethod
    def open(
        cls, path: Path | str, settings: Mapping[str, Any], data_hash: str, *, overwrite: bool = False
    ) -> RunFolder:
        """Make or reopen the run folder `path` and lock it.

        Parameters
        ----------
        path : Path
            Folder of the run; made when missing.
        settings : mapping
            All that the numbers of the run depend on, beside the data.
        data_hash : str
            Changes when the data do.
        overwrite : bool
            Remove the files of an earlier run (and nothing else) first.

        Raises
        ------
        RunError
            If the folder holds something that is not a run, or a run with other settings or data and `overwrite` is
            False, or if another process is writing into it. The folder is as it was.
        """
        path = Path(path)
        wanted = {"schema": SCHEMA, "tool": TOOL, "data_hash": data_hash, "settings": to_plain(settings)}
        _refuse_foreign(path)
        is_new, lock = not path.exists(), None
        try:
            with _explained(path, 0):
                path.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(path)
            resumed = _settle(path, wanted, overwrite)
        except BaseException:
            if lock is not None:
                _release_lock(path, lock)
            if is_new:
                with contextlib.suppress(OSError):
                    path.rmdir()
            raise
        return cls(path, data_hash, resumed, lock)

    @property
    def complete(self) -> bool:
        """True when summary.json, which is to be written last, is there."""
        return (self.path / SUMMARY).exists()

    def get_cell(self, policy: str, seed: int, fold: int) -> dict[str, np.ndarray] | None:
        """Return the arrays of a finished cell, or None when it is absent or damaged."""
        return self._get(["cell", policy, int(seed), int(fold)])

    def put_cell(self, policy: str, seed: int, fold: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the numeric `arrays` of a finished cell."""
        self._put(["cell", policy, int(seed), int(fold)], arrays)

    def get_blob(self, name: str) -> dict[str, np.ndarray] | None:
        """Return other intermediate arrays kept under `name`, or None when they are absent or damaged."""
        return self._get(["blob", name])

    def put_blob(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep other numeric intermediate `arrays` under `name`."""
        self._put(["blob", name], arrays)

    def drop_cells(self) -> None:
        """Remove all cells and blobs; to be called when the run is complete."""
        _remove_inside(self.path / CELLS, FOLDERS[CELLS])

    def close(self) -> None:
        """Release and remove the lock."""
        if self.lock is not None:
            _release_lock(self.path, self.lock)
            self.lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _place(self, key: str) -> Path:
        """File of the cell called `key`."""
        return self.path / CELLS / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.safetensors"

    def _put(self, name: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Write one cell."""
        from safetensors.numpy import save

        # safetensors writes the memory as it lies: a transposed array would come back in the wrong order.
        ordered = {key: np.array(value, order="C") for key, value in arrays.items()}
        for key, value in ordered.items():
            if value.dtype.kind not in "biuf":
                raise TypeError(
                    f"cell array {key!r} has dtype {value.dtype}; store numbers or codes, not objects or text"
                )
        key = json.dumps(name)
        with _explained(self.path / CELLS, 0):
            (self.path / CELLS).mkdir(exist_ok=True)
        atomic_write(self._place(key), save(ordered, metadata={"key": key, "digest": _digest(ordered)}))

    def _get(self, name: list[Any]) -> dict[str, np.ndarray] | None:
        """Read one cell; anything but the very arrays that were put counts as absent."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        key = json.dumps(name)
        try:
            data = self._place(key).read_bytes()
            arrays = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            whole = header["key"] == key and header["digest"] == _digest(arrays)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None
        return arrays if whole else None


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Fingerprint of names, types, shapes and numbers."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        total.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        total.update(array.tobytes())
    return total.hexdigest()


@contextlib.contextmanager
def _explained(path: Path, needed: int) -> Iterator[None]:
    """Turn an error of the operating system at `path` into a message that a user can act on."""
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
    """What to say when no space is left for `needed` bytes at `path`."""
    free = shutil.disk_usage(next(parent for parent in (path, *path.parents) if parent.is_dir())).free
    return (
        f"The disk is full: {path.name} needs {needed:,} bytes in {path.parent} and {free:,} are free. "
        "Nothing was damaged: every file there is as it was. Free some space and run the same command again; "
        "it goes on where it stopped."
    )


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_json(path: Path) -> Any:
    """Content of a JSON file, or None when it is not one."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _read_record(path: Path | str, name: str) -> dict[str, Any]:
    """Read settings.json or summary.json and check that this version understands it."""
    path = Path(path)
    file = path / name if path.is_dir() else path
    record = _read_json(file)
    if not isinstance(record, dict) or "schema" not in record or (name == SETTINGS and record.get("tool") != TOOL):
        if name == SUMMARY and not file.exists() and _is_ours(path):
            raise RunError(f"the run in {path} has not ended: it has no {name}. Repeat its command; it is resumed.")
        seen = "is not one" if file.exists() else "does not exist"
        raise RunError(
            f"{path} is not a run of synthsift: its {name} was needed, {file} {seen}. "
            "Give the folder that was --out of `synthsift run`."
        )
    if record["schema"] != SCHEMA:
        raise RunError(
            f"{file} has schema {record['schema']!r}, this version of synthsift reads {SCHEMA}. "
            "Use the version that made it, or repeat the run."
        )
    return record


def _is_ours(path: Path) -> bool:
    """True when the settings in folder `path` were written by synthsift, whatever version."""
    record = _read_json(path / SETTINGS)
    return isinstance(record, dict) and record.get("tool") == TOOL


def _is_passing(file: Path) -> bool:
    """True for what a killed run may leave before its settings are written: its lock and temporary files."""
    if file.name == LOCK and file.is_file():
        return file.read_bytes()[:4] in (b"", b"pid ")
    return file.name.startswith(TEMPORARY)


def _refuse_foreign(path: Path) -> None:
    """Refuse a place that holds something else than a run; nothing is touched."""
    if not path.exists():
        return
    if not path.is_dir():
        raise RunError(f"{path} is a file and a folder is needed for the run. Choose another --out.")
    try:
        found = sorted(name for name in os.listdir(path) if not _is_passing(path / name))
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}). Choose another --out.") from error
    if found and not _is_ours(path):
        raise RunError(
            f"{path} holds files that are not a run of synthsift ({', '.join(found[:3])}"
            f"{', ...' if len(found) > 3 else ''}). A new or empty folder is needed; nothing was touched. "
            "Choose another --out, or move those files away; --overwrite never removes files of others."
        )


def _settle(path: Path, wanted: dict[str, Any], overwrite: bool) -> bool:
    """Decide under the lock whether the folder is resumed (True) or begun (False), and make it ready."""
    _refuse_foreign(path)
    for folder in (path, *(path / name for name in FOLDERS)):
        for stale in folder.glob(f"{TEMPORARY}*.tmp"):
            stale.unlink(missing_ok=True)
    if (path / SETTINGS).exists() and not overwrite:
        _refuse_other(path, wanted)
        return True
    for name in FILES:
        (path / name).unlink(missing_ok=True)
    for name, endings in FOLDERS.items():
        _remove_inside(path / name, endings)
    # The old settings stay until the new ones replace them: a kill in between leaves a run that can be reopened.
    write_json(path / SETTINGS, wanted)
    return False


def _remove_inside(folder: Path, endings: Sequence[str]) -> None:
    """Remove the files with `endings` in `folder`, and the folder when nothing else is in it."""
    for file in folder.glob("*"):
        if file.suffix in endings and not file.is_dir():
            file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _refuse_other(path: Path, wanted: dict[str, Any]) -> None:
    """Refuse to resume a run that was begun with other settings or data, and say which."""
    seen = _read_json(path / SETTINGS)
    if seen.get("schema") != SCHEMA:
        raise RunError(
            f"{path} holds a run with schema {seen.get('schema')!r}; this version writes {SCHEMA}. "
            "Choose another --out, or give --overwrite to replace that run."
        )
    old, new = seen.get("settings", {}), wanted["settings"]
    differ = [
        f"{name}: {_short(old.get(name))} there, {_short(new.get(name))} now"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    if seen.get("data_hash") != wanted["data_hash"]:
        differ.append("the content of the data")
    if differ:
        raise RunError(
            f"{path} holds a run with other settings ({'; '.join(differ)}). To resume it, the same command and data "
            "are needed. Choose another --out, or give --overwrite to replace that run."
        )


def _short(value: Any) -> str:
    """A setting in at most 60 characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _take_lock(path: Path) -> int:
    """Lock `path` for this process and say in the lock who holds it since when."""
    with _explained(path / LOCK, 0):
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


def _release_lock(path: Path, descriptor: int) -> None:
    """Remove the lock file while it is still held, then let go."""
    (path / LOCK).unlink(missing_ok=True)
    os.close(descriptor)
