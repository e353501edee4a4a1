"""The chosen images, copied into class folders, with a list of their weights."""

from __future__ import annotations

import csv
import errno
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from synthsift.records import DataError

WEIGHTS_FILE = "weights.csv"
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # errors that the place copied to has, not the image
HEADER = ("file", "source", "label", "weight")


def copy_selected(columns: Mapping[str, np.ndarray], out: Path) -> dict[str, int]:
    """Copy images byte by byte to ``SOURCE/LABEL/NAME`` and list them in weights.csv, in the order given.

    Every folder of a source is again a folder with one folder a class, so it can be read as it was.

    Parameters
    ----------
    columns : mapping of str to ndarray (n,)
        "file", "source", "label", "weight" of the kept images; validation images have the source "valid".
    out : Path
        An existing folder.

    Returns
    -------
    dict of str to int
        Images copied, by folder.

    Raises
    ------
    DataError
        If an image is not there any more.
    OSError
        If `out` cannot be written.
    """
    copied: dict[str, int] = {}
    taken: set[str] = set()
    with open(out / WEIGHTS_FILE, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)
        rows = zip(*(columns[name].tolist() for name in HEADER), strict=True)
        for file, source, label, weight in rows:
            folder = _safe_name(source)
            place = _free_place(f"{folder}/{_safe_name(label)}", Path(file).name, taken)
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(file, out / place)
            except OSError as error:
                if error.errno in OF_THE_DISK:
                    raise
                raise DataError(
                    f"{file} cannot be copied ({error}); has it been moved since the run? Put it back or run again."
                ) from error
            writer.writerow((place, source, label, repr(float(weight))))
            copied[folder] = copied.get(folder, 0) + 1
        stream.flush()
        os.fsync(stream.fileno())
    return copied


def _safe_name(name: str) -> str:
    """Return a source or label as the name of one folder: no separators, not hidden, never "..", not the list's."""
    bare = re.sub(r"[/\\\0]", "-", str(name)).lstrip(".") or "-"
    return f"{bare}-" if bare == WEIGHTS_FILE else bare


def _free_place(folder: str, name: str, taken: set[str]) -> str:
    """Return a path in `folder`, numbered where an image of that name lies there already (from a subfolder)."""
    place, number = f"{folder}/{name}", 2
    while place.casefold() in taken:  # some file systems do not tell A from a
        place, number = f"{folder}/{number}-{name}", number + 1
    taken.add(place.casefold())
    return place
