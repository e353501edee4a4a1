"""Arrays: an .npz with inputs ``x`` (n, ...) and labels ``y`` (n,), and files of vectors. Never pickle."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from synthsift.data.columns import Column, NumberColumn, RawFile, text_column
from synthsift.records import DataError

LARGEST = 1e15  # in single precision, squares of larger numbers and sums of a million of them overflow
SOUND = f"Arrays must be finite and within ±{LARGEST:g}; rescale, replace or remove these rows."
NUMERIC = "buif"  # kinds of dtype that are numbers: booleans, unsigned and signed integers, floats


def read_npz(path: Path, wanted: Collection[str]) -> RawFile:
    """Read the inputs and the named one-dimensional arrays of an .npz file.

    Parameters
    ----------
    path : Path
        An archive with ``x`` (n, ...) of numbers.
    wanted : collection of str
        Names of the arrays (n,) to read beside it, as far as they are there.

    Returns
    -------
    RawFile
        Its ``x`` has the shape and dtype of the file.

    Raises
    ------
    DataError
        If the archive is damaged, would need pickle, lacks ``x``, or lengths differ.
    """
    with safe_numpy(path), open(path, "rb") as stream:
        archive = np.load(stream, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path} holds a single array. Needed is an .npz archive with the arrays x and y.")
        with archive:
            names = tuple(archive.files)
            if "x" not in names:
                raise DataError(f"{path} has no array 'x' of inputs; it has {', '.join(names) or 'none'}.")
            x = whole_array(path, archive, "x")
            _check_inputs(path, x)
            others = {name: whole_array(path, archive, name) for name in names if name in wanted}
            columns = {name: column_of_array(path, name, values, len(x)) for name, values in others.items()}
    return RawFile(str(path), tuple(name for name in names if name != "x"), columns, len(x), x)


@contextmanager
def safe_numpy(path: Path) -> Iterator[None]:
    """Turn what NumPy raises on damaged or pickled files into a `DataError`."""
    try:
        yield
    except DataError:
        raise
    except ValueError as error:
        if "pickle" not in str(error):
            raise DataError(f"{path} is not a sound NumPy file ({error}). Write it again.") from error
        raise DataError(
            f"{path} holds objects that only pickle could load, or no arrays at all. Pickle can run code, so it is "
            "never read; store plain numbers and text (no dtype=object)."
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError) as error:
        raise DataError(f"{path} is cut off or damaged ({error}). Copy or write it again.") from error


def whole_array(path: Path, archive: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    """Read one array; a header that claims more than the archive holds is refused before memory is taken for it."""
    packed = archive.zip
    assert packed is not None  # it is None once the archive is closed
    member = name if name in packed.namelist() else f"{name}.npy"
    with packed.open(member) as stream:
        _check_header(path, repr(name), stream, packed.getinfo(member).file_size)
    return archive[name]


def _check_header(path: Path, name: str, stream: IO[bytes], size: int) -> None:
    """Refuse an array of so many bytes, header included, that claims more."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    check_claim(path, name, shape, dtype, size - stream.tell())


def check_claim(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, held: int) -> None:
    """Refuse an array of which a file holds fewer bytes than its header claims."""
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > held:
        raise DataError(f"{path} is cut off or damaged: {name} of shape {shape} is not whole. Copy or write it again.")


def _check_inputs(path: Path, x: np.ndarray) -> None:
    """Refuse inputs that are no numbers or no rows."""
    if x.dtype.kind not in NUMERIC:
        raise DataError(f"'x' of {path} has dtype {x.dtype}; numbers are needed (float32, float64 or uint8).")
    if x.ndim == 0 or x.size == 0:
        raise DataError(f"'x' of {path} has shape {x.shape}; at least one row and one value a row are needed.")


def column_of_array(path: Path, name: str, values: np.ndarray, num_rows: int) -> Column:
    """Return a one-dimensional array as a column."""
    import pyarrow as pa

    if values.ndim != 1 or len(values) != num_rows:
        raise DataError(
            f"array {name!r} of {path} has shape {values.shape}; ({num_rows},) is needed, one for each row of x."
        )
    if values.dtype.kind in "ui" and (values.size == 0 or values.max() <= np.iinfo(np.int64).max):
        return NumberColumn(values.astype(np.int64))
    if values.dtype.kind == "f":
        return NumberColumn(values.astype(np.float64))
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind not in "Uub":
        raise DataError(f"array {name!r} of {path} has dtype {values.dtype}; whole numbers or text are needed.")
    return text_column(pa.chunked_array([pa.array(map(str, values.tolist()), pa.string())]))


def flat_inputs(x: np.ndarray) -> np.ndarray:
    """Return inputs as float32 (n, d): flattened, bytes scaled from 0-255 to 0-1."""
    flat = single(x.reshape(len(x), -1))
    return flat / np.float32(255) if x.dtype == np.uint8 else flat


def single(x: np.ndarray) -> np.ndarray:
    """Return numbers as float32; those beyond it become infinite without a warning, `unsound_rows` finds them."""
    with np.errstate(over="ignore"):
        return x.astype(np.float32, copy=False)


def unsound_rows(x: np.ndarray) -> tuple[np.ndarray, str]:
    """Find the rows of numbers (n, ...) that cannot be computed with in single precision.

    Parameters
    ----------
    x : ndarray (n, ...)
        As they were read, before they are made float32.

    Returns
    -------
    rows : ndarray (k,) of int
        Those with NaN, infinity or a number beyond +-`LARGEST`.
    what : str
        What the first of them holds; "" without any.
    """
    flat = x.reshape(len(x), math.prod(x.shape[1:]))
    most = np.float64(LARGEST)  # a plain number would be made float16 where the rows are, and overflow there
    high, low = flat.max(axis=1, initial=0), flat.min(axis=1, initial=0)
    bad = np.flatnonzero(~((high <= most) & (low >= -most)))  # NaN is in no order
    if not len(bad):
        return bad, ""
    first = flat[bad[0]]
    if not np.isfinite(first).all():
        return bad, "NaN or infinity"
    place = int(np.argmax(np.abs(first.astype(np.float64))))
    return bad, f"numbers beyond ±{LARGEST:g} (such as {float(first[place]):g} in column {place})"


def read_vectors(path: Path) -> np.ndarray:
    """Return the one matrix (n, d) of an .npy or .npz file.

    Raises
    ------
    DataError
        If it is damaged, not a matrix of numbers, or an archive of several arrays none of which is called ``x``.
    """
    with safe_numpy(path), open(path, "rb") as stream:
        if stream.peek(6).startswith(np.lib.format.MAGIC_PREFIX):
            _check_header(path, "its array", stream, os.fstat(stream.fileno()).st_size)
            stream.seek(0)
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                names = loaded.files
                chosen = "x" if "x" in names else names[0] if len(names) == 1 else None
                if chosen is None:
                    raise DataError(f"{path} holds {len(names)} arrays ({', '.join(names)}); one called 'x' is needed.")
                loaded = whole_array(path, loaded, chosen)
    if loaded.ndim != 2 or not loaded.size or loaded.dtype.kind not in NUMERIC:
        raise DataError(
            f"{path} has shape {loaded.shape} and dtype {loaded.dtype}; a matrix (rows, dimensions) is needed."
        )
    return loaded
