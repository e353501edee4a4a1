"""A run folder to one plain dictionary, from which every rendering is made and which JSON can hold as it is.

Only summary.json is required; a part whose file is missing is None or empty, and the page says so.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.records import DataError, Severity
from synthsift.report.gallery import collect_gallery
from synthsift.report.plan_section import collect_plan
from synthsift.report.tally import count_kept, count_weights
from synthsift.report.wording import is_number

SCHEMA = 1
MAX_POINTS = 300
MAX_FINDINGS, MAX_WORDS = 200, 2000
FINDING = ("code", "severity", "title", "seen", "why", "advice", "sources")
COMPARED = ("name", "gain", "n_splits", "log_loss", "repetitions", "near")
SUBSET = ("n", "real_only", "policy", "everything", "gain", "everything_gain")


def collect(run: Path | str) -> dict[str, Any]:
    """Read the run folder `run` into one dictionary of text, numbers, lists and None.

    Parameters
    ----------
    run : Path
        Folder of a finished run.

    Returns
    -------
    dict
        ``run``, ``verdict``, ``metric``, ``splits``, ``comparison`` (a row for each policy, best gain first),
        ``metrics``, ``per_class`` and ``per_group`` (of the policy ``per_class_of``), ``kept``, ``weights``,
        ``history``, ``importance`` (highest first), ``findings`` (worst first), ``gallery``, ``planted`` (what was
        spoiled on purpose), ``plan``, ``test``, ``data``, ``diagnostics``, ``settings``, ``seconds``, ``versions`` and
        ``files`` (what the next step needs to know).

    Raises
    ------
    DataError
        If there is no finished run in the folder, or one of its files is damaged.
    """
    run = Path(run)
    summary = _read_summary(run)
    verdict = summary["verdict"]
    rows = _read_weights(run)
    planted = _collect_planted(run)
    return {
        "schema": SCHEMA,
        "run": str(run),
        "verdict": verdict,
        "metric": _metric(summary),
        "balanced_loss": summary.get("balanced_loss") is True,
        "balanced_training": summary.get("balanced_training") is True,
        "splits": summary.get("splits"),
        "comparison": _collect_comparison(summary),
        "metrics": _collect_metrics(run),
        **_collect_subsets(summary),
        "kept": None if rows is None else count_kept(rows, (summary.get("data") or {}).get("classes")),
        "weights": None if rows is None else count_weights(rows),
        "history": _collect_history(run),
        "importance": _pick(summary.get("importance"), ("name", "share", "low", "high", "direction")),
        "findings": collect_findings(run),
        "gallery": collect_gallery(_read_json(run, "gallery.json"), planted),
        "planted": planted,
        "plan": collect_plan(_read_json(run, "plan.json"), verdict),
        "test": _pick(summary.get("test"), ("name", "metric", "value")),
        "data": summary.get("data") or {},
        "diagnostics": summary.get("diagnostics") or {},
        "settings": _collect_settings(run),
        "seconds": summary.get("seconds") or {},
        "versions": summary.get("versions") or {},
        "files": {"suffixes": [] if rows is None else _suffixes(rows)},
    }


def _read_json(run: Path, name: str) -> Any:
    """Content of a JSON file of the run, NaN as None; None when there is no such file."""
    file = run / name
    if not file.exists():
        return None
    try:
        return json.loads(file.read_text("utf-8"), parse_constant=lambda _: None)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}). A whole file is needed; repeat the run.") from error


def _read_summary(run: Path) -> dict[str, Any]:
    """summary.json, checked as far as the page relies on it."""
    summary = _read_json(run, "summary.json")
    if summary is None:
        raise DataError(
            f"{run} is not a finished run: its summary.json was needed and does not exist. "
            "Give the folder that was --out of `synthsift run`, or repeat that command to resume it."
        )
    if not isinstance(summary, dict) or summary.get("schema") != SCHEMA:
        seen = summary.get("schema") if isinstance(summary, dict) else type(summary).__name__
        raise DataError(
            f"{run / 'summary.json'} has schema {seen!r}, this version of synthsift reads {SCHEMA}. "
            "Use the version that made it, or repeat the run."
        )
    verdict = summary.get("verdict")
    if not isinstance(verdict, dict) or not {"policy", "sentence"} <= set(verdict):
        raise DataError(f"{run / 'summary.json'} holds no verdict with a policy and a sentence. Repeat the run.")
    return summary


def _read_parquet(run: Path, name: str) -> dict[str, Any] | None:
    """Columns of a Parquet file of the run as Arrow arrays; None when there is no such file."""
    file = run / name
    if not file.exists():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(file.read_bytes()))  # pyarrow takes no path that is not UTF-8
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read ({error}). A whole Parquet file is needed; repeat the run.") from error
    return {column: table.column(column).combine_chunks() for column in table.column_names}


def _read_weights(run: Path) -> dict[str, np.ndarray] | None:
    """weights.parquet as arrays: names as text (n,), weights as float64 (n,) with NaN where not known, keep as bool."""
    columns = _read_parquet(run, "weights.parquet")
    if columns is None:
        return None
    lacking = {"source", "label", "weight", "keep"} - set(columns)
    if lacking:
        raise DataError(f"{run / 'weights.parquet'} lacks the columns {', '.join(sorted(lacking))}. Repeat the run.")
    rows: dict[str, np.ndarray] = {}
    for name in ("source", "label", "file"):
        if name in columns:
            rows[name] = np.array(["" if v is None else str(v) for v in columns[name].to_pylist()], dtype=object)
    for name in ("weight", "learned_weight"):
        if name in columns:
            rows[name] = np.array(columns[name].to_numpy(zero_copy_only=False), dtype=np.float64)
    rows["keep"] = np.array([bool(v) for v in columns["keep"].to_pylist()], dtype=bool)
    return rows


def _suffixes(rows: Mapping[str, np.ndarray]) -> list[str]:
    """Endings of the data files, compression left out."""
    seen = set()
    for file in set(rows.get("file", np.zeros(0, dtype=object)).tolist()):
        seen.add(Path(file.removesuffix(".gz")).suffix.lower())
    return sorted(seen - {""})


def _metric(summary: Mapping[str, Any]) -> str:
    """Name of the metric that the gains are in."""
    gain = summary["verdict"].get("gain") or {}
    return str(gain.get("metric") or summary.get("metric") or "the metric")


def _collect_comparison(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each policy: the highest gain first, then those without one; stopped policies last."""
    policies = {row["name"]: row for row in _pick(summary.get("policies"), ("name", "mean", "n", "seconds"))}
    compared = {row["name"]: row for row in _pick(summary.get("comparison"), COMPARED)}
    stopped = summary.get("stopped") or {}
    # Of copies the verdict is RealOnly whatever the log-loss says; then nothing is marked as near.
    is_among = bool(compared.get(summary["verdict"]["policy"], {}).get("near"))
    rows = []
    for name in dict.fromkeys([*compared, *policies, *stopped]):
        row, policy = compared.get(name, {}), policies.get(name, {})
        rows.append(
            {
                "name": name,
                "gain": row.get("gain"),
                "n_splits": row.get("n_splits") or policy.get("n"),
                "log_loss": row.get("log_loss"),
                "mean": policy.get("mean"),
                "seconds": policy.get("seconds"),
                "is_chosen": name == summary["verdict"]["policy"],
                "repetitions": row.get("repetitions"),
                "near": is_among and row.get("near"),
                "stopped": stopped.get(name),
            }
        )
    return sorted(rows, key=lambda row: (row["stopped"] is not None, -_mean_gain(row)))


def _collect_subsets(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Gains by class and by group of the verdict's policy; of Everything where that policy is RealOnly itself."""
    of = summary["verdict"]["policy"]
    classes = _pick(summary.get("per_class"), ("label", *SUBSET))
    groups = _pick(summary.get("per_group"), ("group", *SUBSET))
    if of == "RealOnly" and any(row["everything"] is not None for row in (*classes, *groups)):
        of = "Everything"
    key = ("everything", "everything_gain") if of == "Everything" else ("policy", "gain")
    return {
        "per_class": [_subset_row(row, "label", key) for row in classes],
        "per_group": [_subset_row(row, "group", key) for row in groups],
        "per_class_of": of,
    }


def _subset_row(row: Mapping[str, Any], name: str, key: tuple[str, str]) -> dict[str, Any]:
    """One class or group: how often it is right with RealOnly and with the other policy, and the gain."""
    ours, gain = row[key[0]], row[key[1]]
    if not isinstance(gain, dict) and is_number(ours) and is_number(row["real_only"]):
        gain = {"mean": ours - row["real_only"], "low": None, "high": None}
    return {"label": row[name], "n": row["n"], "real_only": row["real_only"], "policy": ours, "gain": gain or {}}


def _mean_gain(row: Mapping[str, Any]) -> float:
    """Gain to sort by, far below any other when there is none."""
    mean = (row["gain"] or {}).get("mean")
    return -math.inf if mean is None else float(mean)


def _collect_metrics(run: Path) -> dict[str, Any] | None:
    """Mean of every metric over a policy's splits, from comparison.csv."""
    file = run / "comparison.csv"
    if not file.exists():
        return None
    values: dict[tuple[str, str], list[float]] = {}
    try:
        with open(file, encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                if row["value"] != "":
                    values.setdefault((row["policy"], row["metric"]), []).append(float(row["value"]))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(
            f"{file} cannot be read ({error!r}). The columns policy, seed, fold, metric, value are needed; "
            "repeat the run."
        ) from error
    names = list(dict.fromkeys(metric for _, metric in values))
    rows = [
        {"name": policy, "means": [_mean(values.get((policy, metric))) for metric in names]}
        for policy in dict.fromkeys(policy for policy, _ in values)
    ]
    return {"names": names, "rows": rows}


def _mean(values: list[float] | None) -> float | None:
    """Mean of the finite values, None without any."""
    finite = [value for value in values or [] if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def _collect_history(run: Path) -> dict[str, Any] | None:
    """Numeric columns of history.parquet at no more than `MAX_POINTS` evenly spaced steps."""
    columns = _read_parquet(run, "history.parquet")
    if columns is None:
        return None
    numeric = {
        name: np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
        for name, column in columns.items()
        if str(column.type) in ("double", "float") or str(column.type).startswith(("int", "uint"))
    }
    n = len(next(iter(numeric.values()), ()))
    if n == 0:
        return None
    at = np.unique(np.linspace(0, n - 1, min(n, MAX_POINTS)).round().astype(int))
    steps = numeric.pop("step", np.arange(n, dtype=np.float64))
    return {
        "step": steps[at].tolist(),
        "curves": {name: [v if math.isfinite(v) else None for v in c[at].tolist()] for name, c in numeric.items()},
    }


def collect_findings(run: Path) -> list[dict[str, Any]]:
    """Findings as dictionaries, worst first and no more than a page holds; the order among equals is kept."""
    found = _read_json(run, "findings.json") or []
    rank = {severity.name: severity.value for severity in Severity}
    rows = sorted(_pick(found, FINDING), key=lambda finding: -rank.get(str(finding["severity"]), 0))
    return [
        {name: value[:MAX_WORDS] if isinstance(value, str) else value for name, value in row.items()}
        for row in rows[:MAX_FINDINGS]
    ]


def _collect_planted(run: Path) -> dict[str, Any] | None:
    """How many rows that were spoiled on purpose were found; None where nobody has written it down."""
    record = _read_json(run, "planted.json")
    if not isinstance(record, dict):
        return None
    kinds = _pick(record.get("kinds"), ("why", "rows", "found"))
    names = ("what", "num_rows", "num_bad", "found", "by_chance", "auroc", "why")
    return {**{name: record.get(name) for name in names}, "kinds": kinds}


def _pick(rows: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The named entries of each row, None where one is missing; what is no row is left out."""
    return [{name: row.get(name) for name in names} for row in rows or [] if isinstance(row, dict)]


def _collect_settings(run: Path) -> dict[str, Any]:
    """The settings the run was made with; empty when they are not there."""
    record = _read_json(run, "settings.json")
    return record.get("settings") or {} if isinstance(record, dict) else {}
