"""Recursions whose scores are learned from rows, and whose every law is still solved on a grid.

Each round draws rows of the mix, noises them to several times, and fits the score there as a linear combination of few
functions phi by implicit score matching: E[s^2 + 2 s'] over the noised rows is least at

    s_t = phi w_t,   w_t = -(E phi phi^T + ridge I)^{-1} E phi'.

What a score is learned from is sampled; what its error does is not: the reverse process with that error
is solved on the grid. Few functions leave an error that repeats, few rows one that does not.

References
----------
Hyvarinen, Estimation of non-normalized statistical models by score matching, JMLR 6 (2005), Theorem 1.
Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2, for the quantities of a round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synthsift.drift.grid import ReverseGrid, ScoreError
from synthsift.drift.loops_grid import GridRecursion, retrain
from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds

#: Out to 4.5, where hardly a row of two modes at -1.2 and 1.2 lies; wider ones hold ratios too steep for the solver.
LEARNED_GRID = ReverseGrid(half_width=4.5, num_points=121, num_steps=400)


@dataclass(frozen=True)
class ScoreLearner:
    """A score that is linear in few functions of x.

    Parameters
    ----------
    num_waves : int
        Cosines cos(x z / bandwidth + u), z standard normal and u uniform, drawn once a loop.
    is_affine : bool
        Whether 1 and x are among the functions.
    bandwidth : float
        The larger, the slower the cosines.
    ridge : float
        Added to the diagonal of E phi phi^T.
    num_levels : int
        Times at which a score is fitted; each serves the times around it.
    shares_noise : bool
        Whether a row is noised in the same direction at all times, or afresh at each.
    fade : (float, float)
        Between these distances from 0 the error fades to none: what lies beyond has no rows to learn from, and an error
        there makes chi2 what the ends of the grid make of it.
    """

    num_waves: int = 8
    is_affine: bool = True
    bandwidth: float = 1.0
    ridge: float = 1e-5
    num_levels: int = 40
    shares_noise: bool = False
    fade: tuple[float, float] = (3.0, 4.0)

    def __post_init__(self) -> None:
        if self.num_waves + 2 * self.is_affine < 1 or self.num_levels < 1:
            raise DataError("a learned score needs at least one function and one noise level")
        if not (self.bandwidth > 0 and self.ridge > 0 and 0 < self.fade[0] < self.fade[1]):
            raise DataError(
                f"bandwidth {self.bandwidth}, ridge {self.ridge}, fade {self.fade}: the first two must be positive and "
                "the last run from a smaller to a larger positive distance"
            )

    def functions(self, x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Values and slopes of the functions at x (g,), both (g, k)."""
        speeds = rng.standard_normal(self.num_waves) / self.bandwidth
        angles = np.multiply.outer(x, speeds) + rng.uniform(0, 2 * np.pi, self.num_waves)
        values, slopes = np.cos(angles), -speeds * np.sin(angles)
        if not self.is_affine:
            return values, slopes
        line, flat = np.column_stack([np.ones_like(x), x]), np.column_stack([np.zeros_like(x), np.ones_like(x)])
        return np.hstack([line, values]), np.hstack([flat, slopes])

    def window(self, x: np.ndarray) -> np.ndarray:
        """1 near 0, 0 far out, a half cosine between (g,)."""
        start, end = self.fade
        return 0.5 + 0.5 * np.cos(np.pi * np.clip((np.abs(x) - start) / (end - start), 0, 1))


def fit_score(values: np.ndarray, slopes: np.ndarray, shares: np.ndarray, ridge: float) -> np.ndarray:
    """Weights (k,) that minimize E[s^2 + 2 s'] + ridge |w|^2 where rows have these shares (g,) of the grid points."""
    gram = values.T @ (shares[:, None] * values)
    gram[np.diag_indices_from(gram)] += ridge
    weights: np.ndarray = np.linalg.solve(gram, -slopes.T @ shares)
    return weights


def learn_recursion(
    alpha: float,
    num_rows: int,
    *,
    seeds: Seeds | int,
    learner: ScoreLearner | None = None,
    num_rounds: int = 10,
    grid: ReverseGrid = LEARNED_GRID,
) -> GridRecursion:
    """Retrain on rows of alpha p_data + (1-alpha) phat, each round with a score learned from them.

    Parameters
    ----------
    alpha : float
        Fresh fraction in [0, 1].
    num_rows : int
        Rows that each round learns from.
    seeds : Seeds or int
        Randomness of functions, rows and noise.
    learner : ScoreLearner, optional
        How; 1, x and eight cosines by default.
    num_rounds : int
        Rounds, from a perfect start.
    grid : ReverseGrid
        Solver and data law.

    Returns
    -------
    GridRecursion
        All quantities of every round.

    Raises
    ------
    DataError
        If alpha is outside [0, 1], there are fewer than 50 rows or no round, or an error is too large for the grid.
    """
    if num_rows < 50 or num_rounds < 1:
        raise DataError(f"{num_rows} rows and {num_rounds} rounds: at least 50 rows and 1 round are needed")
    how, node = learner or ScoreLearner(), as_seeds(seeds)
    values, slopes = how.functions(grid.x, node.numpy("functions"))
    window, rng = how.window(grid.x), node.numpy("rows")

    def trainer(mix: np.ndarray) -> ScoreError:
        masses = grid.data_masses * mix
        start = grid.x[rng.choice(grid.num_points, num_rows, p=masses / masses.sum())]
        start = start + grid.step * (rng.random(num_rows) - 0.5)
        noise, learned = rng.standard_normal(num_rows), np.empty((how.num_levels, grid.num_points))
        for level in range(how.num_levels):
            t = (level + 0.5) * grid.horizon / how.num_levels
            if level and not how.shares_noise:
                noise = rng.standard_normal(num_rows)
            rows = math.exp(-t / 2) * start + math.sqrt(-math.expm1(-t)) * noise
            learned[level] = values @ fit_score(values, slopes, _shares(grid, rows), how.ridge)
        exact = grid.mix_scores(grid.noise_forward(mix))

        def error(x: np.ndarray, t: float) -> np.ndarray:
            gap = learned[int(t / grid.horizon * how.num_levels)] - exact[int(t / grid.dt)]
            return np.asarray(window * gap)

        return error

    return retrain(grid, alpha, [trainer] * num_rounds)


def _shares(grid: ReverseGrid, rows: np.ndarray) -> np.ndarray:
    """Share of the rows nearest to each grid point (g,); those beyond the ends count there."""
    nearest = np.rint((rows + grid.half_width) / grid.step).astype(int)
    return np.bincount(np.clip(nearest, 0, grid.num_points - 1), minlength=grid.num_points) / len(rows)
