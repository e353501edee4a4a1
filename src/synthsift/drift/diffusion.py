"""Trained score-based diffusion models: denoising score matching of a small network, two samplers.

The network predicts the noise z of X_t = e^{-t/2} X_0 + sigma_t z, sigma_t^2 = 1 - e^{-t}; the score is -z/sigma_t.
Times are drawn evenly in u = log(e^t - 1), whose density is 1/sigma_t^2 in t: the plain squared error in z is then the
denoising loss of the score with *unit* weight in t, the energy that every bound of `guarantees` is about.

References
----------
Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021 (the process and
both samplers); Vincent 2011 (denoising score matching); Khelifa, Turner, Venkataramanan, arXiv:2602.16601v2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from synthsift.drift.score_networks import (
    Shapes,
    check_side,
    layers_noise,
    layers_shapes,
    new_layers,
    unet_noise,
    unet_shapes,
)
from synthsift.records import DataError
from synthsift.seeds import Seeds

if TYPE_CHECKING:
    import torch

Sampler = Literal["sde", "ode"]
Draw = Callable[[int, np.random.Generator], np.ndarray]
Progress = Callable[[int, int], None]
SAMPLERS = ("sde", "ode")
DEVICES = ("cpu", "cuda")
ROWS_AT_ONCE = 8192
PICTURES_AT_ONCE = 512  # what a U-Net holds of them stays in the processor's cache


@dataclass(frozen=True)
class DiffusionSettings:
    """How a score network is made, trained and sampled.

    Parameters
    ----------
    width, depth : int
        Units and number of hidden layers; a U-Net has `width` channels and a fixed depth.
    steps, batch : int
        Optimizer steps and rows of each.
    learning_rate : float
        Of Adam at the start; a cosine takes it to 0.
    ema : float
        Decay of the running mean of the parameters, in [0, 1); the mean is what samples.
    horizon, t0 : float
        Time T at which the reverse process starts and t0 > 0 at which it stops.
    sampling_steps : int
        Time steps of a sampler.
    sampler : {"sde", "ode"}
        Euler-Maruyama steps of the reverse SDE, or Heun steps of the probability-flow ODE.
    side : int
        Rows are pictures of side x side pixels and the network is a U-Net; 0 for rows of any numbers.
    log_steps : bool
        Whether steps are equal in log(e^t - 1) instead of t: fine ones near t0, where pictures get their details.
    device : str
        Where torch computes: "cpu", or "cuda" where there is one.
    """

    width: int = 96
    depth: int = 3
    steps: int = 1500
    batch: int = 384
    learning_rate: float = 2e-3
    ema: float = 0.995
    horizon: float = 4.0
    t0: float = 0.05
    sampling_steps: int = 80
    sampler: Sampler = "sde"
    side: int = 0
    log_steps: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("width", "depth", "steps", "batch", "sampling_steps")}
        for name, value in sizes.items():
            if value < 1:
                raise DataError(f"{name} = {value}: a whole number of at least 1 is needed")
        if not (math.isfinite(self.horizon) and 0 < self.t0 < self.horizon):
            raise DataError(f"t0 = {self.t0}, horizon = {self.horizon}: horizon > t0 > 0 is needed")
        if not 0 <= self.ema < 1 or not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise DataError(
                f"ema = {self.ema}, learning_rate = {self.learning_rate}: a decay in [0, 1) and a positive rate needed"
            )
        if self.sampler not in SAMPLERS:
            raise DataError(f"the sampler {self.sampler!r} is unknown; choose one of {', '.join(SAMPLERS)}")
        if self.side:
            check_side(self.side)
        if self.device not in DEVICES:
            raise DataError(f"the device {self.device!r} is unknown; choose one of {', '.join(DEVICES)}")

    @property
    def times(self) -> np.ndarray:
        """Times (sampling_steps + 1,) of the sampler, from the horizon down to t0."""
        if not self.log_steps:
            return np.linspace(self.horizon, self.t0, self.sampling_steps + 1)
        low, high = log_times(self.t0, self.horizon)
        return np.log1p(np.exp(np.linspace(high, low, self.sampling_steps + 1)))


def log_times(t0: float, horizon: float) -> tuple[float, float]:
    """Range of u = log(e^t - 1)."""
    return math.log(math.expm1(t0)), math.log(math.expm1(horizon))


@dataclass(frozen=True)
class ScoreModel:
    """A trained score network as plain arrays.

    Parameters
    ----------
    settings : DiffusionSettings
        How it was trained and samples.
    arrays : dict of str to ndarray
        Weights and biases of each layer ("0.weight", "0.bias", ...), float32.
    losses : ndarray (steps,)
        Training loss (mean squared error per coordinate) of every step.
    """

    settings: DiffusionSettings
    arrays: dict[str, np.ndarray]
    losses: np.ndarray

    @property
    def dim(self) -> int:
        """Width d of the data."""
        return self.settings.side**2 or len(self.arrays[f"{self.settings.depth}.bias"])

    def __call__(self, rows: np.ndarray, t: float | np.ndarray) -> np.ndarray:
        """Learned score (n, d) at rows (n, d) and time t, one or one per row."""
        import torch

        times = np.broadcast_to(np.asarray(t, dtype=np.float64), (len(rows),))
        found, size = np.empty(rows.shape), PICTURES_AT_ONCE if self.settings.side else ROWS_AT_ONCE
        layers, device = self._tensors(), self.settings.device
        with torch.no_grad():
            for start in range(0, len(rows), size):
                part = slice(start, start + size)
                x, u = _tensor(rows[part], device), _tensor(np.log(np.expm1(times[part])), device)
                noise = predict_noise(x, u, layers, self.settings)
                found[part] = noise.cpu().numpy() / -np.sqrt(-np.expm1(-times[part]))[:, None]
        return found

    def _tensors(self) -> dict[str, torch.Tensor]:
        import torch

        return {name: torch.from_numpy(value).to(self.settings.device) for name, value in self.arrays.items()}

    def sample(self, num_rows: int, rng: np.random.Generator) -> np.ndarray:
        """Draw rows (num_rows, d) by the reverse process from N(0, I) at T down to t0."""
        s = self.settings
        return reverse_samples(self, rng.standard_normal((num_rows, self.dim)), s, rng)


def reverse_samples(
    score: Callable[[np.ndarray, float], np.ndarray], start: np.ndarray, s: DiffusionSettings, rng: np.random.Generator
) -> np.ndarray:
    """Run the reverse process of any score field.

    Parameters
    ----------
    score : callable (y (n, d), t) -> (n, d)
        Score of the noised law.
    start : ndarray (n, d)
        Draws of X_T.
    s : DiffusionSettings
        Times, steps and the sampler.
    rng : Generator
        Noise of the SDE; the ODE draws none.

    Returns
    -------
    ndarray (n, d)
        Draws at time t0.
    """
    y, times = np.array(start, dtype=np.float64), s.times
    for t, after in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        dt = t - after
        if s.sampler == "sde":
            drift = y / 2 + score(y, t - dt / 2)
            y = y + drift * dt + math.sqrt(dt) * rng.standard_normal(y.shape)
        else:
            first = (y + score(y, t)) / 2
            guess = y + first * dt
            y = y + (first + (guess + score(guess, after)) / 2) * dt / 2
    return y


def train_score(
    draw: Draw,
    dim: int,
    settings: DiffusionSettings,
    seeds: Seeds,
    *,
    start: ScoreModel | None = None,
    progress: Progress | None = None,
) -> ScoreModel:
    """Fit a score network by denoising score matching.

    Parameters
    ----------
    draw : callable (n, rng) -> (n, d)
        Draws training rows.
    dim : int
        d.
    settings : DiffusionSettings
        How.
    seeds : Seeds
        Randomness of the start, the rows and the noise.
    start : ScoreModel, optional
        Parameters to go on from; a new network otherwise.
    progress : callable (step, steps), optional
        Told after every step.

    Returns
    -------
    ScoreModel
        With the running mean of the parameters.

    Raises
    ------
    DataError
        If the loss stops being finite.
    """
    import torch
    from torch.nn.functional import mse_loss

    from synthsift.training.adamw import AdamW

    if settings.side and settings.side**2 != dim:
        raise DataError(f"rows of {dim} numbers are no pictures of {settings.side} x {settings.side} pixels")
    layers = new_layers(layer_shapes(dim, settings), seeds.torch("layers")) if start is None else start._tensors()
    layers = {name: value.clone().to(settings.device).requires_grad_() for name, value in layers.items()}
    mean = {name: value.detach().clone() for name, value in layers.items()}
    optimizer = AdamW(layers.values(), settings.learning_rate, settings.steps, decay=0.0)
    rng, low_high = seeds.numpy("rows"), log_times(settings.t0, settings.horizon)
    losses = np.empty(settings.steps)
    with _one_thread():
        for step in range(settings.steps):
            x0 = draw(settings.batch, rng)
            u = rng.uniform(*low_high, size=len(x0))
            x, z = noise_rows(x0, u, rng)
            guess = predict_noise(_tensor(x, settings.device), _tensor(u, settings.device), layers, settings)
            loss = mse_loss(guess, _tensor(z, settings.device))
            loss.backward()
            optimizer.step()
            losses[step] = float(loss.detach())
            if not math.isfinite(losses[step]):
                raise DataError(
                    f"the loss is {losses[step]} at step {step}; lower the learning rate or rescale the data"
                )
            decay = min(settings.ema, (1 + step) / (10 + step))  # the mean forgets the random start sooner
            with torch.no_grad():
                for name, value in layers.items():
                    mean[name].lerp_(value, 1 - decay)
            if progress is not None:
                progress(step + 1, settings.steps)
    return ScoreModel(settings, {name: value.cpu().numpy() for name, value in mean.items()}, losses)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train on one thread: backward passes of small layers on two took 18 times as long beside another process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def noise_rows(x0: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, d) noised to times u (n,), and the noise z (n, d) that was used."""
    t = np.log1p(np.exp(u))[:, None]
    z = rng.standard_normal(x0.shape)
    return np.exp(-t / 2) * x0 + np.sqrt(-np.expm1(-t)) * z, z


def _tensor(values: np.ndarray, device: str) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)


def layer_shapes(dim: int, settings: DiffusionSettings) -> Shapes:
    """Shape of every array of a network."""
    if settings.side:
        return unet_shapes(settings.side, settings.width)
    return layers_shapes(dim, settings.width, settings.depth)


def predict_noise(
    x: torch.Tensor, u: torch.Tensor, layers: dict[str, torch.Tensor], settings: DiffusionSettings
) -> torch.Tensor:
    """Predicted noise (n, d) of noised rows x (n, d) at log times u (n,)."""
    low, high = log_times(settings.t0, settings.horizon)
    phase = (u - low) / (high - low)
    if settings.side:
        return unet_noise(x, phase, u.sigmoid().sqrt(), layers, settings.side)  # sigma_t^2 = e^u / (1 + e^u)
    return layers_noise(x, phase, layers, settings.depth)
