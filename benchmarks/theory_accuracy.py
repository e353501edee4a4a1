"""One cell of the mixing part: a case and a seed. Accuracy predicted before any synthetic row is drawn, and measured after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.theory_cases import MULTIPLES, VERIFIERS, MixingCase
from benchmarks.theory_tasks import Rows, Task, make_task
from synthsift.seeds import Seeds
from synthsift.theory.measure import measure_geometry
from synthsift.theory.mixing import predict_accuracy
from synthsift.theory.mixing_moments import accuracy_on_points, weight_law
from synthsift.theory.mixing_simulation import GaussianDraw, covariance_root, draw_signs, ridge_weights
from synthsift.theory.mixing_sources import Source, pilot_source

PILOT_ROWS = 60  # rows of a pilot batch for each feature, twice what the specification asks for


@dataclass(frozen=True)
class Generator:
    """Where synthetic rows come from: one Gaussian a class, or the rows of a source, half of them kept for the pilot."""

    draws: tuple[GaussianDraw, GaussianDraw] | None
    share: float
    pilot_rows: Rows | None = None
    other_rows: Rows | None = None

    @classmethod
    def of(cls, case: MixingCase, task: Task, rng: np.random.Generator) -> Generator:
        if task.source is not None:
            order = rng.permutation(len(task.source[1]))
            half = len(order) // 2
            pilot, other = ((task.source[0][part], task.source[1][part]) for part in (order[:half], order[half:]))
            return cls(None, float((task.source[1] > 0).mean()), pilot, other)
        x, y = task.train if case.generator == "self" else task.generator
        fitted = [GaussianDraw(x[y == c].mean(axis=0), covariance_root(x[y == c])) for c in (1.0, -1.0)]
        return cls((fitted[0], fitted[1]), float((y > 0).mean()))

    @property
    def most_rows(self) -> float:
        """How many different rows there are to train on."""
        return np.inf if self.other_rows is None else len(self.other_rows[1])

    def pilot(self, dim: int, rng: np.random.Generator) -> Rows:
        """Rows and true classes to learn the moments from."""
        return self.pilot_rows if self.pilot_rows is not None else self._gaussian(PILOT_ROWS * dim, rng)

    def rows(self, size: int, rng: np.random.Generator) -> Rows:
        """Rows and true classes to train on."""
        if self.other_rows is None:
            return self._gaussian(size, rng)
        chosen = rng.choice(len(self.other_rows[1]), size, replace=False)
        return self.other_rows[0][chosen], self.other_rows[1][chosen]

    def _gaussian(self, size: int, rng: np.random.Generator) -> Rows:
        assert self.draws is not None
        classes = np.where(rng.random(size) < self.share, 1.0, -1.0)
        x = np.empty((size, len(self.draws[0].mean)))
        for c, draw in zip((1.0, -1.0), self.draws, strict=True):
            x[classes == c] = draw.rows(np.ones(int((classes == c).sum())), rng)
        return x, classes


def run_mixing(case: MixingCase, seed: int, data: Path) -> list[dict[str, Any]]:
    """One row a verifier and number of synthetic rows; all accuracies in percent.

    `predicted`: the theory given the real training rows (mixing_conditional), judged on other real rows. `same_points`: the
    same, judged on the rows that also test. `rates`: as `predicted`, the verifier known by two rates only. `planned`: plain
    numbers (class mean and spectrum measured on the training rows), Gaussian features. `ridge` and `logistic` are the trained models, on the testing rows.
    """
    seeds = Seeds(seed).child("theory", case.name)
    task = make_task(case, data, seeds)
    generator = Generator.of(case, task, seeds.numpy("source"))
    pilot_x, pilot_c = generator.pilot(case.dim, seeds.numpy("pilot"))
    pilot_t = pilot_c * draw_signs(len(pilot_c), case.label_noise, seeds.numpy("pilot noise"))
    checker = ridge_weights(*task.verifier, np.ones(len(task.verifier[1])), case.ridge * len(task.verifier[1]))
    found = []
    for verifier in VERIFIERS:
        kept = _keep(verifier, pilot_x, pilot_c, pilot_t, checker)
        phi, rho = _rate(kept, pilot_c == pilot_t), _rate(kept, pilot_c != pilot_t)
        for multiple in MULTIPLES:
            size = round(multiple * case.num_real)
            if size > generator.most_rows:
                continue
            unit = pilot_source(pilot_x, pilot_t, float(size), kept=kept)
            if verifier != "real":  # rates known exactly: nothing but the features comes from the pilot
                unit = _from_rates(pilot_x, pilot_c, size, (case.label_noise, phi, rho))
            row = {
                "verifier": verifier,
                "num_synth": size,
                "keep_right": phi,
                "keep_wrong": rho,
                **_predictions(case, task, unit, (pilot_x, pilot_c), (phi, rho)),
            }
            draws = seeds.child(verifier, multiple)
            found.append(row | _trained(case, task, generator, verifier, size, checker, draws))
    return found


def _rate(kept: np.ndarray, among: np.ndarray) -> float:
    """Share kept; 1 where there is no such row."""
    return float(kept[among].mean()) if among.any() else 1.0


def _keep(verifier: str, x: np.ndarray, c: np.ndarray, t: np.ndarray, checker: np.ndarray) -> np.ndarray:
    """Which rows the verifier keeps: all; those a model trained on other real rows agrees with; the rightly labelled."""
    if verifier == "none":
        return np.ones(len(t), dtype=bool)
    return np.asarray(np.sign(x @ checker) == t if verifier == "real" else c == t)


def _from_rates(x: np.ndarray, c: np.ndarray, size: int, rates: tuple[float, float, float]) -> Source:
    """Moments of rows whose labels are wrong, and kept, at fixed rates whatever their features."""
    noise, phi, rho = rates
    alpha, lam = phi * (1 - noise) + rho * noise, phi * (1 - noise) - rho * noise
    return Source(float(size), alpha, lam * (x.T @ c) / len(c), alpha * (x.T @ x) / len(c))


def _predictions(
    case: MixingCase, task: Task, unit: Source, pilot: Rows, rates: tuple[float, float]
) -> dict[str, float]:
    """The four predictions, in percent."""
    x, y = task.train
    phi, rho = rates
    sources = {"predicted": unit, "rates": _from_rates(*pilot, int(unit.count), (case.label_noise, phi, rho))}
    found = {}
    for name, source in sources.items():
        used = (source,) if source.count else ()
        law = weight_law(used, case.ridge, gram=x.T @ x, pull=x.T @ y, num_given=len(y))
        found[name] = 100 * float(accuracy_on_points(law, *task.judge).mean())
        if name == "predicted":
            found["same_points"] = 100 * float(accuracy_on_points(law, *task.test).mean())
    return found | {"planned": _planned(case, task, unit, rates)}


def _planned(case: MixingCase, task: Task, unit: Source, rates: tuple[float, float]) -> float:
    """`predict_accuracy` with the class mean and spectrum that `measure` finds in the training rows."""
    geometry = measure_geometry(*task.train)
    answer = predict_accuracy(
        case.num_real,
        unit.count,
        case.dim,
        None,
        case.ridge,
        label_noise=case.label_noise,
        keep_right=rates[0],
        keep_wrong=rates[1],
        generator="self" if case.generator == "self" else "fresh",
        generator_size=case.generator_size if case.generator == "fresh" else np.inf,
        spectrum=geometry.spectrum,
        mean=geometry.mean,
    )
    return 100 * float(answer.mean)


def _trained(
    case: MixingCase, task: Task, generator: Generator, verifier: str, size: int, checker: np.ndarray, seeds: Seeds
) -> dict[str, float]:
    """Accuracy on the testing rows of the ridge classifier and of logistic regression, in percent."""
    from sklearn.linear_model import LogisticRegression

    rng = seeds.numpy("rows")
    x, c = generator.rows(size, rng)
    t = c * draw_signs(size, case.label_noise, rng)
    kept = _keep(verifier, x, c, t, checker)
    rows, labels = np.concatenate([task.train[0], x[kept]]), np.concatenate([task.train[1], t[kept]])
    w = ridge_weights(rows, labels, np.ones(len(labels)), case.ridge * (case.num_real + size))
    logistic = LogisticRegression(C=1.0 / (case.ridge * (case.num_real + size)), fit_intercept=False, max_iter=500)
    test_x, test_y = task.test
    right = {"ridge": test_y * (test_x @ w) > 0, "logistic": logistic.fit(rows, labels).predict(test_x) == test_y}
    return {"num_kept": int(kept.sum())} | {name: 100 * float(value.mean()) for name, value in right.items()}
