"""The recursion on images of arXiv 2602.16601 at reduced size: U-Nets retrained on digits at three fresh fractions.

Published: Fashion-MNIST, a large U-Net, ten rounds, alpha of 0.1, 0.5 and 0.9; much fresh data keeps samples stable,
little lets them degrade. No numbers were printed, so none are held against ours. Here: scikit-learn's digits and a
network that trains in half a minute.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthsift.drift.diffusion import DiffusionSettings
from synthsift.drift.diffusion_files import pack_step, unpack_step
from synthsift.drift.diffusion_loop import LoopSettings
from synthsift.drift.picture_loop import PictureStep, run_pictures
from synthsift.seeds import Seeds
from synthsift.studies.laboratory_pictures import gallery_sheet, watch_pictures
from synthsift.studies.picture_sets import PictureSet, load_pictures
from synthsift.studies.reproduction import COLORS, Rebuilt, Table, label_axes
from synthsift.writing import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FULL_SIZE = (
    "The published size is for a GPU and was not run by us: synthsift reproduce drift --device cuda --data FOLDER "
    "(MNIST's or Fashion-MNIST's files). On an H200 three loops side by side of 2,500 steps, width 64, batch 256 and "
    "10,000 pictures took about 90 s a generation."
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
    steps, rows, width, batch : int
        Training steps, pictures a generation makes, channels of the U-Net, pictures of a training step.
    device : str
        Where torch computes.
    """

    alphas: tuple[float, ...] = (0.1, 0.5, 0.9)
    rounds: int = 6
    steps: int = 1200
    rows: int = 1500
    width: int = 16
    batch: int = 64
    device: str = "cpu"

    def loop(self, alpha: float, side: int) -> LoopSettings:
        """Settings of one loop."""
        model = DiffusionSettings(
            side=side,
            log_steps=True,
            t0=0.01,
            width=self.width,
            steps=self.steps,
            batch=self.batch,
            sampling_steps=60,
            device=self.device,
        )
        return LoopSettings(alpha, self.rounds, self.rows, 4000, model=model)


QUICK = PictureStudy((0.1, 0.9), 3, 150, 300, 8)
PUBLISHED = PictureStudy(rounds=10, steps=40_000, rows=50_000, width=64, batch=256)


def rebuild_pictures(seeds: Seeds, *, quick: bool = False) -> Rebuilt:
    """Drift of retrained U-Nets on digits, by fresh fraction and generation."""
    study = QUICK if quick else PictureStudy()
    note = f"Reduced size; nothing was printed to compare with. {FULL_SIZE}"
    return _rebuild(seeds, study, load_pictures("digits", seeds), None, note)


def rebuild_published(seeds: Seeds, data: Path | None, device: str, rounds: Path, *, quick: bool = False) -> Rebuilt:
    """The same at published size: width 64, batches of 256, 40,000 steps, 50,000 pictures, ten generations.

    Parameters
    ----------
    seeds : Seeds
        Source of all randomness.
    data : Path, optional
        Folder of MNIST's (or Fashion-MNIST's) files, or a file of pictures; SYNTHSIFT_DATA else.
    device : str
        Where torch computes.
    rounds : Path
        Folder that keeps every finished generation; those that are there are not repeated.
    quick : bool
        The size of the other quick figures instead, to see that all works.

    Raises
    ------
    DataError
        If there are no pictures, or a file of `rounds` belongs to other settings.
    """
    is_file = data is not None and not data.is_dir()
    pictures = load_pictures(str(data) if is_file else f"mnist:{data or ''}", seeds)
    rounds.mkdir(parents=True, exist_ok=True)
    study = replace(QUICK if quick else PUBLISHED, device=device)
    note = f"{study.rows:,} pictures and {study.steps:,} steps a generation; nothing was printed to compare with."
    return _rebuild(seeds, study, pictures, rounds, note)


def _rebuild(seeds: Seeds, study: PictureStudy, pictures: PictureSet, rounds: Path | None, note: str) -> Rebuilt:
    """Run or take up the loops and measure them."""
    table, loops = Table(), dict[float, list[PictureStep]]()
    first: list[PictureStep] = []
    for alpha in study.alphas:
        node = seeds.child("pictures")
        loops[alpha] = _run(study, alpha, pictures, node, first, rounds)
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
        note=note,
    )


def _run(
    study: PictureStudy,
    alpha: float,
    pictures: PictureSet,
    seeds: Seeds,
    first: list[PictureStep],
    rounds: Path | None,
) -> list[PictureStep]:
    """One loop from its common first generation on; finished generations in `rounds` are taken up."""
    settings, steps = study.loop(alpha, pictures.side), list(first)
    whole = {k: v for k, v in asdict(settings).items() if k != "num_rounds"}
    fixed = {**whole, "digest": pictures.digest, "seed": seeds.integer("identity")}

    def place(number: int) -> tuple[Path, dict[str, Any]]:
        assert rounds is not None
        return rounds / f"alpha-{alpha:g}-round-{number:03d}.safetensors", {**fixed, "number": number}

    while rounds is not None and len(steps) < study.rounds:
        file, identity = place(len(steps) + 1)
        if not file.exists():
            break
        found = unpack_step(file.read_bytes(), str(file), identity)
        assert isinstance(found, PictureStep)
        steps.append(found)
    for step in run_pictures(pictures.train, pictures.held, settings, seeds, done=tuple(steps)):
        steps.append(step)
        if rounds is not None:
            file, identity = place(len(steps))
            atomic_write(file, pack_step(step, identity))
    return steps


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
    axes.set(title=f"real pictures, generation 1, and generation {study.rounds} by fresh fraction", xticks=[])
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
