"""The loop of retrained U-Nets as a simulation: the monitor on its pictures, score errors, laws, and a gallery.

No density of pictures is known, so the exact score error, chi2, KL and total variation of the mixture loop are absent.
The laws are checked where they need no density: in the monitor's fixed features the drift vector of a pool obeys
delta_{i+1} = (1-alpha) delta_i + b_i exactly, whatever the pictures are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.drift.laws import contributions, drift_law
from synthsift.drift.monitor import Seen, watch_generation
from synthsift.drift.picture_loop import PictureStep
from synthsift.drift.reference import Reference, learn_reference
from synthsift.seeds import Seeds
from synthsift.studies.laboratory import Simulated
from synthsift.studies.laboratory_diffusion import draw_lines
from synthsift.studies.picture_sets import PictureSet
from synthsift.studies.reproduction import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, RED, GREEN = COLORS[:3]
ACROSS, DOWN = 10, 8  # pictures of a row of the gallery, and most rows
NOT_COMPUTED = "exact eps^2, chi2, KL and total variation, as the density of pictures is unknown."


@dataclass(frozen=True)
class PictureTrace:
    """What the monitor saw of each generation; all arrays (N,).

    Parameters
    ----------
    alpha : float
        Fresh fraction.
    seen : tuple of Seen
        The generations.
    reference_noise : float
        Sampling variance of the reference's mean feature.
    """

    alpha: float
    seen: tuple[Seen, ...]
    reference_noise: float

    def measure(self, name: str, part: str = "value") -> np.ndarray:
        """One part of a measure by generation."""
        return np.array([getattr(s.measures[name], part) for s in self.seen])

    @property
    def steps(self) -> np.ndarray:
        """b_i = delta_{i+1} - (1-alpha) delta_i (N, k); the first generation starts from real data, delta_0 = 0."""
        delta = np.array([s.delta for s in self.seen])
        before = np.concatenate([np.zeros((1, delta.shape[1])), delta[:-1]])
        return delta - (1 - self.alpha) * before

    @property
    def innovation(self) -> np.ndarray:
        """J_i = |b_i|^2 less its sampling noise, never below 0.

        The pool that is measured is the pool that is trained on, so only the new pool's own sampling and the
        reference's (of which alpha enters after the first step) are noise.
        """
        share = np.where(np.arange(len(self.seen)) == 0, 1.0, self.alpha**2)
        noise = np.array([s.noise for s in self.seen]) + share * self.reference_noise
        return np.maximum((self.steps**2).sum(axis=1) - noise, 0.0)

    @property
    def alike(self) -> np.ndarray:
        """Cosine between b_i and b_{i-1} (N,); NaN for the first. Near 1 the same error is made again and again."""
        b = self.steps
        size = np.sqrt((b**2).sum(axis=1))
        return np.concatenate([[np.nan], (b[1:] * b[:-1]).sum(axis=1) / np.maximum(size[1:] * size[:-1], 1e-300)])

    @property
    def discounted(self) -> np.ndarray:
        """Drift if errors of different generations were unrelated."""
        return drift_law(self.alpha, self.innovation)

    @property
    def coherent(self) -> np.ndarray:
        """Drift if every generation made the same error."""
        return drift_law(self.alpha, self.innovation, kappa=1.0)


def watch_pictures(pictures: PictureSet, alpha: float, steps: Sequence[PictureStep], seeds: Seeds) -> PictureTrace:
    """Put every generation before the monitor, as `drift` would: held-out real pictures are the reference."""
    reference: Reference = learn_reference(pictures.gray(pictures.held), None, seeds=seeds.child("monitor"))
    seen = tuple(
        watch_generation(reference, pictures.gray(s.pool), index=k, name=f"generation {k + 1}", seeds=seeds)
        for k, s in enumerate(steps)
    )
    return PictureTrace(float(alpha), seen, reference.noise)


def describe_pictures(pictures: PictureSet, alpha: float, steps: Sequence[PictureStep], seeds: Seeds) -> Simulated:
    """Return the finished generations of a loop on pictures.

    Parameters
    ----------
    pictures : PictureSet
        The real ones.
    alpha : float
        Fresh fraction.
    steps : sequence of PictureStep
        The generations.
    seeds : Seeds
        Randomness of the monitor.
    """
    trace = watch_pictures(pictures, alpha, steps, seeds)
    drift, last = trace.measure("mmd2"), steps[-1].audit
    later = trace.alike[1:]
    said = (
        f" Errors of consecutive generations point the same way with cosine {np.mean(later):.2f} on average."
        if len(later)
        else ""
    )
    sentence = (
        f"After {len(steps)} generations with {100 * alpha:g} % fresh pictures the drift of {pictures.name} (MMD2) is "
        f"{drift[-1]:.3g}, after one it was {drift[0]:.3g}; unrelated errors would give {trace.discounted[-1]:.3g}, "
        f"the same error every time {trace.coherent[-1]:.3g}.{said} On held-out real pictures the score error eps^2 "
        f"has risen by {last.gap:.3g} [{last.low:.3g}, {last.high:.3g}] since generation 1. Not computed: "
        f"{NOT_COMPUTED}"
    )
    title = f"Retrained U-Nets on {pictures.name}, {100 * alpha:g} % fresh pictures"
    return Simulated(
        "diffusion",
        title,
        _columns(trace, steps),
        sentence,
        lambda figure: _draw(figure, title, pictures, trace, steps),
        (11.0, 6.4),
        {"heat": contributions(alpha, trace.innovation), "not_computed": NOT_COMPUTED, "num_held": len(pictures.held)},
    )


def _columns(trace: PictureTrace, steps: Sequence[PictureStep]) -> dict[str, list[Any]]:
    """Everything by generation, for a table."""
    found: dict[str, np.ndarray] = {"round": np.arange(1, len(steps) + 1)}
    for part in ("gap", "error", "low", "high"):
        found[f"score_{part}"] = np.array([getattr(s.audit, part) for s in steps])
    found |= {"drift": trace.measure("mmd2"), "drift_low": trace.measure("mmd2", "low")}
    found |= {"drift_high": trace.measure("mmd2", "high"), "innovation": trace.innovation}
    found |= {"discounted": trace.discounted, "coherent": trace.coherent, "alike": trace.alike}
    found["p_value"] = np.array([s.p_value for s in trace.seen])
    for name in ("energy", "frechet", "tv_bound", "precision", "recall", "coverage", "widest", "narrowest"):
        found[name] = trace.measure(name)
    found["coverage_null"] = trace.measure("coverage", "null")
    found["loss"] = np.array([s.model.losses[-max(1, len(s.model.losses) // 10) :].mean() for s in steps])
    return {name: values.tolist() for name, values in found.items()}


def gallery_sheet(pictures: PictureSet, pools: Sequence[np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """Gray rows of pictures, real ones first, then of generations (first and last always), and the name of each row.

    Returns
    -------
    sheet : ndarray (rows * (side + 1) - 1, ACROSS * (side + 1) - 1)
        0 is black, 1 white and the lines between.
    names : list of str
    """
    side = pictures.side
    chosen = np.unique(np.linspace(0, len(pools) - 1, min(len(pools), DOWN - 1)).round().astype(int)).tolist()
    rows = [pictures.held[:ACROSS], *(pools[k][:ACROSS] for k in chosen)]
    sheet = np.ones((len(rows) * (side + 1) - 1, ACROSS * (side + 1) - 1), np.float32)
    for down, row in enumerate(rows):
        for across, picture in enumerate(pictures.gray(row).reshape(-1, side, side)):
            top, left = down * (side + 1), across * (side + 1)
            sheet[top : top + side, left : left + side] = picture
    return sheet, ["real", *(f"{k + 1}" for k in chosen)]


def _draw(figure: Figure, title: str, pictures: PictureSet, trace: PictureTrace, steps: Sequence[PictureStep]) -> None:
    """The gallery, drift with its laws, score errors, and what of the real pictures is covered."""
    figure.suptitle(title)
    grid = figure.add_gridspec(3, 2, width_ratios=(1.9, 1))
    sheet, names = gallery_sheet(pictures, [s.pool for s in steps])
    axes = figure.add_subplot(grid[:, 0])
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    side = pictures.side
    axes.set_yticks([k * (side + 1) + (side - 1) / 2 for k in range(len(names))], names)
    axes.set(title="samples by generation, drawn at random", xticks=[])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    rounds = np.arange(1, len(steps) + 1)
    drift, gaps, covered = (figure.add_subplot(grid[k, 1]) for k in range(3))
    # Bands first: the lines' call fixes the lower end of the axis.
    low, high = (trace.measure("mmd2", end) for end in ("low", "high"))
    drift.fill_between(rounds, low, high, color=BLUE, alpha=0.15, linewidth=0)
    draw_lines(drift, rounds, "drift (MMD2)", [
        ("measured", trace.measure("mmd2"), BLUE, "o-"),
        ("unrelated errors", trace.discounted, GREEN, "--"),
        ("the same error", trace.coherent, RED, ":"),
    ])  # fmt: skip
    gap, low, high = (np.array([getattr(s.audit, part) for s in steps]) for part in ("gap", "low", "high"))
    gaps.fill_between(rounds, low, high, color=BLUE, alpha=0.15, linewidth=0)
    told = "score error on real pictures above generation 1"
    draw_lines(gaps, rounds, told, [("eps^2 difference", gap, BLUE, "o-")], floor=None)
    draw_lines(covered, rounds, "precision, recall, coverage", [
        ("precision", trace.measure("precision"), GREEN, "s-"),
        ("recall", trace.measure("recall"), RED, "^-"),
        ("coverage", trace.measure("coverage"), BLUE, "o-"),
    ])  # fmt: skip
    covered.plot(rounds, trace.measure("coverage", "null"), color=BLUE, linewidth=0.8, linestyle=":")
    covered.set_ylim(0, 1.05)
    covered.set_xlabel("generation")
