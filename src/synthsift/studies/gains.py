"""Comparison -> plain rows: every policy's value and gain, and the gains and harms of classes and of groups.

A policy can be better on the whole and worse for one class or one group of rows; both are told with intervals that hold
for few rows, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.numerics.choice import Chooser
from synthsift.numerics.intervals import few_units
from synthsift.numerics.metrics import loss_weights, metric_value, metric_values, row_hits, row_losses
from synthsift.paired import Paired
from synthsift.records import Comparison, Interval
from synthsift.verdict import NORMAL_95, WIDEN_FIXED, at_full_size, draw_rows, paired_interval, verdict_seeds

if TYPE_CHECKING:
    import pandas as pd

MAX_GROUPS = 1000  # that are listed: those with most rows


def plain_interval(interval: Interval) -> dict[str, float]:
    """Return mean, low and high as JSON holds them."""
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def policy_rows(comparison: Comparison, metric: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return every policy's own metric with its interval, and its paired gain over RealOnly with the policy's n.

    Returns
    -------
    own : list of dict
        ``name``, ``metric``, ``mean``, ``low``, ``high``, ``n`` (splits), ``seconds``.
    gains : list of dict
        ``name``, ``gain`` (points at the size of all rows, of the policy as if fixed beforehand), ``n_splits``,
        ``log_loss`` (with `loss_weights`), ``num_rows``, ``everything``, ``repetitions`` (of RealOnly), ``near`` (True
        where the log-loss cannot tell it from the best; the verdict names the simplest of these).
    """
    paired, n = Paired.of(comparison, metric), len(comparison.y)
    counts = draw_rows(comparison, verdict_seeds(comparison))
    near = Chooser.of(paired.loss, comparison.group, paired.in_race).near()
    own, gains, weights = [], [], loss_weights(metric, comparison.y)
    base = comparison.probabilities["RealOnly"]
    for place, (name, prob) in enumerate(comparison.probabilities.items()):
        values = [metric_value(metric, comparison.y, p, np.ones(n)) for p in prob]
        spread = np.std(metric_values(metric, comparison.y, prob[0], counts[:100]), ddof=1)
        mean = float(np.mean(values))
        sign = -1.0 if metric == "log_loss" else 1.0
        low, high = sorted((sign * (mean - 1.96 * spread), sign * (mean + 1.96 * spread)))
        splits = len(prob) * comparison.num_folds
        own.append({"name": name, "metric": metric, "mean": sign * mean, "low": low, "high": high, "n": splits,
                    "seconds": comparison.seconds.get(name, 0.0)})  # fmt: skip
        gain = (
            Interval(0.0, 0.0, 0.0)
            if name == "RealOnly"
            else at_full_size(paired_interval(comparison, paired, metric, place, counts), comparison)
        )
        loss = float(np.mean([weights @ row_losses(p, comparison.y) / n for p in prob]))
        gains.append({"name": name, "gain": plain_interval(gain), "n_splits": splits, "log_loss": loss, "num_rows": n,
                      "everything": name == "Everything", "repetitions": len(base),
                      "near": bool(near[place])})  # fmt: skip
    return own, gains


def policy_frame(comparison: Comparison, metric: str) -> pd.DataFrame:
    """Return all policies as a data frame (gain, low, high, log_loss, splits, stopped), the best gain first."""
    import pandas as pd

    _, gains = policy_rows(comparison, metric)
    rows = [
        {
            "gain": row["gain"]["mean"],
            "low": row["gain"]["low"],
            "high": row["gain"]["high"],
            "log_loss": row["log_loss"],
            "splits": row["n_splits"],
            "stopped": comparison.stopped.get(row["name"], ""),
        }
        for row in gains
    ]
    frame = pd.DataFrame(rows, index=pd.Index([row["name"] for row in gains], name="policy"))
    return frame.sort_values("gain", ascending=False, kind="stable")


def class_gains(comparison: Comparison, policy: str) -> list[dict[str, Any]]:
    """Return recall by class, in points, of RealOnly, `policy` and Everything on the same splits, with paired gains.

    Returns
    -------
    list of dict
        ``label``, ``n`` (judged rows), ``real_only``, ``policy``, ``everything``, ``gain`` and ``everything_gain``
        (mean, low, high over RealOnly).
    """
    rows = []
    hits = _hits(comparison, policy)
    for code, label in enumerate(comparison.classes):
        mine = comparison.y == code
        if mine.any():
            rows.append({"label": str(label), **_subset(hits, mine, comparison.group)})
    return rows


def group_gains(comparison: Comparison, policy: str) -> list[dict[str, Any]]:
    """Return accuracy by group in the same form, ``group`` instead of ``label``; empty without groups.

    A group that stays together in every split is one draw from its population: its interval tells how sure its own
    rows are, not other groups like it. Rows without a group are not listed.
    """
    if comparison.group is None:
        return []
    hits = _hits(comparison, policy)
    names, sizes = np.unique(comparison.group[comparison.group != ""], return_counts=True)
    largest = names[np.sort(np.argsort(-sizes, kind="stable")[:MAX_GROUPS])]
    return [{"group": str(name), **_subset(hits, comparison.group == name, None)} for name in largest]


def _hits(comparison: Comparison, policy: str) -> dict[str, np.ndarray]:
    """Share of repetitions (n,) in which each row was predicted right, on the repetitions that `policy` has."""
    num_seeds = len(comparison.probabilities[policy])
    rows = {
        name: np.mean([row_hits(p, comparison.y) for p in comparison.probabilities[name][:num_seeds]], axis=0)
        for name in dict.fromkeys(("RealOnly", policy, "Everything"))
    }
    return {"real_only": rows["RealOnly"], "policy": rows[policy], "everything": rows["Everything"]}


def _subset(hits: dict[str, np.ndarray], mine: np.ndarray, group: np.ndarray | None) -> dict[str, Any]:
    """Shares of hits among the rows `mine`, in points, and the paired gains over RealOnly."""
    families = None if group is None else group[mine]
    base = hits["real_only"][mine]
    gains = {}
    for name, column in (("gain", "policy"), ("everything_gain", "everything")):
        is_base = hits[column] is hits["real_only"]
        gain = Interval(0.0, 0.0, 0.0) if is_base else mean_difference(hits[column][mine] - base, families)
        gains[name] = plain_interval(gain)
    return {
        "n": int(mine.sum()),
        **{column: 100 * float(hit[mine].mean()) for column, hit in hits.items()},
        **gains,
    }


def mean_difference(difference: np.ndarray, group: np.ndarray | None = None) -> Interval:
    """Return the mean of paired differences of hits in [-1, 1], in points, with an interval that holds for few rows.

    The interval is that of Agresti and Min (2005) for paired proportions: half a win, half a loss and one tie are added
    before the normal limits are taken, so that two rows that agree are no proof. With `group`, rows of a group count as
    one draw where that widens it. It is widened as all intervals of a policy that was fixed beforehand are.

    Parameters
    ----------
    difference : ndarray (n,)
        Hits of a policy minus hits of RealOnly; the mean of several repetitions may lie in between.
    group : ndarray (n,) of str, optional
        "" is a group of its own.

    References
    ----------
    Agresti, Min 2005, Simple improved confidence intervals for comparing matched proportions, Stat. Med. 24.
    """
    n = len(difference)
    center = float(difference.sum()) / (n + 2)
    variance = (float((difference**2).sum()) + 1.0) / (n + 2) - center**2
    error = np.sqrt(variance / (n + 2))
    if group is not None and n > 1:
        names = np.where(group == "", np.char.add("\0row", np.arange(n).astype(str)), group.astype(str))
        member = np.unique(names, return_inverse=True)[1]
        sums = np.bincount(member, weights=difference - difference.mean())
        if len(sums) > 1:
            error = max(error, few_units(len(sums)) * float(np.sqrt((sums**2).sum())) / n)
    mean, half = float(difference.mean()), NORMAL_95 * WIDEN_FIXED * error
    low, high = max(center - half, -1.0), min(center + half, 1.0)
    return Interval(100 * mean, 100 * min(low, mean), 100 * max(high, mean))
