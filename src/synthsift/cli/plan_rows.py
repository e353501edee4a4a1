"""Files or a finished run to what a plan works on: two classes, features of one scale, an audited sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.cli.plan_columns import column_notes, encoding_note
from synthsift.cli.plan_worlds import BATCH_ROWS_A_FEATURE
from synthsift.cli.settings import RunSettings
from synthsift.data.columns import key_texts
from synthsift.data.files import read_file
from synthsift.data.inputs import build_inputs
from synthsift.data.labels import encode_labels
from synthsift.data.load import load
from synthsift.data.reading import read_parts
from synthsift.data.spec import DataSpec
from synthsift.records import DataError, Loaded, concat_x
from synthsift.represent.encoders import fit_encoder
from synthsift.represent.pretrained import check_encoder
from synthsift.theory.measure_audit import Audit, count_audit

#: The law costs the cube of the features; beyond so many only the directions in which real rows vary most are kept.
MAX_FEATURES = 200
LEAST_CLASS_ROWS = 20
REST = "the rest"
#: Least squares needs some rows a feature.
ROWS_A_FEATURE = 3


@dataclass(frozen=True)
class PlanRows:
    """Rows of two classes, centered at the midpoint of the real class means and scaled to mean variance 1.

    Parameters
    ----------
    x, y : ndarray (n, p), (n,)
        Real rows, labels -1 and +1.
    z, t : ndarray (k, p), (k,)
        Synthetic rows; k may be 0.
    positive, negative : str
        What +1 and -1 stand for.
    subject : str
        Which classes these are, why, and what guessing gives, as a sentence or two.
    notes : tuple of str
        What was done to get here.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    t: np.ndarray
    positive: str
    negative: str
    subject: str
    notes: tuple[str, ...]


def load_rows(spec: DataSpec, *, positive: str | None = None, pca: int | None = None) -> PlanRows:
    """Read the files that a plan names; without synthetic ones the plan is made from real rows alone.

    Raises
    ------
    DataError
        Whatever is wrong with the files, or classes too small to plan with.
    """
    if spec.synthetic or spec.data:
        return rows_of(load(spec), positive=positive, pca=pca)
    if not spec.real:
        raise DataError("no real data is named; give --real FILE, a RUN, or numbers (--num-real, --dim, --mean-norm)")
    parts = read_parts(spec).parts
    inputs, findings = build_inputs(parts, spec)
    codes, classes, _ = encode_labels(parts, spec.label_column)
    x, y = concat_x(inputs), np.concatenate(codes)
    vectors = fit_encoder(x, pca=pca).transform(x)
    notes = column_notes(x, np.zeros(len(y), dtype=bool), findings)
    notes += encoding_note(x, vectors.shape[1], None, own_vectors=False)
    return binary_rows(vectors, y, vectors[:0], np.zeros(0, dtype=int), classes, positive, notes)


def load_run(run: Path, *, positive: str | None = None) -> PlanRows:
    """Read the data of a run again, as its settings.json names them, with the encoder of the run.

    Raises
    ------
    DataError
        If there is no run in the folder, its files are gone, or the package of its encoder is not installed.
    """
    settings = RunSettings.read(run / "settings.json")
    if settings.encoder is not None:
        check_encoder(settings.encoder)
    return rows_of(load(settings.data), positive=positive, pca=settings.pca, encoder=settings.encoder)


def rows_of(
    loaded: Loaded, *, positive: str | None = None, pca: int | None = None, encoder: str | None = None
) -> PlanRows:
    """Encode what was loaded; validation rows count as real ones, test rows are not looked at."""
    mixture, has_vectors = loaded.mixture, loaded.embeddings is not None
    x = concat_x([part.x for part in mixture.parts if len(part)])
    if loaded.embeddings is not None:
        vectors = loaded.embeddings.astype(np.float32)
        vectors = fit_encoder(vectors).transform(vectors)
    else:
        vectors = fit_encoder(x, pca=pca, name=encoder).transform(x)
    notes = [] if has_vectors else column_notes(x, mixture.is_synth, loaded.findings)
    notes += encoding_note(x, vectors.shape[1], encoder, own_vectors=has_vectors)
    return mixture_rows(vectors, mixture.y, mixture.is_synth, mixture.classes, positive, notes)


def mixture_rows(
    vectors: np.ndarray,
    y: np.ndarray,
    is_synth: np.ndarray,
    classes: tuple[Any, ...],
    positive: str | None = None,
    notes: Sequence[str] = (),
) -> PlanRows:
    """Split encoded rows into real and synthetic ones of two classes."""
    return binary_rows(vectors[~is_synth], y[~is_synth], vectors[is_synth], y[is_synth], classes, positive, notes)


def binary_rows(
    real: np.ndarray,
    y: np.ndarray,
    synth: np.ndarray,
    t: np.ndarray,
    classes: tuple[Any, ...],
    positive: str | None = None,
    about: Sequence[str] = (),
) -> PlanRows:
    """Code two classes (or one against the rest) as -1 and +1 and put features on one scale.

    `about` are notes on what came before; they stand first among those of the rows.

    Raises
    ------
    DataError
        If `positive` is no class, there is one class only, or one of the two has fewer than 20 real rows.
    """
    counts = np.bincount(y, minlength=len(classes))
    names = [str(name) for name in classes]
    code = _positive_code(names, counts, positive)
    notes = list(about)
    present = np.flatnonzero(counts)
    negative = REST if len(present) > 2 else names[int(present[present != code][0])]
    signs, marks = np.where(y == code, 1.0, -1.0), np.where(t == code, 1.0, -1.0)
    subject = _subject(names[code], negative, len(present), signs, is_named=positive is not None)
    few = int(min((signs == 1).sum(), (signs == -1).sum()))
    if few < LEAST_CLASS_ROWS:
        others = [min(int(count), int(counts.sum() - count)) for count in counts] if len(present) > 2 else [0]
        other = REST if len(present) > 2 else repr(negative)
        advice = "choose another --positive, or " if max(others) >= LEAST_CLASS_ROWS else ""
        raise DataError(
            f"{names[code]!r} against {other} leaves {few} real rows on one side; at least {LEAST_CLASS_ROWS} are "
            f"needed to plan from rows: {advice}plan from numbers"
        )
    x, z = real.astype(float), synth.astype(float)
    middle = (x[signs == 1].mean(axis=0) + x[signs == -1].mean(axis=0)) / 2.0
    x, z = x - middle, z - middle
    x, z, note = _fewer_features(x, z)
    if not x.shape[1]:
        raise DataError(
            "no usable feature is left: every column is constant over the real rows or text with a value a row; give "
            "numbers or categories, --text COL, or --embeddings"
        )
    inside = x - signs[:, None] * (x[signs == 1].mean(axis=0) - x[signs == -1].mean(axis=0)) / 2.0
    scale = float(np.sqrt(inside.var(axis=0).mean()))
    if not scale > 0:
        raise DataError("no feature varies inside the classes; take out the column that repeats the label")
    notes += [note] if note else []
    if 0 < len(z) < BATCH_ROWS_A_FEATURE * x.shape[1]:
        notes.append(
            f"{len(z):,} synthetic rows for {x.shape[1]} features: beyond them the prediction is that of a generator "
            f"known by so many rows, a lower bound ({BATCH_ROWS_A_FEATURE * x.shape[1]:,} rows would be enough)"
        )
    return PlanRows(x / scale, signs, z / scale, marks, names[code], negative, subject, tuple(notes))


def least_squares_rows(rows: PlanRows) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return real and synthetic features that least squares can bear, and what was left out.

    Directions in which rows of one kind do not vary are taken out (nothing can be fitted there), then the main
    directions of the real rows are kept, at most a third as many as there are rows of either kind.
    """
    inner = rows.z - rows.z.mean(axis=0)
    _, sizes, across = np.linalg.svd(inner, full_matrices=False)
    seen = across[sizes > 1e-6 * max(float(sizes[0]), np.sqrt(len(inner)))]  # real features have variance 1
    if not len(seen):
        raise DataError("no feature varies over the synthetic rows; nothing can be fitted to them")
    x, z, wide = rows.x @ seen.T, rows.z @ seen.T, rows.x.shape[1]
    values, basis = np.linalg.eigh(np.cov(x, rowvar=False).reshape(len(seen), -1))
    live = int((values > 1e-10 * values[-1]).sum())
    kept = min(live, max(min(len(rows.y), len(rows.t)) // ROWS_A_FEATURE - 1, 1))
    basis = basis[:, ::-1][:, :kept]
    notes = []
    if live < wide:
        notes.append(f"{wide - live} of {wide} directions do not vary over real or over synthetic rows: left out")
    if kept < live:
        notes.append(f"{live} directions were reduced to {kept}, at least {ROWS_A_FEATURE} rows each")
    return x @ basis, z @ basis, notes


def read_audit(path: Path) -> Audit:
    """Read an audited sample: a table with a column `right` and, where there is a verifier, a column `kept`.

    Raises
    ------
    DataError
        If the file or the column is missing, or a cell is neither yes nor no.
    """
    raw = read_file(path, frozenset({"right", "kept"}))
    if "right" not in raw.columns:
        raise DataError(
            f"{path} has the columns {', '.join(raw.columns) or 'none'}; a column right (1 where the label is right) "
            "is needed, and a column kept (1 where the verifier keeps the row) if there is a verifier. For example the "
            "lines right,kept then 1,1 then 0,1 then 1,0"
        )
    flags = {name: _flags(raw, name, path) for name in ("right", "kept") if name in raw.columns}
    return count_audit(flags["right"], flags.get("kept"))


def read_numbers(path: Path, name: str) -> np.ndarray:
    """Read numbers, one a line or separated by commas or blanks, or an .npy array.

    Raises
    ------
    DataError
        If the file cannot be read, or something in it is no finite number.
    """
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            values = np.array([float(word) for word in path.read_text(encoding="utf-8").replace(",", " ").split()])
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"--{name} {path} cannot be read as numbers: {error}. Give one number a line.") from error
    if values.ndim != 1 or values.dtype.kind not in "fiu" or not len(values) or not np.isfinite(values).all():
        raise DataError(f"--{name} {path} holds an array of shape {values.shape}; one finite number a line is needed")
    return values.astype(float)


def _positive_code(names: list[str], counts: np.ndarray, positive: str | None) -> int:
    """Code of the class that is +1: the one named, else the second of two, else the largest."""
    if (counts > 0).sum() < 2:
        raise DataError("the real rows are all of one class; two are needed")
    if positive is not None:
        if positive not in names:
            raise DataError(f"--positive is {positive!r}; the classes are {', '.join(names[:20])}")
        return names.index(positive)
    present = np.flatnonzero(counts)
    return int(present[-1]) if len(present) == 2 else int(np.argmax(counts))


def _subject(positive: str, negative: str, num_classes: int, signs: np.ndarray, *, is_named: bool) -> str:
    """Say which classes are planned, why these, and how often the more frequent answer alone is right."""
    share, usual = float((signs == 1).mean()), positive if (signs == 1).mean() >= 0.5 else negative
    guess = f"always answering {usual!r} is right on {100 * max(share, 1 - share):.0f} % of the real rows"
    if num_classes == 2:
        return f"Planned for the two classes {positive!r} and {negative!r}; {guess}."
    why = "with the most real rows (synthsift plan takes another with --positive CLASS)"
    return (
        f"Planned for class {positive!r} against all {num_classes - 1} others together, not for an average of classes: "
        f"the theory is for two classes, and this is the one {'that --positive names' if is_named else why}. Here "
        f"{guess}: an easier task than telling {num_classes} classes apart."
    )


def _fewer_features(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Rows without constant features, and in the main directions of the real ones where there are too many."""
    live = x.std(axis=0) > 1e-9 * max(float(x.std(axis=0).max()), 1e-300)
    x, z = x[:, live], z[:, live]
    if x.shape[1] <= MAX_FEATURES:
        return x, z, ""
    wide = x.shape[1]
    basis = np.linalg.eigh(x.T @ x)[1][:, ::-1][:, :MAX_FEATURES]
    share = float(((x @ basis) ** 2).sum() / (x**2).sum())
    note = f"{wide} features were reduced to {MAX_FEATURES} directions, which hold {100 * share:.0f} % of the variance"
    return x @ basis, z @ basis, note


def _flags(raw: Any, name: str, path: Path) -> np.ndarray:
    """A column of yes and no as 0 and 1."""
    words = {"1": 1, "1.0": 1, "true": 1, "yes": 1, "0": 0, "0.0": 0, "false": 0, "no": 0}
    texts = [str(text).strip().casefold() for text in key_texts(raw.columns[name])]
    for number, text in enumerate(texts):
        if text not in words:
            seen = repr(text) if text else "an empty cell"
            raise DataError(f"{path}: {name} is {seen} in data row {number + 1}; write 1 or 0 (yes/no, true/false)")
    return np.array([words[text] for text in texts])
