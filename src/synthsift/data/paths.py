"""Where the data lie: file formats, globs and folders, and opening a file that may be compressed.

Nothing is read here but bytes. Whatever is wrong with a path (missing, a folder, an unknown ending, broken gzip) is
said here in one way for all formats.
"""

from __future__ import annotations

import difflib
import glob
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from synthsift.data.folders import is_image_folder
from synthsift.records import DataError

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
}
READABLE = "CSV (.csv), TSV (.tsv), JSON lines (.jsonl), Parquet (.parquet), each also with .gz, and arrays (.npz)"


def table_format(path: Path) -> str | None:
    """Return "csv", "tsv", "jsonl", "parquet" or "npz" by the file's ending, None for anything else."""
    name = path.name.lower()
    zipped = name.endswith(".gz")
    found = FORMATS.get(Path(name.removesuffix(".gz")).suffix)
    return None if zipped and found == "npz" else found


def known_format(path: Path) -> str:
    """Return the format of `path`.

    Raises
    ------
    DataError
        If the ending stands for no format that can be read.
    """
    found = table_format(path)
    if found is None:
        ending = "".join(path.suffixes[-2:]) or "no ending"
        raise DataError(
            f"{path} has {ending}, which names no known format. Readable are {READABLE}; rename or convert."
        )
    return found


def is_gzipped(path: Path) -> bool:
    """Return whether the name says that the file is compressed."""
    return path.name.lower().endswith(".gz")


def source_name(path: Path) -> str:
    """Return the file name without all its endings (``made/gpt-4.jsonl.gz`` -> ``gpt-4``); a folder's whole name."""
    if path.is_dir():
        return path.resolve().name
    bare = path.name[: -len(".gz")] if is_gzipped(path) else path.name
    return bare[: -len(Path(bare).suffix)] if Path(bare).suffix.lower() in FORMATS else bare


def existing_file(text: str | Path) -> Path:
    """Return `text` as the path of a file that exists and is not empty.

    Raises
    ------
    DataError
        If it does not exist (near misses of the folder are named), is a folder or a pipe, holds no byte or has a name
        that is not UTF-8.
    """
    path = Path(text).expanduser()
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"the file name {str(path)!r} is not UTF-8, so no result could name it. Rename it.") from error
    if path.is_dir():
        raise DataError(
            f"{path} is a folder where one data file is needed. Name a file in it, such as {_some_file(path)}; "
            f"images need one folder a class, such as {path}/cat/1.png."
        )
    if not path.exists():
        if path.is_symlink():
            raise DataError(f"{path} is a link that leads nowhere. Mend it, or name the file itself.")
        raise DataError(f"{path} does not exist. {_near_misses(path)}")
    if not path.is_file():
        raise DataError(
            f"{path} is a pipe, socket or device; data are read more than once. Write them to a file and name that."
        )
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); a header and rows are needed. Was it written completely?")
    return path


def existing_input(text: str | Path) -> Path:
    """Return `text` as the path of a data file or of a folder of images.

    Raises
    ------
    DataError
        If it is neither.
    """
    path = Path(text).expanduser()
    return path if is_image_folder(path) else existing_file(path)


def _some_file(folder: Path) -> str:
    """Name one readable file of a folder for an error message."""
    files = _table_files(folder)
    return str(files[0]) if files else f"{folder}/real.csv"


def _near_misses(path: Path) -> str:
    """Say what lies near a missing path."""
    folder = path.parent
    if not folder.exists():
        return f"Nor does its folder {folder}; check the path (it is read from {Path.cwd()})."
    if not folder.is_dir():
        return f"{folder} is a file, not a folder."
    names = sorted(entry.name for entry in folder.iterdir())
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    near = near or [name for name in names if table_format(Path(name))][:3]
    return f"In {folder} there are: {', '.join(near)}." if near else f"The folder {folder} holds no data file."


def _table_files(folder: Path) -> list[Path]:
    """Return the readable files of a folder, sorted, without hidden ones."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_file() and not entry.name.startswith(".") and table_format(entry)
    )


def synthetic_files(entries: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Turn ``[NAME=]PATH`` entries into sources, one a file.

    Parameters
    ----------
    entries : tuple of str
        PATH may be a file, a folder of images, a glob of these, or a folder of table files. A NAME for several files
        becomes ``NAME/file``.

    Returns
    -------
    list of (name, path)
        In the order of the entries, files of a folder or glob sorted by name.

    Raises
    ------
    DataError
        If an entry matches nothing, a folder holds tables and images, or two sources have the same name.
    """
    sources: list[tuple[str, Path]] = []
    for entry in entries:
        name, text = _split_name(entry)
        files = _expand(text)
        several = len(files) > 1
        sources += [(f"{name}/{source_name(f)}" if several and name else name or source_name(f), f) for f in files]
    _refuse_name_clashes(sources)
    return sources


def _split_name(entry: str) -> tuple[str, str]:
    """Take the optional ``NAME=`` off; an existing path with "=" in it is a path."""
    name, equals, text = entry.partition("=")
    if not equals or Path(entry).exists():
        return "", entry
    if not name.strip() or not text.strip():
        raise DataError(f"--synthetic {entry!r} lacks a name or a path; write NAME=PATH or just PATH.")
    return name.strip(), text


def _expand(text: str) -> list[Path]:
    """Return the files that a path, folder or glob stands for."""
    path = Path(text).expanduser()
    if path.is_dir():
        files, has_images = _table_files(path), is_image_folder(path)
        if files and has_images:
            raise DataError(
                f"{path} holds class folders of images and data files ({files[0].name}), so it is not clear which of "
                "them are meant. Move the one or the other elsewhere."
            )
        if not files and not has_images:
            raise DataError(
                f"{path} is a folder without data files. Needed are table files: {READABLE}; or one folder a class "
                "with images in it."
            )
        return files or [path]
    if path.exists() or not glob.has_magic(text):
        return [existing_file(path)]
    found = [Path(match) for match in sorted(glob.glob(str(path)))]
    matches = [match for match in found if match.is_file() or is_image_folder(match)]
    if not matches:
        raise DataError(f"the pattern {text!r} matches no file and no folder of images. {_near_misses(path)}")
    return matches


def _refuse_name_clashes(sources: list[tuple[str, Path]]) -> None:
    """Refuse two sources of one name, and names that stand for real rows."""
    seen: dict[str, Path] = {}
    for name, path in sources:
        if name.casefold() in {"real", "valid", "test"}:
            raise DataError(
                f"the synthetic source {path} would be called {name!r}, a word kept for real rows; write NAME={path}."
            )
        if name in seen:
            raise DataError(
                f"two synthetic sources are called {name!r}: {seen[name]} and {path}. Write NAME=PATH for one."
            )
        seen[name] = path


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for reading bytes, decompressed; gzip damage met inside the block becomes a `DataError`."""
    try:
        with _open(path) as stream:
            yield cast(BinaryIO, stream)
    except gzip.BadGzipFile as error:
        raise DataError(
            f"{path} is named .gz but is not sound gzip ({error}). Compress or download it again."
        ) from error
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path} is cut off or damaged gzip ({error}). Copy or download it again.") from error
    except PermissionError as error:
        raise DataError(f"{path} may not be read: permission denied. Change its permissions.") from error


def _open(path: Path) -> IO[bytes]:
    """Open plain or compressed bytes."""
    return cast(IO[bytes], gzip.open(path, "rb")) if is_gzipped(path) else open(path, "rb")


def encoding_error(path: Path) -> DataError | None:
    """Return what to say when `path` is not UTF-8 (with the offset of the first bad byte), None when it is."""
    offset = 0
    with opened(path) as stream:
        pending = b""
        while block := stream.read(1 << 20):
            pending += block
            try:
                pending.decode("utf-8")
                used = len(pending)
            except UnicodeDecodeError as error:
                if error.reason != "unexpected end of data":
                    return _not_utf8(path, offset + error.start, pending[error.start], offset == 0 and pending[:2])
                used = error.start
            offset, pending = offset + used, pending[used:]
    return _not_utf8(path, offset, pending[0], False) if pending else None


def _not_utf8(path: Path, offset: int, byte: int, start: bytes | bool) -> DataError:
    """Word the message; a UTF-16 mark at the start is recognized."""
    if start in (b"\xff\xfe", b"\xfe\xff"):
        return DataError(f"{path} is UTF-16, not UTF-8. Convert it: iconv -f UTF-16 -t UTF-8 {path.name} > new.csv")
    return DataError(
        f"{path} is not UTF-8: byte 0x{byte:02x} at offset {offset} of the text. Convert it, for instance: "
        f"iconv -f ISO-8859-1 -t UTF-8 {path.name} > new.csv"
    )
