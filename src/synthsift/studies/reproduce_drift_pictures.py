"""The recursion on images of arXiv 2602.16601 at reduced size: U-Nets retrained on digits at three fresh fractions.

Published: Fashion-MNIST, a large U-Net, ten rounds, alpha of 0.1, 0.5 and 0.9; much fresh data keeps samples stable,
little lets them degrade. No numbers were printed, so none are held against ours. Here: scikit-learn's digits and a
network that trains in half a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.drift.diffusion import DiffusionSettings
from synthsift.drift.diffusion_loop import LoopSettings
from synthsift.drift.picture_loop import PictureStep, run_pictures
from synthsift.seeds import Seeds
from synthsift.studies.laboratory_pictures import gallery_sheet, watch_pictures
from synthsift.studies.picture_sets import PictureSet, load_pictures
from synthsift.studies.reproduction import COLORS, Rebuilt, Table, label_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FULL_SIZE = (
    "The published size is for a GPU and was not run by us: synthsift simulate diffusion --data mnist:FOLDER "
    "--device cuda --width 64 --batch 256 --steps 40000 --rows 50000 --generations 10 (Fashion-MNIST has files of "
    "the same names)."
)


@dataclass(frozen=True)
class PictureStudy:
    """Size of the recursion.

    Parameters
    ----------
    alphas : tuple of float
        Fresh fractions, rising.
    rounds : int
        Generations of each; the first is common to all.
    steps, rows, width : int
        Training steps, pictures a generation makes, channels of the U-Net.
    """

    alphas: tuple[float, ...] = (0.1, 0.5, 0.9)
    rounds: int = 6
    steps: int = 1200
    rows: int = 1500
    width: int = 16

    def loop(self, alpha: float, side: int) -> LoopSettings:
        """Settings of one loop."""
        model = DiffusionSettings(
            side=side, log_steps=True, t0=0.01, width=self.width, steps=self.steps, batch=64, sampling_steps=60
        )
        return LoopSettings(alpha, self.rounds, self.rows, 4000, model=model)


QUICK = PictureStudy((0.1, 0.9), 3, 150, 300, 8)


def rebuild_pictures(seeds: Seeds, *, quick: bool = False) -> Rebuilt:
    """Drift of retrained U-Nets on digits, by fresh fraction and generation."""
    study, pictures = QUICK if quick else PictureStudy(), load_pictures("digits", seeds)
    table, loops = Table(), dict[float, list[PictureStep]]()
    first: list[PictureStep] = []
    for alpha in study.alphas:
        node, settings = seeds.child("pictures"), study.loop(alpha, pictures.side)
        loops[alpha] = [*first, *run_pictures(pictures.train, pictures.held, settings, node, done=first)]
        first = loops[alpha][:1]  # learned real pictures only, whatever the fraction
        trace = watch_pictures(pictures, alpha, loops[alpha], node)
        for k, (step, discounted, coherent) in enumerate(
            zip(loops[alpha], trace.discounted.tolist(), trace.coherent.tolist(), strict=True)
        ):
            drift = trace.seen[k].measures["mmd2"]
            row: dict[str, Any] = {"fraction": alpha, "round": k + 1, "drift": drift.value, "low": drift.low}
            row |= {"high": drift.high, "unrelated": discounted, "repeated": coherent}
            row |= {"score_gap": step.audit.gap, "score_error": step.audit.error}
            table.add(**row, coverage=trace.seen[k].measures["coverage"].value)
    return Rebuilt(
        "picture_loop",
        f"U-Nets retrained on {pictures.name}, {pictures.side} x {pictures.side} pixels: drift by fresh fraction",
        table.columns,
        lambda figure: _draw(figure, pictures, study, loops, table),
        (11.0, 5.6),
        note=f"Reduced size; nothing was printed to compare with. {FULL_SIZE}",
    )


def _draw(
    figure: Figure, pictures: PictureSet, study: PictureStudy, loops: dict[float, list[PictureStep]], table: Table
) -> None:
    """Samples of the first and the last generation, drift with its laws, score error."""
    grid = figure.add_gridspec(2, 2, width_ratios=(1.5, 1))
    pools = [loops[study.alphas[0]][0].pool, *(loops[alpha][-1].pool for alpha in study.alphas)]
    sheet, names = gallery_sheet(pictures, pools)
    axes = figure.add_subplot(grid[:, 0])
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    told = ["real", "first", *(f"{100 * alpha:g} %" for alpha in study.alphas)]
    side = pictures.side
    axes.set_yticks([k * (side + 1) + (side - 1) / 2 for k in range(len(names))], told)
    axes.set(title=f"real digits, generation 1, and generation {study.rounds} by fresh fraction", xticks=[])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    drift, gaps = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    for color, alpha in zip(COLORS, study.alphas, strict=False):
        rounds, values = table.where("round", "drift", fraction=alpha)
        drift.plot(rounds, values, "o-", color=color, label=f"{100 * alpha:g} % fresh")
        low, high = (table.where("round", end, fraction=alpha)[1] for end in ("low", "high"))
        drift.fill_between(rounds, low, high, color=color, alpha=0.15, linewidth=0)
        drift.plot(*table.where("round", "repeated", fraction=alpha), ":", color=color, linewidth=1)
        gaps.plot(*table.where("round", "score_gap", fraction=alpha), "o-", color=color)
    label_axes(drift, "Drift (MMD2); dotted: the same error always", "generation", "drift")
    label_axes(gaps, "Score error on real digits above generation 1", "generation", "eps^2 difference")
    drift.legend()
    for axes in (drift, gaps):
        axes.set_xticks(np.arange(1, study.rounds + 1))
