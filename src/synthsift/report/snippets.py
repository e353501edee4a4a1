"""The next step: lines a user can paste to train with the weights of a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

READERS = {
    ".csv": "pd.read_csv(f)",
    ".tsv": "pd.read_csv(f, sep='\\t')",
    ".jsonl": "pd.read_json(f, lines=True)",
    ".parquet": "pd.read_parquet(f)",
}
NOT_INPUTS = ("source_column", "split_column", "id", "parent", "group")


def write_snippets(report: Mapping[str, Any]) -> dict[str, str]:
    """Return code that trains with the weights, fitted to the kind of files the run has read.

    Parameters
    ----------
    report : dict
        From `collect`; its ``run``, ``files`` and ``settings`` are used.

    Returns
    -------
    dict
        ``export`` (shell), ``sklearn`` and ``torch`` (Python), each with at most three lines after the import.
    """
    weights = f"pd.read_parquet({report['run'] + '/weights.parquet'!r})"
    return {
        "export": f"synthsift export {shlex.quote(report['run'])} --out curated",
        "sklearn": _sklearn_lines(report, weights),
        "torch": "\n".join(
            (
                "import pandas as pd, torch",
                f"w = {weights}['weight']  # your dataset holds these rows, in this order",
                "sampler = torch.utils.data.WeightedRandomSampler(w.tolist(), num_samples=int((w > 0).sum()))",
                "loader = torch.utils.data.DataLoader(dataset, batch_size=64, sampler=sampler)",
            )
        ),
    }


def _sklearn_lines(report: Mapping[str, Any], weights: str) -> str:
    """Lines for `fit(..., sample_weight=...)`: tables and arrays are read as they are, the rest is left to the user."""
    data, suffixes = report["settings"].get("data"), report["files"]["suffixes"]
    if len(suffixes) == 1 and suffixes[0] in READERS and isinstance(data, dict):
        return _table_lines(weights, READERS[suffixes[0]], data)
    if suffixes == [".npz"]:
        return "\n".join(
            (
                "import numpy as np, pandas as pd",
                f"w = {weights}.query('weight > 0').sort_values('file', kind='stable')",
                "x = np.concatenate([np.load(f)['x'][part['row']] for f, part in w.groupby('file')])",
                "model.fit(x.reshape(len(x), -1), w['label'], sample_weight=w['weight'])",
            )
        )
    return "\n".join(
        (
            "import numpy as np, pandas as pd",
            f"w = {weights}.query('weight > 0')",
            "x = np.stack([features_of(file, row) for file, row in zip(w['file'], w['row'])])  # features_of is yours",
            "model.fit(x, w['label'], sample_weight=w['weight'])",
        )
    )


def _table_lines(weights: str, reader: str, data: Mapping[str, Any]) -> str:
    """Lines for table files: join the kept rows of every file, fit on all columns that are inputs."""
    label, text = data.get("label") or "y", data.get("text")
    extra = [data[name] for name in NOT_INPUTS if isinstance(data.get(name), str)]
    inputs = (
        f"d[{text!r}]" if isinstance(text, str) else f"d.drop(columns={[label, 'weight', *extra]!r}, errors='ignore')"
    )
    return "\n".join(
        (
            "import pandas as pd",
            f"w = {weights}.query('weight > 0')",
            f"d = pd.concat({reader}.iloc[k['row']].assign(weight=k['weight'].values) for f, k in w.groupby('file'))",
            f"model.fit({inputs}, d[{label!r}], sample_weight=d['weight'])",
        )
    )
