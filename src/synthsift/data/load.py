"""Files to `Loaded`: what every verb of the command line starts from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.data.folders import list_images
from synthsift.data.inputs import build_inputs, share_columns
from synthsift.data.labels import UNKNOWN, encode_labels
from synthsift.data.origins import find_groups, find_parents
from synthsift.data.parts import Part
from synthsift.data.paths import existing_file, existing_input, synthetic_files
from synthsift.data.reading import Reading, read_parts
from synthsift.data.spec import DataSpec as DataSpec
from synthsift.data.spec import check_spec
from synthsift.data.vectors import Vectors, load_vectors, vectors_of
from synthsift.records import Examples, Finding, Loaded, Mixture, concat_x


def load(spec: DataSpec) -> Loaded:
    """Read real, synthetic, validation and test rows.

    Parameters
    ----------
    spec : DataSpec
        Which files, and what their columns mean.

    Returns
    -------
    Loaded
        `mixture` and `test` have the same columns, categories and classes. Synthetic rows with a label that no real row
        has are in `left_out` with code -1. Rows are in file order; `file` and `row` say where each one lies.

    Raises
    ------
    DataError
        Whatever is wrong with the files or the flags: what was seen, what was needed, what to do next.
    """
    check_spec(spec)
    return assemble(read_parts(spec), spec)


def assemble(reading: Reading, spec: DataSpec) -> Loaded:
    """Return the rows of all parts, inputs and labels brought to one form.

    Beside own vectors no input column is needed: where the tables share none, the vectors are the inputs, and rows are
    copies of one another if their vectors are equal.
    """
    parts = reading.parts
    only_vectors = bool(spec.embeddings) and not share_columns(parts, spec)
    none = [np.zeros((len(part), 0), np.float32) for part in parts]
    inputs, about_inputs = (none, list[Finding]()) if only_vectors else build_inputs(parts, spec)
    codes, classes, about_labels = encode_labels(parts, spec.label_column)
    parents, about_parents = find_parents(parts, reading.real_ids, spec)
    groups, about_groups = find_groups(parts, spec.group)
    columns = zip(parts, inputs, codes, parents, groups, strict=True)
    examples = [(part.role, _examples(part, *rest)) for part, *rest in columns]
    findings = [*reading.findings, *about_inputs, *about_labels, *about_parents, *about_groups]
    totals = {part.raw.file: part.raw.total for part in parts if part.raw.folder is None}
    vectors = load_vectors(spec.embeddings, totals, spec.id)
    if only_vectors and vectors is not None:
        examples = [(role, replace(some, x=vectors_of(vectors, some))) for role, some in examples]
    return _loaded(examples, classes, findings, vectors)


def _examples(part: Part, x: Any, y: np.ndarray, parent: np.ndarray | None, group: np.ndarray | None) -> Examples:
    """Return the rows of one part with their provenance."""
    source = np.full(len(part), part.source)
    if part.raw.folder is not None:  # every image is a file of one row
        return Examples(x, y, part.ids, source, parent, group, part.image_files, np.zeros(len(part), np.int64))
    file = np.full(len(part), part.raw.file, dtype=object)  # one shared string, not a copy a row
    return Examples(x, y, part.ids, source, parent, group, file, part.rows)


def _loaded(
    examples: Sequence[tuple[str, Examples]], classes: tuple[Any, ...], findings: list[Finding], vectors: Vectors | None
) -> Loaded:
    """Join the parts of each role and set rows aside that cannot take part."""
    joined = {
        role: _join([some for its, some in examples if its == role])
        for role in ("real", "valid", "test", "synthetic")
        if any(its == role for its, _ in examples)
    }
    real, synth, test = joined["real"], joined["synthetic"], joined.get("test")
    strange = synth.y == UNKNOWN
    left_out = synth[strange] if strange.any() else None
    if test is not None:
        test = test[test.y != UNKNOWN] if (test.y != UNKNOWN).any() else None
    mixture = Mixture(real, synth[~strange] if strange.any() else synth, joined.get("valid", real[:0]), classes)
    return Loaded(
        mixture,
        test,
        tuple(findings),
        left_out,
        None if vectors is None else np.concatenate([vectors_of(vectors, part) for part in mixture.parts]),
        None if vectors is None or test is None else vectors_of(vectors, test),
    )


def _join(parts: Sequence[Examples]) -> Examples:
    """Put the rows of several parts behind one another."""
    if len(parts) == 1:
        return parts[0]

    def both(name: str) -> np.ndarray | None:
        """Join one optional column."""
        columns = [getattr(part, name) for part in parts]
        return None if columns[0] is None else np.concatenate(columns)

    rest = {name: both(name) for name in ("y", "ids", "source", "parent", "group", "file", "row")}
    return Examples(concat_x([part.x for part in parts]), **rest)  # type: ignore[arg-type]


def data_hash(spec: DataSpec) -> str:
    """Return a fingerprint of the settings and of every byte they lead to.

    Parameters
    ----------
    spec : DataSpec
        Which files, and what their columns mean.

    Returns
    -------
    str
        SHA-256 in hexadecimal; equal only if all settings, the list of files and their contents are.

    Raises
    ------
    DataError
        If a file does not exist.
    """
    digest = hashlib.sha256(json.dumps(asdict(spec), sort_keys=True).encode())
    for name, path in _all_files(spec):
        if not path.is_dir():
            _digest_file(digest, name, path)
            continue
        images = list_images(path)
        for image, place in zip(images.names, images.paths, strict=True):
            try:
                _digest_file(digest, f"{name}/{image}", Path(place))
            except OSError as error:  # gone, or not to be read: it is left out as undecodable
                digest.update(f"\n{name}/{image}\n{type(error).__name__}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _digest_file(digest: Any, name: str, path: Path) -> None:
    """Feed name, size and bytes of one file."""
    digest.update(f"\n{name}\n{path.stat().st_size}\n".encode(errors="surrogateescape"))
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)


def _all_files(spec: DataSpec) -> list[tuple[str, Path]]:
    """Return every file and folder of images that `spec` leads to, with the role it has."""
    named = [("data", spec.data), *(("real", path) for path in spec.real), *spec.held_out.items()]
    files = [(role, existing_input(path)) for role, path in named if path]
    files += [(f"synthetic {name}", path) for name, path in synthetic_files(spec.synthetic)]
    vectors = [entry if Path(entry).exists() else entry.rpartition("=")[2] for entry in spec.embeddings]
    return files + [("embeddings", existing_file(path)) for path in vectors]
