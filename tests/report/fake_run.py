"""A run folder as `synthsift run` leaves it, with invented numbers and names that would harm a careless page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np

from synthsift import runs, writing
from synthsift.records import REAL, Finding, Severity
from synthsift.seeds import Seeds

SCRIPT = "<script>alert(1)</script>"
HOSTILE = (
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "</style><b>$\\frac{a}{$",
    "{{ 7 * 7 }} {% raw %}",
    "a|b`c`\n# heading",
    "red \x1b[31m and turned \u202eabc",
    "日本語 の 名前",
    "--> ]]> &amp; &#60;",
)
CLASSES = (SCRIPT, "a|b`c`\n# heading", "日本語 の 名前", "plain")
SOURCES = {HOSTILE[1]: 700, "ctgan": 900, HOSTILE[2]: 500, "tvae": 600}
NAMES = ("RealOnly", "Everything", "RealTimes(5)", "BestSources", "TrustedMargin", "LearnedWeights", "EL2N")


PLANTED = {
    "what": f"rows {SCRIPT}", "num_rows": 100, "num_bad": 12, "found": 9, "by_chance": 1.44, "auroc": 0.9,
    "kinds": [{"why": f"label {SCRIPT}", "rows": 12, "found": 9}], "why": {f"{SCRIPT}0": HOSTILE[1]},
}  # fmt: skip
GROUPS = ("north", SCRIPT, HOSTILE[4])


def write_fake_run(
    path: Path, *, kind: str = "rows", use: bool = True, data: bool = False, planted: bool = False
) -> Path:
    """Write all files of a finished run into `path`; with `data`, also the CSV files it claims to have read.

    Parameters
    ----------
    path : Path
        Folder to make.
    kind : str
        Gallery of "rows", "text" or "image".
    use : bool
        Whether the verdict uses synthetic data.
    data : bool
        Write the data files beside the folder.
    planted : bool
        Write down which rows were spoiled, as the demo does.
    """
    rng = Seeds(0).numpy("fake")
    data_settings = {"real": [f"{SCRIPT}.csv"], "label": "kind", "text": None, "id": None, "seed": 0}
    settings = {"data": data_settings, "learner": "logistic", "num_seeds": 5, "first_seed": 0, "budget_minutes": 5.0}
    with runs.RunFolder.open(path, settings, "0" * 64) as run:
        weights = _weights(rng, use, path.parent)
        writing.write_parquet(run.path / "weights.parquet", weights)
        writing.write_csv(run.path / "comparison.csv", _comparison(rng))
        writing.write_parquet(run.path / "history.parquet", _history(rng))
        writing.write_json(run.path / "findings.json", _findings())
        writing.write_json(run.path / "gallery.json", _gallery(rng, kind))
        writing.write_text(run.path / "log.txt", "started\n")
        if planted:
            writing.write_json(run.path / "planted.json", PLANTED)
        writing.write_json(run.path / "summary.json", _summary(use))
    if data:
        _write_data(weights)
    return path


def _weights(rng: np.random.Generator, use: bool, folder: Path) -> dict[str, np.ndarray]:
    """Rows of weights.parquet: 300 real, 100 validation, then every source."""
    names = [REAL] * 400 + [name for name, n in SOURCES.items() for _ in range(n)]
    source = np.array(names, dtype=object)
    n, is_synth = len(names), source != REAL
    learned = rng.gamma(2.0, 0.5, size=n) * (1 + 2 * ~is_synth)
    weight = np.where(is_synth, learned * (rng.random(n) < 0.62) * use, 3.0)
    weight *= n / weight.sum()
    threshold = 0.1 * weight[is_synth & (weight > 0)].mean() if use else 0.0
    row = np.concatenate([np.arange(300), np.arange(100), *(np.arange(k) for k in SOURCES.values())])
    number = np.concatenate([[0] * 300, [1] * 100, *([2 + i] * k for i, k in enumerate(SOURCES.values()))])
    return {
        "id": np.array([f"row-{i}" for i in range(n)], dtype=object),
        "source": source,
        "split": np.array(["train"] * 300 + ["valid"] * 100 + ["train"] * (n - 400), dtype=object),
        "label": np.array([CLASSES[i] for i in rng.integers(len(CLASSES), size=n)], dtype=object),
        "weight": weight,
        "learned_weight": learned * n / learned.sum(),
        "keep": weight > threshold,
        "file": np.array([str(folder / f"{int(i)} <script>.csv") for i in number], dtype=object),
        "row": row,
    }


def _comparison(rng: np.random.Generator) -> dict[str, list[Any]]:
    """Rows of comparison.csv: 25 splits of each policy, one value missing."""
    cells = [(p, s, f, m) for p in NAMES for s in range(5) for f in range(5) for m in ("accuracy", "log_loss", "auc")]
    values = [float(rng.normal(0.8, 0.02)) for _ in cells]
    values[7] = float("nan")
    policy, seed, fold, metric = (list(column) for column in zip(*cells, strict=True))
    return {"policy": policy, "seed": seed, "fold": fold, "metric": metric, "value": values}


def _history(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Columns of history.parquet, longer than a page needs."""
    step = np.arange(800)
    fall = np.exp(-step / 200)
    gsnr = 0.2 + 3 * fall + rng.gamma(1.0, 0.2, size=800)
    gsnr[5] = np.nan
    return {
        "step": step,
        "train_loss": 0.4 + fall + rng.normal(0, 0.02, 800),
        "valid_loss": 0.5 + 0.8 * fall + rng.normal(0, 0.02, 800),
        "effective_batch": 256 * (0.6 + 0.4 * fall),
        "gsnr": gsnr,
        "mean_weight": 1 - 0.4 * (1 - fall),
        "largest_share": 0.02 + 0.03 * (1 - fall),
    }


def _findings() -> list[Finding]:
    """Three findings, the worst one last."""
    return [
        Finding(
            "SS105", Severity.note, "Labels are balanced", "Both have 25 % each.", "It is as it should be.", "Go on."
        ),
        Finding(
            "SS103",
            Severity.warning,
            "A source copies training rows",
            f"7 of 900 rows of {HOSTILE[1]} equal a real row.",
            "Copies add weight to rows that are there already.",
            "Remove them or ask the generator for more noise.",
        ),
        Finding(
            "SS101", Severity.error, f"Class {SCRIPT} is missing", "0 rows.", "It is lost.", "Add rows.\nThen rerun."
        ),
    ]


def _gallery(rng: np.random.Generator, kind: str) -> dict[str, Any]:
    """Two rows at each end of every source and class, one of them with a text longer than a page shows."""
    items = []
    pairs = [(source, label) for source in list(SOURCES)[:3] for label in CLASSES[:2]]
    for i in range(4 * len(pairs)):
        content: dict[str, Any] = {
            "rows": {"cells": {"age": 20 + i, "income": 1234.5678, SCRIPT: HOSTILE[i % len(HOSTILE)], "none": None}},
            "text": {"text": HOSTILE[i % len(HOSTILE)] + " and more words" * (60 if i == 3 else 4)},
            "image": {"png": _png(rng)},
        }[kind]
        (source, label), is_low = pairs[i // 4], i % 4 > 1
        items.append(
            {
                "id": f"{SCRIPT}{i}",
                "source": source,
                "label": label,
                "weight": 0.01 * i if is_low else 2.0 - 0.01 * i,
                "end": "lowest" if is_low else "highest",
                "notes": {"trusted_loss": [0.5, 0.25], SCRIPT: [1.0, 1.0]},
                **content,
            }
        )
    rows = [{"source": source, "label": label, "rows": 100} for source, label in pairs]
    return {"kind": kind, "by": "LearnedWeights", "num_pairs": len(pairs) + 2, "pairs": rows, "items": items}


def _png(rng: np.random.Generator) -> str:
    """A small picture of noise as base64 text."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, size=(16, 16), dtype=np.uint8)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _gain(mean: float, half: float) -> dict[str, float]:
    """An interval as summary.json has it."""
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _subset(n: int, gain: float, half: float) -> dict[str, Any]:
    """Gains of a class or a group."""
    return {
        "n": n,
        "real_only": 80.0,
        "policy": 80.0 + gain,
        "everything": 79.0,
        "gain": _gain(gain, half),
        "everything_gain": _gain(-1.0, half),
    }


def _summary(use: bool) -> dict[str, Any]:
    """Content of summary.json."""
    gains = dict(zip(NAMES, (0.0, -0.9, 0.8, 1.4, 2.1, 1.9, -6.0), strict=True))
    sentence = (
        "Use 62 % of the synthetic rows with TrustedMargin weights: +2.1 [1.3, 2.9] points accuracy over real data "
        "alone (proven; 25 paired splits). All of it unweighted: -0.9 [-1.6, -0.2]."
        if use
        else f"Do not use this synthetic data: no policy is better than the real rows alone ({SCRIPT})."
    )
    return {
        "schema": 1,
        "verdict": {
            "policy": "TrustedMargin" if use else "RealOnly",
            "use": use,
            "evidence": "proven" if use else "unproven",
            "sentence": sentence,
            "gain": {
                "over_real_only": _gain(2.1 * use, 0.8 * use),
                "over_everything": _gain(3.0 if use else 0.9, 0.7),
                "metric": "accuracy",
                "unit": "points",
            },
            "keep_fraction": 0.62 * use,
            "effective_fraction": 0.31 * use,
        },
        "policies": [
            {
                "name": name,
                "metric": "accuracy",
                "mean": 0.8 + gain / 100,
                "low": 0.79 + gain / 100,
                "high": 0.81 + gain / 100,
                "n": 25,
                "seconds": 3.2,
            }
            for name, gain in gains.items()
        ],
        "test": [
            {"name": name, "metric": metric, "value": value + gain / 100}
            for name, gain in gains.items()
            for metric, value in (("accuracy", 0.79), ("log_loss", 0.45))
        ],
        "data": {
            "num_real": 300,
            "num_valid": 100,
            "num_test": 1000,
            "num_synth": sum(SOURCES.values()),
            "sources": SOURCES,
            "classes": list(CLASSES),
            "num_features": 22,
        },
        "splits": 25,
        "metric": "accuracy",
        "stopped": {"EL2N": f"clearly worse after 5 splits {SCRIPT}"},
        "comparison": [
            {
                "name": name,
                "gain": _gain(gain, 0.0 if name == "RealOnly" else 0.7 + 4 * (name == "EL2N")),
                "n_splits": 5 if name == "EL2N" else 25,
                "log_loss": 0.45 - gain / 200,
                "repetitions": 5,
                "near": name in ("TrustedMargin", "LearnedWeights") if use else name == "RealOnly",
            }
            for name, gain in gains.items()
        ],
        "per_class": [
            {"label": label, **_subset(100 + i, gain, 1.5)}
            for i, (label, gain) in enumerate(zip(CLASSES, (4.2, -2.3, 2.0, 0.4), strict=True))
        ],
        "per_group": [
            {"group": group, **_subset(50, gain, 2.0)} for group, gain in zip(GROUPS, (1.0, -3.0, 0.5), strict=True)
        ],
        "importance": [
            {"name": name, "share": share, "low": 0.9 * share, "high": 1.1 * share, "direction": direction}
            for name, share, direction in (
                ("trusted_loss", 0.5, -0.8),
                ("knn_shapley", 0.2, 0.6),
                (SCRIPT, 0.1, 0.02),
                ("class", 0.05, None),
            )
        ],
        "diagnostics": {
            "effective_fraction": 0.31 * use,
            "gsnr": 0.4,
            "temper": 2.0,
            "learned_outcome": "finished as intended",
        },
        "versions": {"synthsift": "0.1.0", "numpy": "2.0"},
        "seconds": {"total": 133.7, "load": 1.2},
    }


def _write_data(weights: dict[str, np.ndarray]) -> None:
    """The CSV files named in `weights`, two features beside the label."""
    for name in np.unique(weights["file"].astype(str)):
        mine = weights["file"] == name
        order = np.argsort(weights["row"][mine])
        columns = {"a": weights["row"][mine][order], "kind": weights["label"][mine][order]}
        writing.write_csv(Path(name), {**columns, "b": weights["learned_weight"][mine][order]})
