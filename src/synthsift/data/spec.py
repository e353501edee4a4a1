"""What the data flags of the command line say, as one frozen record."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from synthsift.records import DataError

PIXELS = (32, 64)
SHORTEST = 3  # letters from which on the beginning of a name is a hint at it
GENERATOR_SAW = ("train", "all", "none", "unknown")  # which real rows the generators were fitted on


@dataclass(frozen=True)
class DataSpec:
    """Which files to read and what their columns mean.

    Either `real` and `synthetic` (one file a part), or `data` with a source column (one table).

    Parameters
    ----------
    real : tuple of str
        Files of real training rows, or folders with one folder of images a class.
    valid, test : str, optional
        Files or folders of real validation and test rows.
    synthetic : tuple of str
        ``[NAME=]PATH`` each; PATH is a file, a folder with one folder of images a class, a glob of these, or a folder
        of table files (then one source a file).
    data : str, optional
        One table that holds everything.
    source_column, split_column : str, optional
        Columns of `data`: who made a row, and the split a real row belongs to.
    train_split, valid_split, test_split : str
        Values of the split column; real rows of other splits are ignored.
    real_source : str
        The value of the source column that stands for real rows; case does not matter.
    label : str, optional
        The label column; "y" for .npz files by default.
    text : str, optional
        The column of documents; makes the inputs texts.
    id, parent, group : str, optional
        Columns with ids, with the real row a synthetic one was made from, and with groups that stay together.
    parent_split : str, optional
        If given, `parent` holds 0-based row numbers among the real rows of this split.
    embeddings : tuple of str
        ``FILE.parquet`` with an id column, ``DATAFILE=VECTORS`` row by row, or ``VECTORS.npy`` for a single data file.
    max_real, max_valid, max_rows_per_source : int, optional
        Take at most so many rows, drawn at random.
    seed : int
        Seed of that draw.
    pixels : int
        Side that images are scaled to, 32 or 64.
    """

    real: tuple[str, ...] = ()
    valid: str | None = None
    test: str | None = None
    synthetic: tuple[str, ...] = ()
    data: str | None = None
    source_column: str | None = None
    split_column: str | None = None
    train_split: str = "train"
    valid_split: str | None = "val"
    test_split: str | None = "test"
    real_source: str = "real"
    label: str | None = None
    text: str | None = None
    id: str | None = None
    parent: str | None = None
    parent_split: str | None = None
    group: str | None = None
    embeddings: tuple[str, ...] = ()
    max_real: int | None = None
    max_valid: int | None = None
    max_rows_per_source: int | None = None
    seed: int = 0
    pixels: int = 32

    @property
    def label_column(self) -> str:
        """The label column, "y" where none is named."""
        return self.label or "y"

    @property
    def keys(self) -> frozenset[str]:
        """Columns that are no features."""
        named = (self.label_column, self.id, self.parent, self.group, self.source_column, self.split_column)
        return frozenset(name for name in named if name)

    @property
    def held_out(self) -> dict[str, str]:
        """Files of real rows beside the training rows, by role."""
        return {role: path for role, path in (("valid", self.valid), ("test", self.test)) if path}

    @property
    def split_roles(self) -> dict[str, str]:
        """The role of each named value of the split column."""
        named = ((self.train_split, "real"), (self.valid_split, "valid"), (self.test_split, "test"))
        return {split: role for split, role in named if split}

    def limit(self, role: str) -> int | None:
        """Return how many rows of a role (of each source, for "synthetic") are taken at most."""
        limits = {"real": self.max_real, "valid": self.max_valid, "synthetic": self.max_rows_per_source}
        return limits.get(role)


def check_spec(spec: DataSpec) -> None:
    """Refuse combinations of flags that make no sense, before any file is opened.

    Raises
    ------
    DataError
        If a flag is missing, contradicts another one, or two flags name the same column.
    """
    if spec.data:
        _check_one_table(spec)
    else:
        _check_many_files(spec)
    _check_columns(spec)
    for flag in ("max_real", "max_valid", "max_rows_per_source"):
        limit = getattr(spec, flag)
        if limit is not None and limit < 1:
            raise DataError(
                f"--{flag.replace('_', '-')} is {limit}; at least 1 is needed. Leave it out to take all rows."
            )
    if spec.pixels not in PIXELS:
        raise DataError(f"--pixels is {spec.pixels}; images are scaled to {' or '.join(map(str, PIXELS))} pixels.")
    if spec.parent_split and not spec.parent:
        raise DataError(
            f"--parent-split {spec.parent_split} is given without --parent. Name the column with --parent COL."
        )


def _check_one_table(spec: DataSpec) -> None:
    """Check the flags that go with --data."""
    others = [f"--{n}" for n in ("real", "valid", "test", "synthetic") if getattr(spec, n)]
    if others:
        raise DataError(
            f"--data holds all rows, but {', '.join(others)} is given too. Use either the one or the other."
        )
    if not spec.source_column:
        raise DataError(
            f"--data needs --source-column: the column that says {spec.real_source!r} for real rows and names the "
            "generator of synthetic ones. Or give real and synthetic rows as separate files with --real and "
            "--synthetic."
        )
    splits = [split for split in (spec.train_split, spec.valid_split, spec.test_split) if split]
    if len(set(splits)) < len(splits):
        near = ", ".join(splits)
        raise DataError(f"the splits for training, validation and test must differ, but they are {near}. Rename one.")


def _check_many_files(spec: DataSpec) -> None:
    """Check the flags that go with --real."""
    if not spec.real:
        raise DataError(
            "no real data is named. Give --real FILE and --synthetic FILE, or --data FILE --source-column COL."
        )
    if not spec.synthetic:
        raise DataError("no synthetic data is named. Give --synthetic FILE (repeat it for several sources).")
    for flag, value in (("--source-column", spec.source_column), ("--split-column", spec.split_column)):
        if value:
            raise DataError(
                f"{flag} {value} goes with --data, where one file holds all rows; with --real it has no meaning."
            )


def _check_columns(spec: DataSpec) -> None:
    """Refuse one column in two roles."""
    roles: dict[str, str] = {}
    for flag in ("label", "text", "id", "parent", "group", "source_column", "split_column"):
        name = getattr(spec, flag)
        if name is None:
            continue
        if name in roles and {flag, roles[name]} != {"id", "group"}:
            raise DataError(
                f"--{flag.replace('_', '-')} and --{roles[name]} both name the column {name!r}. Name two columns."
            )
        roles[name] = flag.replace("_", "-")


def nearest(name: str, names: list[str]) -> str:
    """Return a hint at the shortest of `names` that begins so, or at the most similar one, or nothing."""
    folded = {other.casefold(): other for other in names}
    near = sorted((o for o in folded if len(name) >= SHORTEST and o.startswith(name.casefold())), key=len)
    near = near or difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""
