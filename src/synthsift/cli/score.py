"""`score`: new labelled rows or images in, their learned weights out, piece by piece."""

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
from synthsift.cli.score_words import Told, about_sources, warnings
from synthsift.cli.whole_folder import begun_name, remove_stale
from synthsift.data.columns import RawFile, key_texts
from synthsift.data.files import need_column, read_file, read_folder, refuse_columns_of_images
from synthsift.data.folders import is_image_folder
from synthsift.data.fresh import fresh_array, fresh_labels, fresh_table, fresh_texts
from synthsift.data.images import decode_pieces
from synthsift.data.parts import numbered_ids
from synthsift.data.paths import synthetic_files
from synthsift.data.stream import read_pieces
from synthsift.data.vectors import Vectors, entries_of, load_vectors, vectors_of
from synthsift.records import DataError, Examples
from synthsift.report.wording import printable
from synthsift.represent.encoders import Encoder
from synthsift.represent.pretrained import reads_images
from synthsift.runs import read_settings, read_summary
from synthsift.writing import explained


@dataclass(frozen=True)
class NewRows:
    """Which files hold the new rows and what their columns mean; None: as in the run.

    Parameters
    ----------
    synthetic : tuple of str
        ``[NAME=]PATH`` each: files, or folders of images.
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


@dataclass(frozen=True)
class _Reader:
    """Turns files into encoded rows as the run did.

    Parameters
    ----------
    rows : NewRows
        Completed.
    settings : mapping
        Of the run's model.
    encoder : Encoder
    pixels : int
        Side that the run scaled images to.
    told : Told
        Filled on the way.
    """

    rows: NewRows
    settings: Mapping[str, Any]
    encoder: Encoder
    pixels: int
    told: Told


def execute_score(run: Path, rows: NewRows, out: Path, *, overwrite: bool = False, quiet: bool = False) -> int:
    """Write one row for each new one: id, source, row (of an image: its place in the sorted folder), learned_weight.

    The file appears complete or not at all; memory does not grow with the number of rows.

    Raises
    ------
    DataError
        If the run has no meta-network, its model is of another version or changed, a column or class is unknown, or
        `out` is there already or does not end in .parquet.
    """
    import torch

    torch.set_num_threads(1)
    if out.suffix.lower() != ".parquet":
        raise DataError(f"--out {out} does not end in .parquet, the only format that is written; name a .parquet file")
    summary = read_summary(run)  # refuses a run that is not finished
    if out.exists() and not overwrite:
        raise DataError(f"{out} is there already; name another file, or say --overwrite")
    if out.is_dir() or not Path(os.path.realpath(out)).parent.is_dir():
        raise DataError(f"{out} cannot be written: name a file in a folder that exists")
    arrays, settings = load_model(run / "model")
    if "metanet" not in settings:
        raise DataError(
            f"{run} has no meta-network: LearnedWeights took no part in it. Repeat the run with that policy, on at "
            "least 20 real rows"
        )
    spec, told = read_settings(run).get("data"), Told()
    if not isinstance(spec, dict) or not {"text", "label", "id", "pixels"} <= set(spec):
        raise DataError(f"{run} is damaged: its settings do not say how the data was read. Repeat the run.")
    encoder, weigh = restored_encoder(arrays, settings), RowWeigher.of(arrays, settings)
    reader = _Reader(_completed(rows, spec, settings), settings, encoder, spec["pixels"], told)
    with threadpool_limits(1), explained(out, 0):
        _write(out, reader, weigh)
    if not quiet:
        for finding in told.findings(reader.rows.text):
            sys.stderr.write(printable(f"{finding.code} {finding.severity.name}: {finding.title}. {finding.seen}\n"))
        known = about_sources(told.sources, settings["metanet"]["sources"], summary["data"]["sources"])
        for line in known + warnings(weigh, summary):
            sys.stderr.write(printable(f"{line}\n"))
        sys.stdout.write(f"{told.count:,} rows -> {out}\n")
    return 0


def _completed(rows: NewRows, spec: Mapping[str, Any], settings: Mapping[str, Any]) -> NewRows:
    """Take from the run what was not named; refuse what does not fit the kind of its inputs."""
    own_vectors = settings["inputs"] == "embeddings"
    if own_vectors and not rows.embeddings:
        raise DataError("the run used own vectors (--embeddings); give those of the new rows in the same way")
    if rows.embeddings and not own_vectors:
        raise DataError("the run encoded its rows itself; leave --embeddings out")
    text = rows.text or (spec["text"] if _kind(settings) == "text" else None)
    return replace(rows, label=rows.label or spec["label"] or "y", text=text, id=rows.id or spec["id"])


def _kind(settings: Mapping[str, Any]) -> str:
    """Return what the run's encoder reads: "table", "text", "array" or "image"."""
    encoder = settings["encoder"]
    if encoder["kind"] == "pretrained":
        return "image" if reads_images(encoder["name"]) else "text"
    return "image" if encoder["kind"] == "gradients" else str(encoder["kind"])


def _write(out: Path, reader: _Reader, weigh: RowWeigher) -> None:
    """Write the file."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = [("id", pa.string()), ("source", pa.string()), ("row", pa.int64()), ("learned_weight", pa.float64())]
    schema = pa.schema(columns)
    begun, told = begun_name(out), reader.told
    remove_stale(out)
    try:
        with open(begun, "wb") as stream:
            with parquet.ParquetWriter(stream, schema) as writer:
                for piece in _pieces(reader):
                    weight = weigh(piece.x, piece.y, piece.source)
                    cells = (piece.ids, piece.source, piece.row, weight)
                    typed = [pa.array(c, f.type) for c, f in zip(cells, schema, strict=True)]
                    writer.write_table(pa.table(typed, schema=schema))
                    told.count += len(weight)
                    told.sources |= set(np.unique(piece.source.astype(str)).tolist())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(begun, out)
    finally:
        begun.unlink(missing_ok=True)


def _pieces(reader: _Reader) -> Iterator[Examples]:
    """Yield encoded pieces of all files, `x` (n, d)."""
    kind, own_vectors = _kind(reader.settings), bool(reader.rows.embeddings)
    for source, file in synthetic_files(reader.rows.synthetic):
        if is_image_folder(file):
            if kind != "image" and not own_vectors:
                raise DataError(
                    f"{file} is a folder of images, but the run learned from {kind}s; give a file of the same kind."
                )
            yield from _pieces_of_folder(reader, source, file)
            continue
        if kind == "image" and not own_vectors:
            raise DataError(
                f"{file} is no folder of images, but the run learned from images; give a folder with one folder a "
                f"class, such as {file.parent}/new/{reader.settings['classes'][0]}/1.png."
            )
        yield from _pieces_of_file(reader, source, file)


def _pieces_of_folder(reader: _Reader, source: str, path: Path) -> Iterator[Examples]:
    """Decode a folder some images at a time; ids, and what is left out, are as in a run."""
    rows = reader.rows
    assert rows.label is not None
    refuse_columns_of_images(path, {"--text": rows.text, "--id": rows.id, "--source-column": rows.source_column})
    raw = read_folder(path, rows.label)
    assert raw.folder is not None
    y = fresh_labels(raw, rows.label, reader.settings["classes"], 0)
    names, files = np.array(raw.folder.names, dtype=object), np.array(raw.folder.paths, dtype=object)
    vectors = load_vectors(_own_entries(rows, path), {}, None)
    reader.told.folders.append(raw.folder)
    for places, pictures in decode_pieces(raw, source, reader.pixels, reader.told.lost):
        ids = np.array([f"{source}:{name}" for name in names[places]], dtype=str)
        of_row, row = np.full(len(places), source, dtype=object), np.zeros(len(places), np.int64)
        made = Examples(pictures, y[places], ids, of_row, file=files[places], row=row)
        x = pictures if vectors is None else vectors_of(vectors, made).astype(np.float32)
        yield replace(made, x=reader.encoder.transform(x), row=places)


def _pieces_of_file(reader: _Reader, source: str, file: Path) -> Iterator[Examples]:
    """Read a table, texts or arrays some rows at a time."""
    rows, settings = reader.rows, reader.settings
    assert rows.label is not None
    names = settings["encoder"].get("names", [])
    keys = {name for name in (rows.label, rows.id, rows.source_column) if name}
    vectors: Vectors | None = None
    if rows.embeddings:  # own vectors are read whole anyway; a table's other columns are not needed beside them
        pieces: Iterator[RawFile] = iter([read_file(file, keys)])
    else:
        pieces = read_pieces(file, {*keys, *names, *([rows.text] if rows.text else [])}, rows.text)
    first, textless = 0, 0
    for raw in pieces:
        if rows.embeddings:
            vectors = load_vectors(_own_entries(rows, file), {str(file): raw.total}, rows.id)
        y = fresh_labels(raw, rows.label, settings["classes"], first)
        place = np.arange(first, first + raw.total)
        made = _examples(raw, y, place, source, rows)
        known = reader.told.textless[raw.file]
        yield replace(made, x=_encoded(raw, made, reader, vectors))
        textless += reader.told.textless[raw.file] - known
        first += raw.total
    if first and textless == first:
        raise DataError(f"no row of {file} has text in {rows.text!r}; name the column of the documents with --text.")


def _own_entries(rows: NewRows, path: Path) -> tuple[str, ...]:
    """Return the files of vectors that belong to one of the files or folders."""
    files = [str(file) for _, file in synthetic_files(rows.synthetic) if not is_image_folder(file)]
    return entries_of(rows.embeddings, str(path), files)


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


def _encoded(raw: RawFile, made: Examples, reader: _Reader, vectors: Vectors | None) -> np.ndarray:
    """Return the encoded inputs (n, d) of a piece."""
    rows, settings, encoder = reader.rows, reader.settings, reader.encoder
    if vectors is not None:
        return encoder.transform(vectors_of(vectors, made).astype(np.float32))
    assert made.row is not None
    kind = _kind(settings)
    if kind == "array":
        return encoder.transform(fresh_array(raw, int(made.row[0])))
    if raw.x is not None:
        raise DataError(f"{raw.file} holds arrays, but the run learned from {kind}s; give a file of the same kind.")
    if kind == "text":
        assert rows.text is not None
        texts = fresh_texts(raw, rows.text)
        reader.told.textless[raw.file] += int((texts == "").sum())
        return encoder.transform(texts)
    numeric = [categories is None for categories in settings["encoder"]["categories"]]
    return encoder.transform(fresh_table(raw, settings["encoder"]["names"], numeric))
