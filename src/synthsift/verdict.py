"""Comparison -> Verdict: which policy, how much better, and how sure.

Choosing and judging are different data. Picking the best of a dozen policies on the rows that judge them overstates
its gain, so the choice is repeated inside a bootstrap: rows are drawn, a policy is chosen on the drawn rows, and its
gain is measured on the rows left out (bootstrap bias-corrected cross-validation, Tsamardinos, Greasidou, Borboudakis
2018). Every quantity is a paired difference to RealOnly on the same rows and splits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthsift.numerics.choice import Chooser
from synthsift.numerics.intervals import few_rows, few_units
from synthsift.numerics.metrics import BY_CLASS, row_hits
from synthsift.numerics.resampling import bootstrap_counts, members
from synthsift.paired import Paired, check_metric, metric_gains
from synthsift.records import Comparison, Interval, Verdict
from synthsift.seeds import Seeds

NUM_DRAWS = 500
NORMAL_95 = 1.959964
# Intervals are widened by factors calibrated on 48 simulated worlds with seeds below 100; the check on fresh ones
# is benchmarks/verdicts.py. Rows alone do not show that overlapping folds share training rows; and a gain reported
# only where it is significant is, on average, a lucky one.
WIDEN_FIXED = 1.1  # for a policy that was fixed beforehand
WIDEN_CHOSEN = 1.3  # for the policy that was chosen
# How well a rare class is learned depends on which rows of it there are, of which judged rows show nothing either: on
# top, where classes count alike, whatever their size. Calibrated on 48 unbalanced worlds with seeds below 100, in
# balanced accuracy; macro-F1 takes it over.
WIDEN_BY_CLASS = 1.15
LEFT_OUT = 0.368  # share of rows that a bootstrap sample misses: the SD over draws is that of 36.8 % of the rows


def independent_rows(comparison: Comparison) -> float:
    """Return how many independent rows the judged ones are worth: n, or between the number of groups and n.

    n is divided by the design effect of RealOnly's hits: the variance of their mean by groups over that by rows. Where
    all hits are the same nothing shows that rows of a group differ, and each group counts as one row.
    """
    n = len(comparison.y)
    if comparison.group is None:
        return float(n)
    member = members(comparison.group)
    groups = int(member.max()) + 1
    hits = row_hits(comparison.probabilities["RealOnly"][0], comparison.y)
    apart = hits - hits.mean()
    if not apart.any() or groups < 2:
        return float(groups)
    by_group = np.sum(np.bincount(member, weights=apart) ** 2) * groups / (groups - 1)
    return n / float(np.clip(by_group / np.sum(apart**2), 1.0, n / groups))


def one_row(comparison: Comparison, metric: str) -> float:
    """Return the error, in points, that a gain has even where no judged row shows any: that of one row more.

    A sample in which every row agrees does not prove that all rows do, yet its bootstrap spread is 0. As in the
    interval of Agresti and Min (2005) for paired proportions, half a win and half a loss are added: the root mean
    square, over rows, of what the metric moves by if one of them changes sides. Rows of a group change together as far
    as RealOnly is right on all or none of a group (`independent_rows`). The log-loss moves by any change of a
    prediction, so it needs no such row.

    References
    ----------
    Agresti, Min 2005, Simple improved confidence intervals for comparing matched proportions, Stat. Med. 24.
    """
    if metric == "log_loss":
        return 0.0
    n, size = len(comparison.y), np.bincount(comparison.y)
    units = independent_rows(comparison)
    if metric == "accuracy":
        return 100.0 / units
    size = size[size > 0]  # of the classes: in the other metrics each class counts the same
    return float(100.0 / len(size) * np.sqrt(np.sum(1.0 / size) / n) * n / units)


def small_sample(comparison: Comparison, paired: Paired, metric: str, policy: int) -> float:
    """Return the factor on a bootstrap spread where few groups were drawn, or where classes of few rows count."""
    widen = WIDEN_BY_CLASS if metric in BY_CLASS else 1.0
    if comparison.group is not None:
        return widen * few_units(int(members(comparison.group).max()) + 1)
    return widen * few_rows(paired.hits[:, policy], comparison.y) if metric in BY_CLASS else 1.0


def _normal(mean: float, spread: float, widen: float, metric: str) -> Interval:
    """Return mean +- 1.96 `spread`, widened, within what a gain can be at all."""
    half, most = NORMAL_95 * widen * spread, np.inf if metric == "log_loss" else 100.0
    return Interval(mean, max(mean - half, -most), min(mean + half, most))


def paired_interval(comparison: Comparison, paired: Paired, metric: str, policy: int, counts: np.ndarray) -> Interval:
    """Return the interval of a policy that was fixed beforehand: bootstrap over rows and `one_row`, normal limits."""
    all_rows = np.ones((1, len(comparison.y)))
    mean = float(metric_gains(comparison, paired, metric, all_rows, policy)[0])
    spread = float(np.nanstd(metric_gains(comparison, paired, metric, counts, policy), ddof=1))  # one class: no AUC
    spread *= small_sample(comparison, paired, metric, policy)
    return _normal(mean, float(np.hypot(spread, one_row(comparison, metric))), WIDEN_FIXED, metric)


@dataclass(frozen=True)
class Corrected:
    """Gains of the chosen policy on rows that had no part in choosing it.

    Parameters
    ----------
    metric, loss, over_everything : Interval
        Gain over RealOnly in the metric and in log-loss, and over Everything in the metric, in points.
    chosen : ndarray (b,)
        The policy chosen in each draw.
    """

    metric: Interval
    loss: Interval
    over_everything: Interval
    chosen: np.ndarray


def bias_corrected(comparison: Comparison, paired: Paired, metric: str, counts: np.ndarray, policy: int) -> Corrected:
    """Repeat the choice in every bootstrap draw and measure it on the rows left out (BBC-CV).

    `policy` is the one chosen on all rows; with few rows of a class or few groups it decides the factor on the spread.
    """
    everything = paired.names.index("Everything")
    needed = 2 if metric == "auc" else 1  # classes among the rows left out; `check_metric` knows that they are there
    num_left = [np.count_nonzero(np.bincount(comparison.y[count == 0])) for count in counts]
    usable = np.flatnonzero(np.array(num_left) >= needed)
    chosen = Chooser.of(paired.loss, comparison.group, paired.in_race)(counts)[usable]
    gains, losses, beyond = np.empty(len(usable)), np.empty(len(usable)), np.empty(len(usable))
    for drawn in np.unique(chosen):
        rows = np.flatnonzero(chosen == drawn)
        left = counts[usable[rows]] == 0
        gains[rows] = metric_gains(comparison, paired, metric, left, drawn)
        losses[rows] = metric_gains(comparison, paired, "log_loss", left, drawn)
        beyond[rows] = gains[rows] - metric_gains(comparison, paired, metric, left, everything)

    def interval(values: np.ndarray, of: str) -> Interval:
        """Mean of left-out values +- 1.96 SD sqrt(.368), with `one_row`, widened."""
        spread = float(values.std(ddof=1)) * np.sqrt(LEFT_OUT) * small_sample(comparison, paired, metric, policy)
        spread = np.hypot(spread, one_row(comparison, of))
        return _normal(float(values.mean()), float(spread), WIDEN_CHOSEN, of)

    return Corrected(interval(gains, metric), interval(losses, "log_loss"), interval(beyond, metric), chosen)


UNDECIDED = 4.0  # points: an interval wider than this cannot tell help from harm


def trained_share(fold: np.ndarray) -> float:
    """Return the share of the real rows that models of these folds (s, n) train on, as the harmonic mean over rows."""
    judged = np.array([np.bincount(one, minlength=fold.max() + 1) for one in fold]) / fold.shape[1]
    return float(1.0 / np.mean(np.sum(judged / (1.0 - judged), axis=1)))


def at_full_size(gain: Interval, comparison: Comparison) -> Interval:
    """Bring a gain that was measured on folds to the size of all rows.

    A judged fold is missing in training, so the folds measure the gain of s = (K - 1) / K of the real rows. What one
    way of training has over another shrinks as real rows become more, and as excess errors fall like 1 / n the gain is
    s times as large with all rows. Folds of groups differ in size; there 1 / s is the mean of 1 / (share of the rows
    that stay) over the judged rows. The power of n is not known: 0 (no change) to 2 is taken as its 95 % range, which
    adds (1 - s^2) / 2 of the measured gain to the half-width, in squares.
    """
    s = trained_share(comparison.fold)
    mean, law = s * gain.mean, 0.5 * (1 - s**2) * abs(gain.mean)
    return Interval(
        mean, mean - np.hypot(s * (gain.mean - gain.low), law), mean + np.hypot(s * (gain.high - gain.mean), law)
    )


def verdict_seeds(comparison: Comparison) -> Seeds:
    """Return the randomness of a verdict and of the intervals beside it, which so are of the same draws."""
    return Seeds(comparison.seeds[0]).child("verdict")


def draw_rows(comparison: Comparison, seeds: Seeds) -> np.ndarray:
    """Return how often each judged row is drawn in each bootstrap sample (b, n); stream "bootstrap"."""
    return bootstrap_counts(len(comparison.y), NUM_DRAWS, seeds.numpy("bootstrap"), comparison.group)


def decide(comparison: Comparison, metric: str, seeds: Seeds) -> Verdict:
    """Name the best bet, grade the evidence, and recommend using synthetic rows only where there is evidence.

    The best bet is chosen by out-of-fold log-loss, a proper score, which counts classes alike where the metric does
    (`numerics.choice.recommend`, `numerics.metrics.loss_weights`). Synthetic rows are
    recommended (``use``) if its gain is proven in the metric, or likely: proven in log-loss and not negative in the
    metric.

    Parameters
    ----------
    comparison : Comparison
    metric : str
        One of ``numerics.metrics.METRICS``.
    seeds : Seeds
        Stream "bootstrap".

    Returns
    -------
    Verdict
        Without fractions and sentence, which need the final weights (`sentence.with_weights`).

    Raises
    ------
    DataError
        If the rows cannot be judged by `metric` (`check_metric`).
    """
    check_metric(metric, comparison.y, comparison.group)
    paired = Paired.of(comparison, metric)
    counts = draw_rows(comparison, seeds)
    policy = int(Chooser.of(paired.loss, comparison.group, paired.in_race)(np.ones((1, len(comparison.y))))[0])
    corrected = bias_corrected(comparison, paired, metric, counts, policy)
    corrected = replace(
        corrected,
        metric=at_full_size(corrected.metric, comparison),
        loss=at_full_size(corrected.loss, comparison),
        over_everything=at_full_size(corrected.over_everything, comparison),
    )
    fixed = paired_interval(comparison, paired, metric, paired.names.index("Everything"), counts)
    everything = at_full_size(fixed, comparison)
    evidence = _grade(corrected, everything, policy)
    zero = Interval(0.0, 0.0, 0.0)
    name = paired.names[policy]
    beyond = zero if name == "Everything" else _turned(everything) if policy == 0 else corrected.over_everything
    return Verdict(
        policy=name,
        use=policy > 0 and evidence != "unproven",
        evidence=evidence,
        reason="" if policy else _reason(corrected, everything, paired),
        gain=corrected.metric if policy else zero,
        gain_over_everything=beyond,
        everything=everything,
        metric=metric,
        num_splits=len(comparison.probabilities[name]) * comparison.num_folds,
    )


def only_copies(verdict: Verdict) -> Verdict:
    """Return the verdict on synthetic rows that all copy real rows: a gain there is one of counting real rows again."""
    found = replace(verdict, policy="RealOnly", use=False, evidence="unproven", reason="copies")
    return replace(found, gain=Interval(0.0, 0.0, 0.0), gain_over_everything=_turned(verdict.everything))


def seen_before(verdict: Verdict) -> Verdict:
    """Return the verdict on rows of a generator that was fitted on the judged rows: no gain on them is evidence."""
    return replace(verdict, use=False, evidence="unproven", reason="seen")


def _turned(gain: Interval) -> Interval:
    """Return the gain of the one over the other as that of the other over the one."""
    return Interval(-gain.mean, -gain.high, -gain.low)


def _grade(corrected: Corrected, everything: Interval, policy: int) -> str:
    """How sure: by the metric ("proven"), by log-loss with the metric not against it ("likely"), or neither.

    For RealOnly: "proven" where using everything is proven to be harmful.
    """
    if policy == 0:
        return "proven" if everything.high < 0 else "unproven"
    if corrected.metric.low > 0:
        return "proven"
    return "likely" if corrected.loss.low > 0 and corrected.metric.mean >= 0 else "unproven"


def _reason(corrected: Corrected, everything: Interval, paired: Paired) -> str:
    """Why RealOnly is the best bet."""
    if everything.high < 0:
        return "harmful"
    width = everything.high - everything.low
    return "too little real data" if width > UNDECIDED and corrected.metric.high > 1.0 else "useless"
