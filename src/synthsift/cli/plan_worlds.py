"""What a mixing plan asks: accuracy at so many synthetic rows, for rates of label noise and verification.

Two worlds answer. `NumberWorld` knows a few numbers (or a measured geometry) and uses the closed law; `RowWorld` has
the user's real and synthetic rows and predicts the accuracy on held-out real ones. Draws of what is uncertain enter as
columns: each names the draw (of the class separation, or of a bootstrap of the judging rows) that it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.theory.measure import Geometry
from synthsift.theory.mixing import predict_accuracy
from synthsift.theory.mixing_curve import LARGEST_NOISE, JudgedRows, Questions, accuracy_curve
from synthsift.theory.mixing_sources import pilot_source

RIDGES = np.geomspace(1e-4, 1e3, 29)
CHECK_DRAWS = 10  # trained classifiers for each amount and fold of the check,
CHECK_ROWS = 20_000  # on at most so many synthetic rows
FOLDS = 5
#: A batch of so many rows a feature gives the moments of its generator well enough to ask about more rows.
BATCH_ROWS_A_FEATURE = 30


@dataclass(frozen=True)
class Rates:
    """Columns of a question, each (D,): eps, phi, rho, omega, noise of the batch, number of the draw (0: none)."""

    label_noise: np.ndarray
    keep_right: np.ndarray
    keep_wrong: np.ndarray
    weight: np.ndarray
    batch_noise: np.ndarray
    draw: np.ndarray

    @staticmethod
    def of(
        label_noise: Any, keep_right: Any = 1.0, keep_wrong: Any = 1.0, *, weight: Any = 1.0, batch: Any = None,
        draw: Any = 0,
    ) -> Rates:  # fmt: skip
        """Spread numbers and arrays over common columns, flat; the batch has the label noise asked about by default."""
        batch = label_noise if batch is None else batch
        columns = np.broadcast_arrays(label_noise, keep_right, keep_wrong, weight, batch, draw)
        return Rates(*(column.ravel() for column in columns))

    @staticmethod
    def join(parts: list[Rates]) -> Rates:
        """Put the columns of several questions side by side."""
        return Rates(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Rates)))

    def __len__(self) -> int:
        return len(self.label_noise)


@dataclass(frozen=True)
class NumberWorld:
    """Features known by dimension and class separation, or by the geometry measured from real rows.

    Parameters
    ----------
    num_real : float
    dim : int
    options : dict
        Of `predict_accuracy`: generator, generator_size, real_label_noise, spectrum, mean, ...
    mean_norm : float, optional
    ridge : float
    lengths : ndarray (1 + draws,), optional
        Factor on the class mean in every draw; the first is 1.
    """

    num_real: float
    dim: int
    options: dict[str, Any]
    mean_norm: float | None
    ridge: float
    lengths: np.ndarray | None = None
    num_judges = None
    told_up_to = None

    @property
    def has_own_draws(self) -> bool:
        """Whether something beside the audit is uncertain here."""
        return self.lengths is not None

    def accuracy(self, sizes: np.ndarray, rates: Rates, ridge: np.ndarray | None = None) -> np.ndarray:
        """Accuracy (t, D)."""
        gamma = np.broadcast_to(self.ridge if ridge is None else ridge, np.shape(sizes))[:, None]
        found = np.empty((len(sizes), len(rates)))
        draws = rates.draw if self.lengths is not None else np.zeros(len(rates), dtype=int)
        for draw in np.unique(draws):
            these = draws == draw
            factor = 1.0 if self.lengths is None else float(self.lengths[draw])
            options = dict(self.options)
            if options.get("mean") is not None:
                options["mean"] = factor * np.asarray(options["mean"])
            found[:, these] = predict_accuracy(
                self.num_real,
                np.asarray(sizes, dtype=float)[:, None],
                self.dim,
                None if self.mean_norm is None else factor * self.mean_norm,
                gamma,
                label_noise=rates.label_noise[these],
                keep_right=rates.keep_right[these],
                keep_wrong=rates.keep_wrong[these],
                synth_weight=rates.weight[these],
                **options,
            ).mean
        return found


@dataclass(frozen=True)
class RowWorld:
    """The user's rows: real ones train and judge in turn, synthetic ones enter by the moments of the batch.

    Parameters
    ----------
    x, y : ndarray (n, p), (n,)
        Real rows, centered at the midpoint of the class means and scaled to mean variance 1, labels +-1.
    z, t : ndarray (k, p), (k,)
        Synthetic rows on the same scale, labels as they came.
    ridge : float
    seeds : Seeds
    num_draws : int
        Bootstrap draws of the judging rows.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    t: np.ndarray
    ridge: float
    seeds: Seeds
    num_draws: int = 300
    has_own_draws = True

    @cached_property
    def rows(self) -> JudgedRows:
        """What the law is asked with."""
        source = pilot_source(self.z, self.t, 0.0)
        return JudgedRows(self.x, self.y, source, FOLDS, self.seeds, batch_rows=float(len(self.t)))

    @property
    def num_real(self) -> float:
        """Real rows; each fold trains on four fifths of them."""
        return float(len(self.y))

    @property
    def told_up_to(self) -> float | None:
        """Synthetic rows beyond which the curve is a mere lower bound: those at hand, where they are few a feature."""
        return float(len(self.t)) if len(self.t) < BATCH_ROWS_A_FEATURE * self.z.shape[1] else None

    @property
    def num_judges(self) -> int:
        """Rows that judge."""
        return int((self.rows.fold >= 0).sum())

    @cached_property
    def counts(self) -> np.ndarray:
        """Weights (n, 1 + draws) of the judging rows: as they are, then bootstrap counts."""
        rng, n = self.seeds.numpy("judging rows"), len(self.y)
        drawn = rng.poisson(1.0, (n, self.num_draws)).astype(float)  # so that only the rows that judge need be counted
        drawn[:, drawn[self.rows.fold >= 0].sum(axis=0) == 0] = 1.0
        return np.concatenate([np.ones((n, 1)), drawn], axis=1)

    def accuracy(self, sizes: np.ndarray, rates: Rates, ridge: np.ndarray | None = None) -> np.ndarray:
        """Accuracy (t, D) on held-out real rows."""
        questions = Questions.of_rates(
            rates.label_noise,
            rates.keep_right,
            rates.keep_wrong,
            batch_noise=np.minimum(rates.batch_noise, LARGEST_NOISE),
            synth_weight=rates.weight,
        )
        gamma = self.ridge if ridge is None else ridge
        return accuracy_curve(self.rows, sizes, gamma, questions, row_weight=self.counts[:, rates.draw])

    def trained(self, weight: float, real_ridge: float, mixed_ridge: float) -> tuple[np.ndarray, np.ndarray]:
        """Accuracy (1 + draws,) of models trained without synthetic rows and with all those at hand, on held-out rows.

        The law predicts the second for as many other rows of a generator known by these: less (see `pilot_source`).
        """
        place, right = self.rows.fold, np.zeros((len(self.y), 2))
        z, t = weight * self.z.T @ self.z, weight * self.z.T @ self.t
        for fold in range(FOLDS):
            train, judge = place != fold, place == fold
            gram, pull, size = self.x[train].T @ self.x[train], self.x[train].T @ self.y[train], float(train.sum())
            unit = np.eye(len(gram))
            with_none = np.linalg.solve(gram + real_ridge * size * unit, pull)
            with_all = np.linalg.solve(gram + z + mixed_ridge * (size + len(self.t)) * unit, pull + t)
            right[judge] = self.y[judge, None] * (self.x[judge] @ np.stack([with_none, with_all], axis=1)) > 0
        judged = place >= 0
        counts = self.counts[judged]
        alone, mixed = right[judged].T @ counts / counts.sum(axis=0)
        return alone, mixed

    def check(self) -> list[dict[str, float]]:
        """Train on part of one half of the synthetic rows and compare with the prediction from the other half.

        At most half of a half is drawn: of all its rows there is only one training set, and nothing to predict.

        Returns
        -------
        list of dict
            For each of up to three amounts: rows, predicted, measured, difference and its standard error over rows.
        """
        order = self.seeds.numpy("check halves").permutation(len(self.t))
        known, drawn = order[: len(order) // 2], order[len(order) // 2 :]
        if len(drawn) < 20:
            return []
        source = pilot_source(self.z[known], self.t[known], 0.0)
        half = JudgedRows(self.x, self.y, source, FOLDS, self.seeds, batch_rows=float(len(known)))
        place = half.fold
        judged = place >= 0
        found = []
        most = min(len(drawn) // 2, CHECK_ROWS)
        for size in np.unique(np.geomspace(max(10, most // 16), most, 3).astype(int)):
            predicted = float(accuracy_curve(half, [float(size)], self.ridge, Questions.of_rates(0.0))[0, 0])
            right = self._measured(drawn, int(size), place)
            error = float(right[judged].std(ddof=1) / np.sqrt(judged.sum()))
            measured = float(right[judged].mean())
            found.append(
                {"rows": float(size), "predicted": predicted, "measured": measured,
                 "difference": predicted - measured, "standard_error": error}
            )  # fmt: skip
        return found

    def _measured(self, pool: np.ndarray, size: int, place: np.ndarray) -> np.ndarray:
        """Share of trained classifiers (n,) that are right on each judging row."""
        right = np.zeros(len(self.y))
        for fold in range(FOLDS):
            train, judge = place != fold, place == fold
            gram, pull = self.x[train].T @ self.x[train], self.x[train].T @ self.y[train]
            penalty = self.ridge * (int(train.sum()) + size) * np.eye(len(gram))
            for repeat in range(CHECK_DRAWS):
                taken = self.seeds.numpy(f"check-{size}-{repeat}").permutation(pool)[:size]
                z, t = self.z[taken], self.t[taken]
                w = np.linalg.solve(gram + z.T @ z + penalty, pull + z.T @ t)
                right[judge] += (self.y[judge] * (self.x[judge] @ w) > 0) / CHECK_DRAWS
        return right


def with_intercept(x: np.ndarray) -> np.ndarray:
    """Return rows with a last feature of ones, so that classes in unequal numbers may shift the threshold.

    The theory of the moments takes any features; only its Gaussian special case needs classes around their midpoint.
    """
    return np.hstack([x, np.ones((len(x), 1))])


def best_real_ridge(x: np.ndarray, y: np.ndarray, seeds: Seeds) -> float:
    """Ridge of lowest squared error over five folds, of those with an accuracy that is not told from the best.

    The ridge of the best accuracy on the very rows that judge would flatter the real rows alone, and every gain over
    them would be as much too low. Ridges count as equal within a standard error of the difference.
    """
    rows = JudgedRows(x, y, pilot_source(x[:1], y[:1], 0.0), FOLDS, seeds)
    right, loss, place = np.zeros((len(RIDGES), len(y)), dtype=bool), np.zeros(len(RIDGES)), rows.fold
    for fold in range(FOLDS):
        train = place != fold
        values, basis = np.linalg.eigh(x[train].T @ x[train])
        along, seen = basis.T @ (x[train].T @ y[train]), x[~train] @ basis
        for k, ridge in enumerate(RIDGES):
            found = seen @ (along / (values + ridge * train.sum()))
            right[k, ~train] = found * y[~train] > 0
            loss[k] += ((y[~train] - found) ** 2).sum()
    hits = right.sum(axis=1)
    best = int(np.lexsort((loss, -hits))[0])
    told = np.sqrt((right != right[best]).sum(axis=1))  # of a difference of so many rows that are judged differently
    equal = hits >= hits[best] - told
    return float(RIDGES[np.argmin(np.where(equal, loss, np.inf))])


def measured_world(
    geometry: Geometry, num_real: int, ridge: float, options: dict[str, Any], seeds: Seeds, num_draws: int
) -> NumberWorld:
    """Return the world of real rows alone: spectrum and class mean as measured, the separation redrawn in every draw.

    Raises
    ------
    DataError
        If the classes are no further apart than noise.
    """
    length = geometry.mean_norm.value
    if length == 0:
        raise DataError(
            f"the classes of the {num_real} real rows are no further apart than noise (|mu|^2 = "
            f"{geometry.mean_square.value:.3g}); give more real rows, better features, or --mean-norm"
        )
    draws = geometry.mean_draws(num_draws, seeds.numpy("separation")) / length
    lengths = np.concatenate([[1.0], np.maximum(draws, 1e-6)])
    known = {**options, "spectrum": geometry.spectrum, "mean": geometry.mean}
    return NumberWorld(float(num_real), geometry.dim, known, None, ridge, lengths)
