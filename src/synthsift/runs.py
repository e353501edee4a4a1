"""The run folder: one writer at a time, one run in it, and results that survive a kill.

`RunFolder.open` takes a lock, decides whether the folder holds the run that was asked for, and keeps each finished
(policy, seed, fold) cell in a file of its own; a killed run repeats at most one of them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.cells import read_cell, write_cell
from synthsift.locking import LOCK, release_lock, take_lock
from synthsift.writing import TEMPORARY, RunError, explained, to_plain, write_json

SCHEMA = 1
RULES = 4  # of training and leaving out: raised where cells of a begun run would not be those of this version
TOOL = "synthsift"
SETTINGS = "settings.json"
SUMMARY = "summary.json"
CELLS = "cells"
FLAGS = {"first_seed": "seed", "num_seeds": "seeds", "budget_minutes": "budget"}  # settings that are called otherwise
SHOWN = 60  # characters of a setting in a message
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


def read_settings(path: Path | str) -> dict[str, Any]:
    """Return the settings of the run in folder `path` (or in a settings.json given itself).

    Raises
    ------
    RunError
        If there is no run, its settings are damaged, or another version of synthsift wrote it.
    """
    settings = _read_record(path, SETTINGS).get("settings")
    if not isinstance(settings, dict):
        raise RunError(f"{path} is damaged: its {SETTINGS} holds no settings. Repeat the run in a new folder.")
    return settings


def read_summary(path: Path | str) -> dict[str, Any]:
    """Return summary.json of the finished run in folder `path` (or the file given itself); its verdict has a sentence.

    Raises
    ------
    RunError
        If there is no finished run, its summary is damaged, or another version of synthsift wrote it.
    """
    record = _read_record(path, SUMMARY)
    if not _has_sentence(record):
        raise RunError(_damaged(Path(path), "it holds no verdict with a sentence"))
    return record


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
        wanted = {"schema": SCHEMA, "tool": TOOL, "rules": RULES, "data_hash": data_hash}
        wanted["settings"] = to_plain(settings)
        _refuse_foreign(path)
        is_new, lock = not path.exists(), None
        try:
            with explained(path, 0):
                path.mkdir(parents=True, exist_ok=True)
            lock = take_lock(path)
            resumed = _settle(path, wanted, overwrite)
        except BaseException:
            if lock is not None:
                release_lock(path, lock)
            if is_new:
                with contextlib.suppress(OSError):
                    path.rmdir()
            raise
        return cls(path, data_hash, resumed, lock)

    @property
    def complete(self) -> bool:
        """True when summary.json, which is to be written last, is there and sound."""
        return _has_sentence(_read_json(self.path / SUMMARY))

    def get_cell(self, policy: str, seed: int, fold: int) -> dict[str, np.ndarray] | None:
        """Return the arrays of a finished cell, or None when it is absent or damaged."""
        return read_cell(self.path / CELLS, ["cell", policy, int(seed), int(fold)])

    def put_cell(self, policy: str, seed: int, fold: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the numeric `arrays` of a finished cell."""
        write_cell(self.path / CELLS, ["cell", policy, int(seed), int(fold)], arrays)

    def drop_cells(self) -> None:
        """Remove all cells; to be called when the run is complete."""
        _remove_inside(self.path / CELLS, FOLDERS[CELLS])

    def close(self) -> None:
        """Release and remove the lock."""
        if self.lock is not None:
            release_lock(self.path, self.lock)
            self.lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


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
        if name == SUMMARY and file.exists() and _is_ours(path):
            raise RunError(_damaged(file, "it is not the JSON object that was written"))
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


def _has_sentence(record: Any) -> bool:
    """True for the content of a summary.json that holds a verdict in words."""
    verdict = record.get("verdict") if isinstance(record, dict) else None
    return isinstance(verdict, dict) and isinstance(verdict.get("sentence"), str)


def _damaged(file: Path, why: str) -> str:
    """What to say of a summary.json that cannot be relied on."""
    place = file / SUMMARY if file.is_dir() else file
    return f"{place} is damaged: {why}. Repeat the run's command; it is resumed and writes the file again."


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
    old, new = seen.get("settings"), wanted["settings"]
    old = old if isinstance(old, dict) else {}  # damaged: then all settings differ
    same_reading = old.get("data") == new.get("data")
    old, new = _by_flag(old), _by_flag(new)
    differ = [
        f"--{name.replace('_', '-')}: {_two_short(old.get(name), new.get(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    # which rows are read changes the hash, too
    if seen.get("data_hash") != wanted["data_hash"] and same_reading:
        differ.append("the content of the data")
    if seen.get("rules") != wanted["rules"]:
        differ.append("rules of training of another version")
    if differ:
        raise RunError(
            f"{path} holds a run with other settings ({'; '.join(differ)}). To resume it, the same command and data "
            "are needed. Choose another --out, or give --overwrite to replace that run."
        )


def _by_flag(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the name of their flag; those of the data are flags like the others, and share the seed."""
    data = settings.get("data")
    flat = {**settings, **data} if isinstance(data, dict) else dict(settings)
    if isinstance(data, dict):
        flat["data"] = data.get("data")
    return {FLAGS.get(name, name): value for name, value in flat.items()}


def _two_short(old: Any, new: Any) -> str:
    """Two settings that differ, each in at most `SHOWN` characters: of long ones the part where they differ."""
    texts = [json.dumps(value, ensure_ascii=False) for value in (old, new)]
    first = next((k for k, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    start = max(0, first - SHOWN // 3) if max(map(len, texts)) > SHOWN and first > SHOWN // 2 else 0
    there, now = (_short("..." * (start > 0) + text[start:]) for text in texts)
    return f"{there} there, {now} now"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
