"""What a finished run writes: one file a table, summary.json last."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.bilevel.diagnostics import in_numbers
from synthsift.bilevel.importance import Importance, log_weights_of, weigh_inputs
from synthsift.bilevel.inputs import source_names
from synthsift.cli.gallery import make_gallery
from synthsift.cli.model import save_model
from synthsift.cli.settings import RunSettings
from synthsift.numerics.metrics import BY_CLASS, TRAINED_BY_CLASS, metric_value
from synthsift.records import Comparison, Examples, Features, plain_finding
from synthsift.runs import RunFolder
from synthsift.seeds import Seeds
from synthsift.sentence import effective_fraction, keep_fraction, keep_mask
from synthsift.studies.gains import class_gains, group_gains, plain_interval, policy_rows
from synthsift.studies.road import LEARNED
from synthsift.writing import write_csv, write_json, write_parquet, write_parquet_parts, write_text

if TYPE_CHECKING:
    from synthsift.cli.run import Finished

PART_ROWS = 2**18  # of the predictions that are in memory at once
PACKAGES = ("synthsift", "numpy", "scipy", "scikit-learn", "torch", "pandas", "pyarrow")


def write_outputs(folder: RunFolder, settings: RunSettings, finished: Finished) -> None:
    """Write all files that hold results; summary.json, which marks the run as complete, comes last."""
    path = folder.path
    write_parquet(path / "weights.parquet", _weight_rows(finished))
    write_parquet(path / "features.parquet", _feature_rows(finished.features))
    write_csv(path / "comparison.csv", _metric_rows(finished.comparison, finished.verdict.metric))
    write_parquet_parts(path / "predictions.parquet", _prediction_rows(finished.comparison))
    learned = finished.weights.get(LEARNED)
    if learned is not None and learned.history:
        write_parquet(path / "history.parquet", {k: v for k, v in learned.history.items() if k != "temper"})
    importance = _importance(settings, finished)
    _write_gallery(path, settings, finished, importance)
    write_json(path / "findings.json", [plain_finding(finding) for finding in finished.findings])
    _write_model(folder, finished)
    write_text(path / "log.txt", "\n".join(finished.log) + "\n")
    write_json(path / "summary.json", _summary(finished, importance))


def finish_outputs(folder: RunFolder) -> None:
    """Add what is made from the files of a complete run, where it is missing, and remove the finished cells."""
    if not (folder.path / "report.html").exists():
        from synthsift.report.render import write_report

        write_report(folder.path)
    folder.drop_cells()


def _write_gallery(path: Path, settings: RunSettings, finished: Finished, importance: Sequence[Importance]) -> None:
    """Write the extreme rows by learned weight (by the verdict's weight where there is none), unless not wanted."""
    if not settings.gallery:
        return
    mixture = finished.loaded.mixture
    by = LEARNED if LEARNED in finished.weights else finished.verdict.policy
    weights = finished.weights[by].values
    weight = (weights / weights.mean())[mixture.is_synth]
    features = finished.features
    names = [one.name for one in importance if one.name in features.names]
    notes = {name: features.column(name)[mixture.is_synth] for name in names}
    gallery = make_gallery(mixture.synth, mixture.classes, weight, by, notes)
    if gallery is not None:
        write_json(path / "gallery.json", gallery)


def _weight_rows(finished: Finished) -> dict[str, np.ndarray]:
    """One row for each real, validation and synthetic example, left-out ones with weight 0."""
    loaded, mixture = finished.loaded, finished.loaded.mixture
    weight = finished.weights[finished.verdict.policy].values
    learned = finished.weights.get(LEARNED)
    keep = weight > 0
    keep[mixture.is_synth] = keep_mask(weight[mixture.is_synth])
    parts: list[tuple[str, Examples]] = [
        ("train", mixture.real),
        ("valid", mixture.valid),
        ("synthetic", mixture.synth),
    ]
    values, learned_values = (
        weight,
        np.full(len(weight), np.nan) if learned is None else learned.values / learned.values.mean(),
    )
    if loaded.left_out is not None and len(loaded.left_out):
        parts.append(("synthetic", loaded.left_out))
        blank = np.zeros(len(loaded.left_out))
        values, keep = np.concatenate([values, blank]), np.concatenate([keep, blank > 0])
        learned_values = np.concatenate([learned_values, blank])
    classes = [str(c) for c in mixture.classes]
    return {
        "id": np.concatenate([part.ids.astype(str) for _, part in parts]),
        "source": np.concatenate([part.source.astype(str) for _, part in parts]),
        "split": np.concatenate([np.full(len(part), name) for name, part in parts]),
        "label": np.array([classes[code] if code >= 0 else "" for _, part in parts for code in part.y], dtype=object),
        "weight": values / values.mean(),
        "learned_weight": learned_values,
        "keep": keep,
        "file": np.concatenate([_text(part.file, len(part)) for _, part in parts]),
        "row": np.concatenate([np.full(len(part), -1) if part.row is None else part.row for _, part in parts]),
    }


def _feature_rows(features: Features) -> dict[str, np.ndarray]:
    return {"id": features.ids.astype(str), **{name: features.column(name) for name in features.names}}


def _text(column: np.ndarray | None, n: int) -> np.ndarray:
    return np.full(n, "") if column is None else column.astype(str)


def _metric_rows(comparison: Comparison, metric: str) -> dict[str, list[Any]]:
    """Metric and log-loss of every policy in every cell."""
    rows: dict[str, list[Any]] = {"policy": [], "seed": [], "fold": [], "metric": [], "value": []}
    for policy, prob in comparison.probabilities.items():
        for k in range(len(prob)):
            for fold in range(comparison.num_folds):
                judged = comparison.fold[k] == fold
                y, p, ones = comparison.y[judged], prob[k][judged], np.ones(int(judged.sum()))
                for name in dict.fromkeys((metric, "log_loss")):
                    value = metric_value(name, y, p, ones)
                    cell = (policy, comparison.seeds[k], fold, name, -value if name == "log_loss" else value)
                    for column, entry in zip(rows.values(), cell, strict=True):
                        column.append(entry)
    return rows


def _prediction_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Out-of-fold probabilities, one row a policy, repetition and pooled real row, a part of them at a time."""
    import pyarrow as pa

    n = len(comparison.y)
    labels = np.array([str(label) for label in comparison.classes], dtype=object)
    ids = pa.array(comparison.ids.astype(str))
    group = None if comparison.group is None else pa.array(comparison.group.astype(str))
    label = pa.array(labels[comparison.y])
    cells = [(policy, k) for policy, prob in comparison.probabilities.items() for k in range(len(prob))]
    step = max(1, PART_ROWS // n)
    for first in range(0, len(cells), step):
        part = cells[first : first + step]
        prob = [comparison.probabilities[policy][k] for policy, k in part]

        def repeated(column: pa.Array, times: int = len(part)) -> pa.Array:
            return pa.concat_arrays([column] * times)

        yield {
            "policy": pa.concat_arrays([pa.repeat(policy, n) for policy, _ in part]),
            "seed": np.repeat([comparison.seeds[k] for _, k in part], n),
            "fold": np.concatenate([comparison.fold[k] for _, k in part]),
            "id": repeated(ids),
            **({} if group is None else {"group": repeated(group)}),
            "label": repeated(label),
            **{f"p_{name}": np.concatenate([p[:, code] for p in prob]) for code, name in enumerate(comparison.classes)},
        }


def _write_model(folder: RunFolder, finished: Finished) -> None:
    """Save encoder, feature state, meta-networks and the final learner."""
    state, encoder = finished.encoder.state()
    arrays = {f"encoder.{name}": value for name, value in state.items()}
    settings: dict[str, Any] = {
        "policy": finished.verdict.policy,
        "classes": list(finished.comparison.classes),
        "encoder": encoder,
        "inputs": "data" if finished.loaded.embeddings is None else "embeddings",
    }
    learned = finished.weights.get(LEARNED)
    if learned is not None:
        arrays |= {f"metanet.{name}": value for name, value in learned.state.items()}
        arrays |= {f"features.{name}": value for name, value in finished.features.state["description"].arrays().items()}
        settings["metanet"] = {"sources": list(source_names(finished.loaded.mixture))}
    final: Any = finished.models[finished.verdict.policy]
    if hasattr(final, "arrays"):
        arrays |= {f"learner.{name}": value for name, value in final.arrays.items()}
        settings["learner"] = final.kind
    elif hasattr(final, "coef"):
        arrays |= {"learner.coef": final.coef, "learner.intercept": final.intercept}
        settings["learner"] = "logistic"
    else:
        settings["learner"] = {"refit": "settings.json", "data_hash": folder.data_hash}
    save_model(folder.path / "model", arrays, settings)


def _summary(finished: Finished, importance: Sequence[Importance]) -> dict[str, Any]:
    verdict, comparison, mixture = finished.verdict, finished.comparison, finished.loaded.mixture
    names, sizes = np.unique(mixture.synth.source.astype(str), return_counts=True)
    policies, gains = policy_rows(comparison, verdict.metric)
    return {
        "schema": 1,
        "verdict": {
            "policy": verdict.policy,
            "use": verdict.use,
            "evidence": verdict.evidence,
            "reason": verdict.reason,
            "sentence": verdict.sentence,
            "gain": {
                "over_real_only": plain_interval(verdict.gain),
                "over_everything": plain_interval(verdict.gain_over_everything),
                "metric": verdict.metric,
                "unit": "points",
            },
            "everything_over_real_only": plain_interval(verdict.everything),
            "keep_fraction": verdict.keep_fraction,
            "effective_fraction": verdict.effective_fraction,
        },
        "policies": policies,
        "comparison": gains,
        "stopped": dict(comparison.stopped),
        "test": finished.test,
        "per_class": class_gains(comparison, verdict.policy),
        "per_group": group_gains(comparison, verdict.policy),
        "data": {
            "num_real": len(mixture.real),
            "num_valid": len(mixture.valid),
            "num_test": 0 if finished.loaded.test is None else len(finished.loaded.test),
            "num_synth": len(mixture.synth),
            "num_left_out": 0 if finished.loaded.left_out is None else len(finished.loaded.left_out),
            "sources": dict(zip(names.tolist(), sizes.tolist(), strict=True)),
            "classes": [str(c) for c in mixture.classes],
            "num_features": finished.num_inputs,
        },
        "diagnostics": _diagnostics(finished),
        "importance": [asdict(one) for one in importance],
        "splits": len(comparison.seeds) * comparison.num_folds,
        "metric": verdict.metric,
        "balanced_loss": verdict.metric in BY_CLASS,
        "balanced_training": verdict.metric in TRAINED_BY_CLASS,
        "versions": {**{name: version(name) for name in PACKAGES}, "python": platform.python_version()},
        "seconds": finished.seconds,
    }


def _diagnostics(finished: Finished) -> dict[str, Any]:
    """How the verdict's weights and the meta-training ended: the last value of everything that was recorded."""
    verdict = finished.verdict
    numbers: dict[str, Any] = {
        "effective_fraction": verdict.effective_fraction,
        "keep_fraction": verdict.keep_fraction,
        "outcome": finished.weights[verdict.policy].outcome.value,
    }
    learned = finished.weights.get(LEARNED)
    if learned is None:
        return numbers
    synth = learned.values[finished.loaded.mixture.is_synth]
    numbers |= {
        "learned_effective_fraction": effective_fraction(synth),
        "learned_keep_fraction": keep_fraction(synth),
        "learned_outcome": learned.outcome.value,
    }
    numbers |= in_numbers(learned.history)  # of all steps, where the last one alone says little
    last = {name: values[-1] for name, values in learned.history.items() if len(values) and name not in numbers}
    numbers |= {name: float(value) for name, value in last.items()}
    return {name: value for name, value in numbers.items() if not isinstance(value, float) or np.isfinite(value)}


def _importance(settings: RunSettings, finished: Finished) -> tuple[Importance, ...]:
    """What the meta-network goes by, highest first; empty without one."""
    learned = finished.weights.get(LEARNED)
    if learned is None or not learned.state:
        return ()
    seeds = Seeds(settings.first_seed).child("importance")
    return weigh_inputs(
        log_weights_of(learned.state, finished.loaded.mixture), finished.loaded.mixture, finished.features, seeds
    )
