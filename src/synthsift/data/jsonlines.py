"""JSON lines: one object a line, whose values are text, numbers, booleans or null."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthsift.data.columns import RawFile, column_of, number_text
from synthsift.data.paths import encoding_error, opened
from synthsift.records import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_LINES = 50_000  # bounds the Python objects that are alive at once

MAX_LINE = 1 << 26  # bytes; a longer line is as a rule a whole file without line ends

Batch = tuple[list[int], list[dict[str, Any]]]


def read_jsonl(path: Path, wanted: Collection[str] | None = None, text: str | None = None) -> RawFile:
    """Read a JSON lines file, compressed or not.

    Parameters
    ----------
    path : Path
        UTF-8; blank lines are passed over and do not count as rows.
    wanted : collection of str, optional
        Keys to keep; all of them by default.
    text : str, optional
        The key whose values must be text; others count as missing there.

    Returns
    -------
    RawFile
        Keys that an object lacks are missing cells; a column of mixed types is text.

    Raises
    ------
    DataError
        If a line is not one JSON object, or holds a list or an object as a value.
    """
    names: dict[str, None] = {}
    pieces: list[tuple[int, dict[str, pa.Array]]] = []
    for lines, objects in batches(path):
        names.update(dict.fromkeys(key for item in objects for key in item))
        kept = [name for name in names if wanted is None or name in wanted]
        pieces.append((len(objects), {n: cells_of(path, n, lines, objects, n == text) for n in kept}))
    total = sum(length for length, _ in pieces)
    if total == 0:
        raise DataError(f"{path} holds no rows, only blank lines. One JSON object a line is needed.")
    columns = {n: column_of(_aligned(pieces, n)) for n in names if wanted is None or n in wanted}
    return RawFile(str(path), tuple(names), columns, total)


def json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (line number, line) for every line that is not blank, without a byte order mark.

    Raises
    ------
    DataError
        If a line is longer than `MAX_LINE` bytes; no more than that is held.
    """
    with opened(path) as stream:
        for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE + 1), b""), start=1):
            if len(line) > MAX_LINE:
                raise DataError(
                    f"line {number} of {path} goes on for more than {MAX_LINE:,} bytes; one JSON object a line is "
                    f"needed.{_list_hint(line, path)}"
                )
            bare = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if bare.strip():
                yield number, bare


def _list_hint(line: bytes, path: Path) -> str:
    """Say how to spread one JSON list over lines, where the line begins like one."""
    if not line[:100].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return " Was it written without line ends?"
    return f" It begins like one JSON list: write its objects line by line, for instance: jq -c '.[]' {path.name}"


def parse_object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Return the object that stands in one line.

    Raises
    ------
    DataError
        If the line is not UTF-8, not JSON, or not an object.
    """
    try:
        item = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise encoding_error(path) or DataError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:  # not JSON, nested too deeply, or a number of too many digits
        raise DataError(f"line {number} of {path} is not JSON ({error}). One object a line is needed.") from error
    if not isinstance(item, dict):
        kind = type(item).__name__
        raise DataError(
            f'line {number} of {path} holds a {kind}, not an object such as {{"text": "...", "label": 1}}.'
            f"{_list_hint(line, path) if isinstance(item, list) else ''}"
        )
    return item


def batches(path: Path) -> Iterator[Batch]:
    """Parse the file some ten thousand lines at a time."""
    lines = json_lines(path)
    while batch := list(islice(lines, BATCH_LINES)):
        yield [number for number, _ in batch], [parse_object(path, number, line) for number, line in batch]


def _aligned(pieces: list[tuple[int, dict[str, pa.Array]]], name: str) -> list[pa.Array]:
    """Return one key's cells of every batch, missing where a batch never had the key."""
    import pyarrow as pa

    return [cells[name] if name in cells else pa.nulls(length) for length, cells in pieces]


def cells_of(path: Path, name: str, lines: list[int], objects: list[dict[str, Any]], only_text: bool) -> pa.Array:
    """Return one key's values of one batch as a typed array, as text when types are mixed."""
    import pyarrow as pa

    values = [item.get(name) for item in objects]
    kinds = set(map(type, values)) - {type(None)}
    if not only_text and kinds & {dict, list}:
        bad = next(i for i, value in enumerate(values) if isinstance(value, dict | list))
        raise DataError(
            f"line {lines[bad]} of {path} holds a nested value under {name!r}. Only text, numbers, true, false and "
            "null can be used; flatten it or leave it out."
        )
    if only_text:
        values = [value if isinstance(value, str) else None for value in values]
    elif kinds <= {int, float} or kinds == {bool}:
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, OverflowError):  # whole numbers beyond 64 bits stay exact as text
            pass
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    """Return a value as text; halves of surrogate pairs, which JSON can escape but UTF-8 cannot hold, are replaced."""
    if value is None or value != value:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if not value.isascii() else value
    return str(value) if isinstance(value, bool) else number_text(value)
