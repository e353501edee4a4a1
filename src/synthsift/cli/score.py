"""`score`: new labelled rows in, their learned weights out, piece by piece."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from synthsift.cli.model import RowWeigher, load_model, restored_encoder
from synthsift.data.columns import RawFile, key_texts
from synthsift.data.files import need_column, read_file
from synthsift.data.fresh import fresh_array, fresh_labels, fresh_table, fresh_texts
from synthsift.data.parts import numbered_ids
from synthsift.data.paths import synthetic_files
from synthsift.data.stream import read_pieces
from synthsift.data.vectors import Vectors, load_vectors, vectors_of
from synthsift.records import DataError, Examples
from synthsift.represent.encoders import Encoder
from synthsift.runs import read_settings, read_summary


@dataclass(frozen=True)
class NewRows:
    """Which files hold the new rows and what their columns mean; None: as in the run.

    Parameters
    ----------
    synthetic : tuple of str
        ``[NAME=]PATH`` each.
    label, text, id, source_column : str, optional
    embeddings : tuple of str
        Own vectors of the new rows, where the run had own vectors.
    """

    synthetic: tuple[str, ...]
    label: str | None = None
    text: str | None = None
    id: str | None = None
    source_column: str | None = None
    embeddings: tuple[str, ...] = ()


def execute_score(run: Path, rows: NewRows, out: Path, *, overwrite: bool = False, quiet: bool = False) -> int:
    """Write one row for each new one: id, source, row, learned_weight.

    The file appears complete or not at all; memory does not grow with the number of rows.

    Raises
    ------
    DataError
        If the run has no meta-network, its model is of another version or changed, a column or class is unknown, or
        `out` is there already.
    """
    import torch

    torch.set_num_threads(1)
    read_summary(run)  # refuses a run that is not finished
    if out.exists() and not overwrite:
        raise DataError(f"{out} is there already; name another file, or say --overwrite")
    if out.is_dir() or not out.resolve().parent.is_dir():
        raise DataError(f"{out} cannot be written: name a file in a folder that exists")
    arrays, settings = load_model(run / "model")
    if "metanet" not in settings:
        raise DataError(
            f"{run} has no meta-network: LearnedWeights took no part in it. Repeat the run with that policy, on at "
            "least 20 real rows"
        )
    rows = _completed(rows, read_settings(run)["data"], settings)
    weigh, encoder = RowWeigher.of(arrays, settings), restored_encoder(arrays, settings)
    with threadpool_limits(1):
        count, sources = _write(out, rows, settings, encoder, weigh)
    if not quiet:
        known = settings["metanet"]["sources"]
        for name in sorted(sources - set(known)):
            sys.stderr.write(
                f"{name} is no source of the run ({', '.join(known)}): its rows were weighed as of an unknown source.\n"
            )
        sys.stdout.write(f"{count:,} rows -> {out}\n")
    return 0


def _completed(rows: NewRows, spec: Mapping[str, Any], settings: Mapping[str, Any]) -> NewRows:
    """Take from the run what was not named; refuse what does not fit the kind of its inputs."""
    own_vectors = settings["inputs"] == "embeddings"
    kind = settings["encoder"]["kind"]
    if not own_vectors and kind not in ("table", "text", "array"):
        raise DataError(
            f"the run learned from inputs of kind {kind!r}; score reads tables, texts and arrays. For images, run with "
            "their vectors (--embeddings) and give those of the new ones"
        )
    if own_vectors and not rows.embeddings:
        raise DataError("the run used own vectors (--embeddings); give those of the new rows in the same way")
    if rows.embeddings and not own_vectors:
        raise DataError("the run encoded its rows itself; leave --embeddings out")
    text = rows.text or (spec["text"] if settings["encoder"]["kind"] == "text" else None)
    return replace(rows, label=rows.label or spec["label"] or "y", text=text, id=rows.id or spec["id"])


def _write(
    out: Path, rows: NewRows, settings: Mapping[str, Any], encoder: Encoder, weigh: RowWeigher
) -> tuple[int, set[str]]:
    """Write the file; return how many rows it has and their sources."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = [("id", pa.string()), ("source", pa.string()), ("row", pa.int64()), ("learned_weight", pa.float64())]
    schema = pa.schema(columns)
    begun, count, sources = out.with_name(f".{out.name}.{os.getpid()}.part"), 0, set[str]()
    try:
        with open(begun, "wb") as stream:
            with parquet.ParquetWriter(stream, schema) as writer:
                for piece in _pieces(rows, settings, encoder):
                    weight = weigh(piece.x, piece.y, piece.source)
                    cells = (piece.ids, piece.source, piece.row, weight)
                    typed = [pa.array(c, f.type) for c, f in zip(cells, schema, strict=True)]
                    writer.write_table(pa.table(typed, schema=schema))
                    count += len(weight)
                    sources |= set(np.unique(piece.source.astype(str)).tolist())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(begun, out)
    finally:
        begun.unlink(missing_ok=True)
    return count, sources


def _pieces(rows: NewRows, settings: Mapping[str, Any], encoder: Encoder) -> Iterator[Examples]:
    """Yield encoded pieces of all files, `x` (n, d)."""
    assert rows.label is not None
    names = settings["encoder"].get("names", [])
    keys = {name for name in (rows.label, rows.id, rows.source_column) if name}
    for source, file in synthetic_files(rows.synthetic):
        vectors: Vectors | None = None
        if rows.embeddings:  # own vectors are read whole anyway
            pieces: Iterator[RawFile] = iter([_whole(file, keys)])
        else:
            pieces = read_pieces(file, {*keys, *names, *([rows.text] if rows.text else [])}, rows.text)
        first = 0
        for raw in pieces:
            if rows.embeddings:
                vectors = load_vectors(rows.embeddings, {raw.file: raw.total}, rows.id)
            y = fresh_labels(raw, rows.label, settings["classes"], first)
            place = np.arange(first, first + raw.total)
            made = _examples(raw, y, place, source, rows)
            yield replace(made, x=_encoded(raw, made, rows, settings, encoder, vectors))
            first += raw.total


def _whole(file: Path, keys: set[str]) -> RawFile:
    """Read the label and ids of a file at once; a table's other columns are not needed beside own vectors."""
    return read_file(file, keys)


def _examples(raw: RawFile, y: np.ndarray, place: np.ndarray, source: str, rows: NewRows) -> Examples:
    """Return the rows of a piece without inputs."""
    if rows.source_column:
        of_row = key_texts(need_column(raw, rows.source_column, "--source-column"))
    else:
        of_row = np.full(len(y), source, dtype=object)
    ids = numbered_ids(source, place)
    if rows.id and rows.id in raw.columns:
        ids = key_texts(raw.columns[rows.id]).astype(str)
    file = np.full(len(y), raw.file, dtype=object)
    return Examples(np.zeros((len(y), 0)), y, ids, of_row, file=file, row=place)


def _encoded(
    raw: RawFile, made: Examples, rows: NewRows, settings: Mapping[str, Any], encoder: Encoder, vectors: Vectors | None
) -> np.ndarray:
    """Return the encoded inputs (n, d) of a piece."""
    if vectors is not None:
        return encoder.transform(vectors_of(vectors, made).astype(np.float32))
    assert made.row is not None
    kind = settings["encoder"]["kind"]
    if kind == "array":
        return encoder.transform(fresh_array(raw, int(made.row[0])))
    if raw.x is not None:
        raise DataError(f"{raw.file} holds arrays, but the run learned from {kind}s; give a file of the same kind.")
    if kind == "text":
        assert rows.text is not None
        return encoder.transform(fresh_texts(raw, rows.text))
    numeric = [categories is None for categories in settings["encoder"]["categories"]]
    return encoder.transform(fresh_table(raw, settings["encoder"]["names"], numeric))
