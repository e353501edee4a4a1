"""Trained score-based diffusion models: a small network, denoising score matching, two samplers.

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
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from synthsift.records import DataError
from synthsift.seeds import Seeds

if TYPE_CHECKING:
    import torch

Sampler = Literal["sde", "ode"]
Draw = Callable[[int, np.random.Generator], np.ndarray]
Progress = Callable[[int, int], None]
SAMPLERS = ("sde", "ode")
FREQUENCIES = 6  # sines and cosines of u that tell the network the time
ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class DiffusionSettings:
    """How a score network is made, trained and sampled.

    Parameters
    ----------
    width, depth : int
        Units and number of hidden layers.
    steps, batch : int
        Optimizer steps and rows of each.
    learning_rate : float
        Of Adam at the start; a cosine takes it to 0.
    ema : float
        Decay of the running mean of the parameters, in [0, 1); the mean is what samples.
    horizon, t0 : float
        Time T at which the reverse process starts and t0 > 0 at which it stops.
    sampling_steps : int
        Equal time steps of a sampler.
    sampler : {"sde", "ode"}
        Euler-Maruyama steps of the reverse SDE, or Heun steps of the probability-flow ODE.
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
        return len(self.arrays[f"{self.settings.depth}.bias"])

    def __call__(self, rows: np.ndarray, t: float | np.ndarray) -> np.ndarray:
        """Learned score (n, d) at rows (n, d) and time t, one or one per row."""
        import torch

        times = np.broadcast_to(np.asarray(t, dtype=np.float64), (len(rows),))
        found = np.empty(rows.shape)
        with torch.no_grad():
            for start in range(0, len(rows), ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                x = torch.from_numpy(np.ascontiguousarray(rows[part], dtype=np.float32))
                u = torch.from_numpy(np.log(np.expm1(times[part])).astype(np.float32))
                noise = _network(x, u, self._tensors(), self.settings)
                found[part] = noise.numpy() / -np.sqrt(-np.expm1(-times[part]))[:, None]
        return found

    def _tensors(self) -> dict[str, torch.Tensor]:
        import torch

        return {name: torch.from_numpy(value) for name, value in self.arrays.items()}

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
    y, dt = np.array(start, dtype=np.float64), (s.horizon - s.t0) / s.sampling_steps
    for k in range(s.sampling_steps):
        t = s.horizon - k * dt
        if s.sampler == "sde":
            drift = y / 2 + score(y, t - dt / 2)
            y = y + drift * dt + math.sqrt(dt) * rng.standard_normal(y.shape)
        else:
            first = (y + score(y, t)) / 2
            guess = y + first * dt
            y = y + (first + (guess + score(guess, t - dt)) / 2) * dt / 2
    return y


def _network(
    x: torch.Tensor, u: torch.Tensor, layers: dict[str, torch.Tensor], settings: DiffusionSettings
) -> torch.Tensor:
    """Predicted noise (n, d) at noised rows x (n, d) and times u (n,)."""
    import torch
    from torch.nn.functional import linear, silu

    low, high = log_times(settings.t0, settings.horizon)
    phase = ((u - low) / (high - low))[:, None]
    waves = math.pi * phase * torch.arange(1, FREQUENCIES + 1)
    h = torch.cat([x, phase, waves.sin(), waves.cos()], dim=1)
    for k in range(settings.depth):
        wide = linear(h, layers[f"{k}.weight"], layers[f"{k}.bias"])
        h = silu(wide) + h if k else silu(wide)  # hidden layers pass their input on
    return linear(h, layers[f"{settings.depth}.weight"], layers[f"{settings.depth}.bias"])


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

    layers = _new_layers(dim, settings, seeds.torch("layers")) if start is None else start._tensors()
    layers = {name: value.clone().requires_grad_() for name, value in layers.items()}
    mean = {name: value.detach().clone() for name, value in layers.items()}
    optimizer = AdamW(layers.values(), settings.learning_rate, settings.steps, decay=0.0)
    rng, low_high = seeds.numpy("rows"), log_times(settings.t0, settings.horizon)
    losses = np.empty(settings.steps)
    for step in range(settings.steps):
        x0 = draw(settings.batch, rng)
        u = rng.uniform(*low_high, size=len(x0))
        x, z = noise_rows(x0, u, rng)
        guess = _network(_tensor(x), _tensor(u), layers, settings)
        loss = mse_loss(guess, _tensor(z))
        loss.backward()
        optimizer.step()
        losses[step] = float(loss.detach())
        if not math.isfinite(losses[step]):
            raise DataError(f"the loss is {losses[step]} at step {step}; lower the learning rate or rescale the data")
        decay = min(settings.ema, (1 + step) / (10 + step))  # the mean forgets the random start sooner
        with torch.no_grad():
            for name, value in layers.items():
                mean[name].lerp_(value, 1 - decay)
        if progress is not None:
            progress(step + 1, settings.steps)
    return ScoreModel(settings, {name: value.numpy() for name, value in mean.items()}, losses)


def noise_rows(x0: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, d) noised to times u (n,), and the noise z (n, d) that was used."""
    t = np.log1p(np.exp(u))[:, None]
    z = rng.standard_normal(x0.shape)
    return np.exp(-t / 2) * x0 + np.sqrt(-np.expm1(-t)) * z, z


def _tensor(values: np.ndarray) -> torch.Tensor:
    import torch

    return torch.from_numpy(values.astype(np.float32))


def layer_shapes(dim: int, settings: DiffusionSettings) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a network."""
    inputs = dim + 1 + 2 * FREQUENCIES
    shapes: dict[str, tuple[int, ...]] = {}
    for k in range(settings.depth + 1):
        outputs = settings.width if k < settings.depth else dim
        shapes |= {f"{k}.weight": (outputs, inputs), f"{k}.bias": (outputs,)}
        inputs = outputs
    return shapes


def _new_layers(dim: int, settings: DiffusionSettings, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """He's initialization, the last layer at 0."""
    import torch

    layers = {}
    for name, shape in layer_shapes(dim, settings).items():
        is_last = name.startswith(f"{settings.depth}.")
        scale = 0.0 if len(shape) == 1 or is_last else math.sqrt(2 / shape[1])
        layers[name] = scale * torch.randn(shape, generator=generator)
    return layers
