"""The next step: lines a user can paste to train with the weights of a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from synthsift.report.shell import command_name

READERS = {
    ".csv": "pd.read_csv(f)",
    ".tsv": "pd.read_csv(f, sep='\\t')",
    ".jsonl": "pd.read_json(f, lines=True)",
    ".ndjson": "pd.read_json(f, lines=True)",
    ".parquet": "pd.read_parquet(f)",
    ".pq": "pd.read_parquet(f)",
}
NOT_INPUTS = ("source_column", "split_column", "id", "parent", "group")
FILES = "for f, k in w.groupby('file')"  # in the order of w, which is sorted by file


def write_snippets(report: Mapping[str, Any]) -> dict[str, str]:
    """Return code that trains with the weights, fitted to the kind of files the run has read.

    Labels come from the files wherever one reader fits all of them: weights.parquet holds them as text, and a model
    that has learned ``'3'`` never predicts 3.

    Parameters
    ----------
    report : dict
        From `collect`; its ``run``, ``files`` and ``settings`` are used.

    Returns
    -------
    dict
        ``export`` (shell), ``sklearn`` and ``torch`` (Python), each with at most four lines after the import.
    """
    file = f"{report['run']}/weights.parquet"
    kept = f"w = pd.read_parquet({file!r}).query('weight > 0').sort_values('file', kind='stable', ignore_index=True)"
    if report.get("balanced_training") is True:  # as the models of the run were trained
        kept += ".assign(weight=lambda w: w['weight'] / w.groupby('label')['weight'].transform('sum'))"
    kept += (
        ".assign(weight=lambda w: w['weight'] / w['weight'].mean())"  # a penalty would take larger ones for more rows
    )
    return {
        "export": f"{command_name()} export {shlex.quote(report['run'])} --out curated",
        "sklearn": "\n".join(_sklearn_lines(report, kept)),
        "torch": "\n".join(
            (
                "import pandas as pd, torch  # dataset is yours: item i is row w['row'][i] of w['file'][i]",
                kept,
                "sampler = torch.utils.data.WeightedRandomSampler(w['weight'].tolist(), num_samples=len(w))",
                "loader = torch.utils.data.DataLoader(dataset, batch_size=64, sampler=sampler)",
            )
        ),
    }


def _sklearn_lines(report: Mapping[str, Any], kept: str) -> tuple[str, ...]:
    """Lines for `fit(..., sample_weight=...)`: tables and arrays are read as they are, the rest is left to the user."""
    data, suffixes = report["settings"].get("data"), report["files"]["suffixes"]
    data = data if isinstance(data, dict) else {}
    label, suffix = data.get("label") or "y", suffixes[0] if len(suffixes) == 1 else None
    if data.get("embeddings") and (suffix == ".npz" or suffix in READERS):
        return _vector_lines(kept, "np.load(f)" if suffix == ".npz" else READERS[suffix], label)
    if data and suffix in READERS:
        return _table_lines(kept, READERS[suffix], label, data)
    if suffix == ".npz":
        return (
            "import numpy as np, pandas as pd",
            "flat = lambda x: x.reshape(len(x), -1) / (255 if x.dtype == np.uint8 else 1)  # bytes as 0-1, as the run",
            kept,
            f"x, y = zip(*((flat(np.load(f)['x'][k['row']]), np.load(f)[{label!r}][k['row']]) {FILES}))",
            "model.fit(np.concatenate(x), np.concatenate(y), sample_weight=w['weight'])  # predict with flat(new), too",
        )
    return (
        "import numpy as np, pandas as pd",
        kept,
        "x = np.stack([features_of(file, row) for file, row in zip(w['file'], w['row'])])  # features_of is yours",
        "model.fit(x, w['label'], sample_weight=w['weight'])  # these labels are text",
    )


def _table_lines(kept: str, reader: str, label: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Lines for table files: join the kept rows of every file, fit on all columns that are inputs."""
    text = data.get("text")
    extra = [data[name] for name in NOT_INPUTS if isinstance(data.get(name), str)]
    inputs = f"d[{text!r}]" if isinstance(text, str) else f"d.drop(columns={[label, *extra]!r}, errors='ignore')"
    return (
        "import pandas as pd",
        kept,
        f"d = pd.concat({reader}.iloc[k['row']] {FILES})",
        f"model.fit({inputs}, d[{label!r}], sample_weight=w['weight'])",
    )


def _vector_lines(kept: str, reader: str, label: str) -> tuple[str, ...]:
    """Lines for a run on the user's own vectors: labels from the data files, inputs from where the vectors lie."""
    return (
        "import numpy as np, pandas as pd",
        kept,
        f"y = np.concatenate([np.asarray({reader}[{label!r}])[k['row']] {FILES}])",
        f"x = np.concatenate([vectors_of(f, k['row']) {FILES}])  # yours: the --embeddings of these rows of f",
        "model.fit(x, y, sample_weight=w['weight'])",
    )
