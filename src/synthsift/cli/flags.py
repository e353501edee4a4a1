"""Flags that several verbs share: the same words, the same help, the same panel everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from synthsift.data.spec import DataSpec

DATA = "Data"
MORE = "Data, more"
HOW = "How to compare"
OUTPUT = "Output"


def option(text: str, panel: str, *names: str, **more: Any) -> Any:
    """Return a typer option with its help text and the panel it is listed in."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


Real = Annotated[
    list[str] | None,
    option("Real training rows: CSV, TSV, JSONL, Parquet (also .gz), .npz, or a folder of images by class.", DATA),
]
Synthetic = Annotated[list[str] | None, option("[NAME=]FILE or FOLDER, or a quoted glob; repeat for more.", DATA)]
Valid = Annotated[str | None, option("Real validation rows.", DATA)]
Test = Annotated[str | None, option("Real test rows: opened once, at the end.", DATA)]
Data = Annotated[str | None, option("One table with everything, instead of --real and --synthetic.", DATA)]
Label = Annotated[str | None, option("Label column (y in .npz).", DATA)]
Text = Annotated[str | None, option("Column of texts.", DATA)]
SourceColumn = Annotated[str | None, option("With --data: who made a row; 'real' or a source.", DATA)]
SplitColumn = Annotated[str | None, option("With --data: the split of a real row.", DATA)]
TrainSplit = Annotated[str, option("Its value for training rows.", MORE)]
ValidSplit = Annotated[str | None, option("Its value for validation rows.", MORE)]
TestSplit = Annotated[str | None, option("Its value for test rows.", MORE)]
IdColumn = Annotated[str | None, option("Column of ids.", MORE, "--id")]
Parent = Annotated[str | None, option("Column with the real row a synthetic one was made from.", MORE)]
ParentSplit = Annotated[str | None, option("--parent holds row numbers of this split.", MORE)]
Group = Annotated[str | None, option("Column of groups that must not straddle a split; 2 or more.", MORE)]
Embeddings = Annotated[list[str] | None, option("Own vectors: FILE.parquet with id, or DATAFILE=VECTORS.npy.", MORE)]
MaxReal = Annotated[int | None, option("Take at most so many real training rows.", MORE)]
MaxValid = Annotated[int | None, option("At most so many validation rows.", MORE)]
MaxRowsPerSource = Annotated[int | None, option("At most so many rows of each source.", MORE)]
GeneratorSaw = Annotated[str, option("Real rows the generator was trained on: train, all, none, unknown.", MORE)]
Pixels = Annotated[int, option("Side that images are scaled to: 32 or 64.", MORE)]
FirstSeed = Annotated[int, option("The first of them; also draws --max-... rows.", HOW)]
Overwrite = Annotated[bool, option("Replace an earlier run in the folder.", OUTPUT, "--overwrite")]
AsJson = Annotated[bool, option("Print summary.json.", OUTPUT, "--json")]
Quiet = Annotated[bool, option("Print the verdict only.", OUTPUT, "--quiet")]
Debug = Annotated[bool, option("Show tracebacks.", OUTPUT, "--debug")]


def data_spec(given: Mapping[str, Any]) -> DataSpec:
    """Make the record of the data flags from all arguments of a verb, by name; others are passed over."""
    from dataclasses import fields

    from synthsift.data.spec import DataSpec

    named = {**given, "id": given["id_column"]}
    listed = {name: tuple(named[name] or ()) for name in ("real", "synthetic", "embeddings")}
    return DataSpec(**{field.name: named[field.name] for field in fields(DataSpec) if field.name in named} | listed)
