"""Images of any size, mode and format into one store of small color pictures, each decoded once.

A picture is turned as its camera says, composed on white where it is transparent, and scaled to a square: the whole
picture stays visible and no border is invented. What cannot be decoded is left out and reported. The store lives in
memory up to `MAX_MEMORY` bytes, beyond that in a temporary file that is mapped, so tens of thousands of pictures fit.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from synthsift.data import notices_images as notices
from synthsift.data.columns import RawFile
from synthsift.data.decoding import MAX_THREADS, decode
from synthsift.data.folders import ImageFolder, printable
from synthsift.data.parts import Part
from synthsift.records import DataError, Finding, Images

MAX_MEMORY = 1 << 30  # bytes of decoded pictures that are held in memory
PIECE = 512  # images that are held at a time where a folder is read in pieces
BLOCK = 64  # images that one thread decodes in a row
DARK = 64  # of 255: where no picture of a source has a brighter pixel; 14 of 16 bits end below it
MAX_LOST = 0.5  # share of a folder's images that may be undecodable; above it the folder is not what it seems


def decode_parts(parts: Sequence[Part], pixels: int) -> tuple[list[Part], list[Finding]]:
    """Decode the images of all parts into one store.

    Parameters
    ----------
    parts : sequence of Part
        Parts that may be images (``raw.folder``); others pass unchanged.
    pixels : int
        Side of the decoded pictures.

    Returns
    -------
    parts : list of Part
        With `Images` as ``raw.x``, without the images that could not be decoded.
    findings : list of Finding
        What was left out.

    Raises
    ------
    DataError
        If more than half of the images of a part cannot be decoded.
    """
    folders = {part.raw.file: part.raw.folder for part in parts if part.raw.folder is not None}
    if not folders:
        return list(parts), []
    files = [file for part in parts if part.raw.folder is not None for file in part.image_files.tolist()]
    store = _new_store(len(files), pixels)
    reasons = _decode_all(files, store)
    reread = partial(_reread, files)
    decoded, lost, dark, start = [], dict[str, str](), dict[str, int](), 0
    for part in parts:
        if part.raw.folder is None:
            decoded.append(part)
            continue
        place = np.arange(start, start + len(part))
        start += len(part)
        failed = {printable(files[k]): reasons[k] for k in place if reasons[k]}
        _refuse_mostly_lost(part.raw.file, part.source, len(part), failed)
        whole = replace(part, raw=replace(part.raw, x=Images(store, place, reread)))
        decoded.append(whole.take(np.array([k for k, at in enumerate(place) if not reasons[at]], np.int64)))
        lost |= failed
        brightest = max((int(store[k].max()) for k in place.tolist()), default=255)
        if brightest < DARK:
            dark[part.source] = brightest
    about = about_folders(list(folders.values())) + ([notices.nearly_black(dark)] if dark else [])
    return decoded, about + ([notices.undecodable(lost, len(files))] if lost else [])


def decode_pieces(raw: RawFile, source: str, pixels: int, lost: dict[str, str]) -> Iterator[tuple[np.ndarray, Images]]:
    """Decode one folder of images some at a time, so that pixels take the same memory whatever it holds.

    Parameters
    ----------
    raw : RawFile
        Of a folder (``raw.folder``).
    source : str
        What its images are called in a message.
    pixels : int
        Side of the decoded pictures.
    lost : dict of str to str
        Receives the images that could not be decoded, and why.

    Yields
    ------
    places : ndarray (k,) of int64
        Which images of the folder these are.
    pictures : Images (k,)

    Raises
    ------
    DataError
        If more than half of the images cannot be decoded.
    """
    assert raw.folder is not None
    files, failed = raw.folder.paths, dict[str, str]()
    for first in range(0, len(files), PIECE):
        some = files[first : first + PIECE]
        store = np.zeros((len(some), pixels, pixels, 3), np.uint8)
        reasons = _decode_all(some, store)
        failed |= {printable(file): reason for file, reason in zip(some, reasons, strict=True) if reason}
        _refuse_mostly_lost(raw.file, source, len(files), failed)
        sound = np.array([k for k, reason in enumerate(reasons) if not reason], np.int64)
        if len(sound):
            yield first + sound, Images(store, sound, partial(_reread, some))
    lost |= failed


def about_folders(folders: Sequence[ImageFolder]) -> list[Finding]:
    """Say what lies in folders of images and is none of them, one finding a kind."""
    kinds = (("empty", notices.empty_classes), ("strays", notices.stray_files), ("links", notices.unfollowed_links))
    found = []
    for kind, notice in kinds:
        names = [printable(str(folder.root / name)) for folder in folders for name in getattr(folder, kind)]
        found += [notice(names)] if names else []
    return found


def _new_store(count: int, pixels: int) -> np.ndarray:
    """Return room for so many pictures (n, p, p, 3), in memory or mapped from a file that vanishes with it."""
    shape = (count, pixels, pixels, 3)
    if count * pixels * pixels * 3 <= MAX_MEMORY:
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile() as file:
        _take_space(file.fileno(), math.prod(shape))
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _take_space(file: int, size: int) -> None:
    """Take bytes on the disk for an empty file; were they only promised, a full disk would kill the process later."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):  # not every file system can
            return
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
        raise DataError(
            f"The disk is full: decoded pictures need {size:,} bytes in {folder} and {free:,} are free "
            f"({error.strerror}). Free some space, or name a folder that has it in the variable TMPDIR, and "
            "run the same command again."
        ) from error


def _decode_all(files: Sequence[str], store: np.ndarray) -> list[str]:
    """Fill the store; return for each file why it could not be decoded, "" where it could."""

    def fill(place: int) -> str:
        if printable(files[place]) != files[place]:
            return "its name is not UTF-8, so no result could name it"
        try:
            store[place] = decode(files[place], store.shape[1])
        except Exception as error:  # whatever a decoder raises on hostile bytes: struct.error, KeyError ...
            return _reason(error, files[place])
        return ""

    def fill_block(start: int) -> list[str]:
        return [fill(place) for place in range(start, min(start + BLOCK, len(files)))]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on odd metadata of sound pictures; sizes are checked below
        with ThreadPoolExecutor(max(1, min(MAX_THREADS, os.cpu_count() or 1))) as threads:
            blocks = threads.map(fill_block, range(0, len(files), BLOCK))
            return [reason for block in blocks for reason in block]


def _reason(error: Exception, file: str) -> str:
    """Say in words why an image was not decoded."""
    from PIL import UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return "a link to nothing" if os.path.islink(file) else "it is gone"
    if isinstance(error, UnidentifiedImageError):
        return "no picture that can be read" if os.path.getsize(file) else "an empty file"
    told = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return " ".join(told.replace(file, "the file").split())


def _reread(files: Sequence[str], places: np.ndarray, pixels: int) -> np.ndarray:
    """Decode images again, at another size (k, pixels, pixels, 3)."""
    store = np.zeros((len(places), pixels, pixels, 3), np.uint8)
    chosen = [files[place] for place in places.tolist()]
    for file, reason in zip(chosen, _decode_all(chosen, store), strict=True):
        if reason:
            raise DataError(f"{file} was decoded before and cannot be any more: {reason}. Put it back and run again.")
    return store


def _refuse_mostly_lost(folder: str, source: str, total: int, failed: Mapping[str, str]) -> None:
    """Refuse a folder of which more than half cannot be decoded."""
    if len(failed) <= MAX_LOST * total:
        return
    file, reason = next(iter(failed.items()))
    raise DataError(
        f"{len(failed):,} of {total:,} images of {folder} ({source}) cannot be decoded, for instance "
        f"{file}: {reason}. At most half may be lost; copy the folder again, or convert the images to PNG or JPEG."
    )
