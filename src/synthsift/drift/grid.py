"""Reverse diffusion in one dimension, solved on a grid instead of sampled: every quantity of a round without noise.

Densities are carried as ratios to known mixtures, which keeps tails accurate where densities underflow:

    v = q_t / p_t            dv/dt   = v''/2 + (x/2 + grad log p_t) v'            (forward, t: 0 -> T)
    r = phat_t / q_t         dr/dtau = r''/2 - (x/2 + e) r' - S r                 (reverse, t: T -> 0)
    h = first order of r-1   dh/dtau = h''/2 - (x/2) h' - S,   S = e' + e grad log q_t

with Crank-Nicolson steps. Characteristics leave the interval at both ends, so one-sided slopes close the system.

References
----------
Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2, Sections 2-3 for eps*^2, epshat^2, eta, I.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_banded

from synthsift.drift.mixtures import BIMODAL, Mixture1D
from synthsift.records import DataError

ScoreError = Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class GridRound:
    """What one retraining round does.

    Parameters
    ----------
    eps2, epshat2 : float
        Score error energy along the ideal and the learned path.
    eta : float
        Observability in [0, 1] (0 when the error is 0).
    chi2, kl, kl_reverse, tv : float
        I = chi2(phat||q), KL(phat||q), KL(q||phat) and total variation at the end of the reverse process.
    ratio : ndarray (g,)
        phat/q on the grid.
    residual : float
        Mass that the solver gained or lost before the ratio was rescaled; small when the grid is fine enough.
    """

    eps2: float
    epshat2: float
    eta: float
    chi2: float
    kl: float
    kl_reverse: float
    tv: float
    ratio: np.ndarray
    residual: float


def _operator(drift: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower, main and upper diagonal of f''/2 + drift f'; the ends use one-sided slopes and no curvature."""
    lower, upper = 0.5 / step**2 - drift / (2 * step), 0.5 / step**2 + drift / (2 * step)
    main = np.full_like(drift, -1 / step**2)
    main[0], upper[0] = -drift[0] / step, drift[0] / step
    main[-1], lower[-1] = drift[-1] / step, -drift[-1] / step
    return lower, main, upper


def _advance(
    diagonals: tuple[np.ndarray, np.ndarray, np.ndarray], f: np.ndarray, dt: float, source: np.ndarray | float = 0.0
) -> np.ndarray:
    """One Crank-Nicolson step of df/dt = A f + source."""
    lower, main, upper = diagonals
    applied = main * f
    applied[1:] += lower[1:] * f[:-1]
    applied[:-1] += upper[:-1] * f[1:]
    bands = np.zeros((3, len(f)))
    bands[0, 1:], bands[1], bands[2, :-1] = -dt / 2 * upper[:-1], 1 - dt / 2 * main, -dt / 2 * lower[1:]
    return solve_banded((1, 1), bands, f + dt / 2 * applied + dt * source, overwrite_ab=True, overwrite_b=True)


@dataclass(frozen=True)
class ReverseGrid:
    """A grid in space and time for one data law.

    Parameters
    ----------
    data : Mixture1D
        p_data.
    half_width : float
        The grid covers [-half_width, half_width].
    num_points, num_steps : int
        Grid points and time steps; 241 and 200 give about 0.3 % on eta and I for errors that vary slowly in time.
    horizon : float
        T of the noising process; the reverse process runs to t = 0.
    """

    data: Mixture1D = BIMODAL
    half_width: float = 6.0
    num_points: int = 241
    num_steps: int = 200
    horizon: float = 4.0

    @cached_property
    def x(self) -> np.ndarray:
        """Grid points (g,)."""
        return np.linspace(-self.half_width, self.half_width, self.num_points)

    @cached_property
    def step(self) -> float:
        """Distance of grid points."""
        return 2 * self.half_width / (self.num_points - 1)

    @cached_property
    def dt(self) -> float:
        """Length of a time step."""
        return self.horizon / self.num_steps

    @cached_property
    def _marginals(self) -> tuple[np.ndarray, np.ndarray]:
        """Masses and scores of p_t at the middle of each time step, both (num_steps, g)."""
        laws = [self.data.noised((k + 0.5) * self.dt) for k in range(self.num_steps)]
        masses = np.array([self.masses(law) for law in laws])
        return masses, np.array([law.score(self.x) for law in laws])

    def masses(self, law: Mixture1D) -> np.ndarray:
        """Probability of each grid cell (g,), sum 1."""
        density = law.density(self.x)
        return density / density.sum()

    @cached_property
    def data_masses(self) -> np.ndarray:
        """Cell probabilities of p_data (g,)."""
        return self.masses(self.data)

    def ratio_to_data(self, law: Mixture1D) -> np.ndarray:
        """Density ratio law/p_data on the grid (g,)."""
        return self.masses(law) / self.data_masses

    def noise_forward(self, ratio: np.ndarray) -> np.ndarray:
        """Ratio q_t/p_t at the times 0, dt, ..., T for q_0 = ratio p_data; (num_steps+1, g)."""
        path = np.empty((self.num_steps + 1, self.num_points))
        path[0] = ratio
        if np.all(ratio == 1):
            path[:] = 1.0
            return path
        for k, score in enumerate(self._marginals[1]):
            path[k + 1] = _advance(_operator(self.x / 2 + score, self.step), path[k], self.dt)
        return path

    def mix_scores(self, path: np.ndarray) -> np.ndarray:
        """Scores of q_t at the middle of each time step (num_steps, g), from the ratios of `noise_forward`.

        Raises
        ------
        DataError
            If a ratio is not positive, as where q_0/p_data is too steep for the grid.
        """
        if not (path > 0).all():
            raise DataError("a noised mix is no density on the grid; use more grid points and time steps")
        return np.asarray(self._marginals[1] + self.slope(np.log((path[:-1] + path[1:]) / 2)))

    def slope(self, f: np.ndarray) -> np.ndarray:
        """Derivative along the grid, second order."""
        return np.gradient(f, self.step, axis=-1, edge_order=2)

    def score_gap(self, law: np.ndarray, other: np.ndarray) -> ScoreError:
        """Difference grad log (other/law)_t of the exact scores of two laws, given as ratios to p_data (g,)."""
        quotient = np.log(self.noise_forward(other)) - np.log(self.noise_forward(law))
        middles = self.slope((quotient[:-1] + quotient[1:]) / 2)

        def error(x: np.ndarray, t: float) -> np.ndarray:
            return middles[int(t / self.dt)]

        return error

    def one_round(
        self, error: ScoreError, ratio: np.ndarray | None = None, start: np.ndarray | None = None
    ) -> GridRound:
        """Run the reverse process of q = ratio p_data with the score wrong by `error`.

        Parameters
        ----------
        error : callable (x (g,), t) -> (g,)
            e_t(x) = learned score - score of q_t.
        ratio : ndarray (g,), optional
            q/p_data; 1 everywhere by default.
        start : ndarray (g,), optional
            Ratio of the starting law to q_T; 1 everywhere (a matched start for q) by default.

        Returns
        -------
        GridRound
            All quantities of the round.

        Raises
        ------
        DataError
            If a ratio is not positive or does not fit the grid, or the solution is not finite.
        """
        q0 = self._checked(np.ones(self.num_points) if ratio is None else ratio)
        r = self._checked(np.ones(self.num_points) if start is None else start).copy()
        h, energies, path = np.zeros(self.num_points), np.zeros(2), self.noise_forward(q0)
        still, scores = _operator(-self.x / 2, self.step), self.mix_scores(path)
        for k in reversed(range(self.num_steps)):
            mean_ratio = (path[k] + path[k + 1]) / 2
            e = np.asarray(error(self.x, (k + 0.5) * self.dt), dtype=np.float64)
            stein = self.slope(e) + e * scores[k]
            lower, main, upper = _operator(-self.x / 2 - e, self.step)
            new = _advance((lower, main - stein, upper), r, self.dt)
            h = _advance(still, h, self.dt, -stein)
            speed = self._marginals[0][k] * mean_ratio * e**2 * self.dt
            energies += speed.sum(), (speed * (r + new) / 2).sum()
            r = new
        return self._summary(self.data_masses * q0, r, h, energies)

    def _checked(self, ratio: np.ndarray) -> np.ndarray:
        """A density ratio that fits the grid."""
        values = np.asarray(ratio, dtype=np.float64)
        if values.shape != (self.num_points,) or not (np.isfinite(values).all() and (values > 0).all()):
            raise DataError(
                f"a density ratio of shape {values.shape} was given; it must be positive and finite on all "
                f"{self.num_points} grid points. Use a wider or finer grid if it came from an earlier round"
            )
        return values

    def _summary(self, q: np.ndarray, r: np.ndarray, h: np.ndarray, energies: np.ndarray) -> GridRound:
        """Divergences of the end law from q (cell probabilities)."""
        mass = float(q @ r)
        r = r / mass
        if not np.isfinite(r).all() or (r <= 0).any():
            raise DataError("the grid solution is not a density; use more grid points and time steps")
        eps2, epshat2 = energies
        variance = float(q @ h**2 - (q @ h) ** 2)
        return GridRound(
            eps2=float(eps2),
            epshat2=float(epshat2),
            eta=variance / eps2 if eps2 > 0 else 0.0,
            chi2=float(q @ (r - 1) ** 2),
            kl=float(q @ (r * np.log(r))),
            kl_reverse=float(-q @ np.log(r)),
            tv=float(q @ np.abs(r - 1)) / 2,
            ratio=r,
            residual=abs(mass - 1),
        )
