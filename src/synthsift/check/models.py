"""What cross-fitted models say: a source that gives itself away (SS149), labels that real rows contradict (SS150).

Both work on drawn rows where there are many, the first on the largest sources alone, so that its time stays bounded;
the findings name the numbers.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from synthsift.check.contents import AllContents, percent, worst
from synthsift.check.relabeling import told_relabeling
from synthsift.numerics.intervals import Z, auc_interval, share_difference, z_of_many
from synthsift.numerics.metrics import metric_value
from synthsift.numerics.resampling import group_folds
from synthsift.records import Finding, Mixture, Severity
from synthsift.seeds import Seeds
from synthsift.training.choosing import fit_chosen
from synthsift.training.logistic import fit_logistic

MAX_ROWS = 1000  # of either side that the classifier of origins sees: its AUC is then known to a percent or two
ALL_ROWS = 16_000  # of all sources together
MAX_SOURCES = 32  # that are looked at, the largest: a fit costs a tenth of a second however few rows it has
MIN_ROWS = 30  # distinct ones of either side; below, no AUC comes out near-certain
CERTAIN = 0.95  # AUC above which, with its whole interval, a source counts as told from real with near-certainty
INFLATION = 1.3  # folds share training rows, so the plain error of their pooled AUC is somewhat too small
TREES = 60
RIDGE = 0.1  # C of the linear model on standardized inputs; the same as for the density-ratio feature
MAX_REAL, MAX_JUDGED = 2000, 2000  # rows that the trusted model learns from, and rows of a source that it judges
CONTRADICTED = 0.05  # share of contradicted labels beyond that of real rows which is said, with its whole interval


def obvious_sources(mixture: Mixture, rows: np.ndarray, parts: AllContents, seeds: Seeds) -> Finding | None:
    """SS149: sources that a classifier tells from real rows with near-certainty, at rows it has not seen."""
    pool = np.flatnonzero(~mixture.is_synth)[parts.pool.first]  # repeated rows would be known by heart
    synth, is_first = np.flatnonzero(mixture.is_synth), np.zeros(len(mixture.synth), dtype=bool)
    is_first[parts.synth.first] = True
    distinct = {name: synth[of_source[is_first[of_source]]] for name, of_source in mixture.rows_of.items()}
    enough = [name for name, places in distinct.items() if len(places) >= MIN_ROWS]
    if len(pool) < MIN_ROWS or not enough:
        return None
    largest = sorted(enough, key=lambda name: -len(distinct[name]))[:MAX_SOURCES]
    limit, seen = min(MAX_ROWS, ALL_ROWS // len(largest)), []
    for name in largest:
        own = seeds.child("origin", name)
        real = _draw(pool, limit, own, "real")
        made = _draw(distinct[name], limit, own, "made")
        auc = _origin_auc(rows, mixture.family, real, made, own)
        low, high = auc_interval(auc, len(made), len(real), INFLATION)
        if low > CERTAIN:
            rows_seen = f"{len(made):,} and {len(real):,} real rows"
            seen.append((auc, f"{name} AUC {auc:.3f} [{low:.3f}, {high:.3f}] from {rows_seen}"))
    if not seen:
        return None
    passed_over = f"; only the {MAX_SOURCES} largest of {len(enough)} sources" if len(enough) > MAX_SOURCES else ""
    return Finding(
        "SS149",
        Severity.warning,
        "A classifier tells a source from real rows",
        f"{worst(seen)} (0.5 is chance, 1 certainty; drawn distinct rows, each judged by models without it"
        f"{passed_over}).",
        "The rows lie where hardly any real row lies, so what they teach may not carry over; and any model can learn "
        "to treat them apart.",
        "Look at the columns that differ (rounding, missing cells, range, style). Nothing to mend if run finds a gain.",
    )


def _origin_auc(rows: np.ndarray, family: np.ndarray, real: np.ndarray, made: np.ndarray, seeds: Seeds) -> float:
    """AUC of telling `made` from `real`, cross-fitted in two halves; relatives are never on both sides."""
    chosen = np.concatenate([real, made])
    x, origin = rows[chosen].astype(np.float64), np.repeat([0, 1], [len(real), len(made)])
    of_family = family[chosen]
    _, place, size = np.unique(of_family, return_inverse=True, return_counts=True)
    group = np.where((of_family < 0) | (size[place] < 2), "", of_family.astype(str))
    try:
        fold = group_folds(origin, group, 2, seeds.numpy("folds"))
    except ValueError:  # a single family
        return 0.5
    score = np.zeros(len(x))
    for j in (0, 1):
        train = fold != j
        if len(np.unique(origin[train])) < 2:
            return 0.5
        weight = (0.5 / np.array([np.mean(origin[train] == k) for k in (0, 1)]))[origin[train]]
        linear = fit_logistic(x[train], origin[train], weight, 2, RIDGE, tolerance=1e-3)
        trees = ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=seeds.integer(f"trees {j}"))
        trees.fit(x[train], origin[train], sample_weight=weight)
        score[~train] = linear.predict_proba(x[~train])[:, 1] + trees.predict_proba(x[~train])[:, 1]
    both = np.column_stack([-score, score])
    return metric_value("auc", origin, both, np.ones(len(origin)))


def contradicted_labels(mixture: Mixture, rows: np.ndarray, seeds: Seeds) -> Finding | None:
    """SS150: sources whose labels a model of the real rows contradicts clearly more often than labels of real rows."""
    real = _draw(np.flatnonzero(~mixture.is_synth), MAX_REAL, seeds, "real")
    y, family = mixture.y, mixture.family[real]
    fit = fit_chosen(
        rows[real],
        y[real],
        np.ones(len(real)),
        np.ones(len(real), bool),
        mixture.num_classes,
        seeds.child("trusted"),
        family=family,
    )
    base = fit.out_of_fold.argmax(axis=1) != y[real]
    if not _tells_classes(base, y[real]):
        return None
    synth, seen, told, exchanged = np.flatnonzero(mixture.is_synth), [], [], False
    z = z_of_many(len(mixture.rows_of))
    for name, rows_of_source in mixture.rows_of.items():
        made = _draw(synth[rows_of_source], MAX_JUDGED, seeds, f"made {name}")
        said = fit.model.predict_proba(rows[made]).argmax(axis=1)
        wrong = said != y[made]
        usual, num = _usual_share(base, y[real], np.bincount(y[made], minlength=mixture.num_classes))
        low, high = share_difference(wrong.sum(), len(made), usual * num, num, z)
        moves = ""
        if low > 0:  # a relabeling that repairs it tells of a fault, however few classes it is in
            halves = seeds.numpy(f"halves {name}")
            moves = told_relabeling(y[made], said, usual, mixture.classes, halves, z)
        if low > CONTRADICTED or moves:
            some = made[wrong][:3]
            shown = ", ".join(
                f"{mixture.ids[i]} labeled {mixture.classes[y[i]]}, model says {mixture.classes[k]}"
                for i, k in zip(some, said[wrong][:3], strict=True)
            )
            text = (
                f"{percent(wrong.mean())} of {len(made):,} labels of {name}, where real rows with its mix of classes "
                f"give {percent(usual)}: {100 * (wrong.mean() - usual):+.0f} points [{100 * low:.0f}, "
                f"{100 * high:.0f}] ({shown})"
            )
            brief = f"a model of the real rows contradicts {percent(wrong.mean())} of its labels"
            brief += f"; {percent(usual)} would be usual"
            if moves:
                hint, exchanged = f"; its labels may be exchanged: {moves}", True
                text, brief = text + hint, brief + hint
            seen.append((low, text))
            told.append((low, str(name), brief))
    if not seen:
        return None
    return Finding(
        "SS150",
        Severity.warning,
        "Labels that a trusted model contradicts",
        f"A model of {len(real):,} real rows contradicts {percent(base.mean())} of their own labels (rows are judged "
        f"by models without them), but {worst(seen)}.",
        "Either the labels are wrong more often than the real ones, or the rows lie where real rows teach nothing.",
        "Read some of the rows named; "
        + ("if labels are exchanged, put them right in the file; " if exchanged else "")
        + "if the labels are wrong, label anew or filter (TrustedMarginFilter).",
        {name: brief for _, name, brief in sorted(told, reverse=True)},
    )


def _tells_classes(wrong: np.ndarray, y: np.ndarray) -> bool:
    """Whether the mean recall over classes lies above chance with its 95 % interval: a guess contradicts nobody.

    One hit and one miss are added to each class.
    """
    hits, size = (np.bincount(y, weights=w) for w in (1.0 - wrong, np.ones(len(y))))
    there = size > 0
    recall = (hits[there] + 1) / (size[there] + 2)
    error = np.sqrt(np.sum(recall * (1 - recall) / (size[there] + 2))) / len(recall)
    return bool(recall.mean() - Z * error > 1 / len(recall))


def _usual_share(wrong: np.ndarray, y: np.ndarray, mix: np.ndarray) -> tuple[float, float]:
    """Share of contradicted labels among real rows, reweighted to another mix of classes, and the rows it is worth.

    A model contradicts rare classes more often. So the share is taken within classes (one hit and one miss added to
    each) and averaged over `mix` (c,); the second number is n of the plain share with the same variance.
    """
    size = np.bincount(y, minlength=len(mix)) + 2
    share = (np.bincount(y, weights=wrong, minlength=len(mix)) + 1) / size
    part = mix / mix.sum()
    usual = float(part @ share)
    return usual, usual * (1 - usual) / float(part**2 @ (share * (1 - share) / size))


def _draw(places: np.ndarray, limit: int, seeds: Seeds, name: str) -> np.ndarray:
    """Return at most `limit` of the places, drawn at random, in order."""
    if len(places) <= limit:
        return places
    return np.sort(seeds.numpy(f"rows {name}").choice(places, limit, replace=False))
