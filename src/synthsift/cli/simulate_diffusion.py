"""`simulate diffusion`: loops of trained models on a mixture or on pictures, with checkpoints, resume, progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthsift.cli.console import Console
from synthsift.cli.simulate import ROUNDS, SimulateOutput, run_study
from synthsift.drift.diffusion import DiffusionSettings
from synthsift.drift.diffusion_files import pack_step, unpack_step
from synthsift.drift.diffusion_loop import LoopSettings, LoopStep, run_loop
from synthsift.drift.kernels import five_modes
from synthsift.drift.picture_loop import PictureStep, run_pictures
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.laboratory import Simulated
from synthsift.studies.picture_sets import load_pictures
from synthsift.writing import atomic_write

MIXTURE = "mixture"
MIXTURE_DIM = 2
#: Of pictures, where a flag is left out: about two minutes for five generations of digits on two cores.
PICTURE_LOOP = {"pool_rows": 1500, "num_paths": 4000}
PICTURE_MODEL = {"steps": 1200, "sampling_steps": 60, "t0": 0.01, "width": 16, "batch": 64}

Step = LoopStep | PictureStep
Run = Callable[[Seeds, Sequence[Any], "Telling | None"], Iterator[Any]]


class Telling:
    """Says how far a loop is. What is left is told once a whole generation has shown what it costs.

    Parameters
    ----------
    console : Console
        Where to.
    first, num_rounds : int
        Generation that is trained first (from 0), and how many there are in the end.
    """

    def __init__(self, console: Console, first: int, num_rounds: int) -> None:
        self.console, self.first, self.num_rounds = console, first, num_rounds
        self.now, self.began, self.entered = first, time.monotonic(), time.monotonic()

    def trained(self, k: int, step: int, of: int) -> None:
        """Told after every training step of generation k."""
        if k > self.now:
            self.now, self.entered = k, time.monotonic()
        self._say("training", k, step, of)
        if step == of:
            self.console.say(f"Generation {k + 1} of {self.num_rounds} is trained; sampling and measuring it ...")

    def measured(self, k: int, step: int, of: int) -> None:
        """Told after every step of the paths that measure generation k."""
        self._say("measuring", k, step, of)

    def _say(self, what: str, k: int, step: int, of: int) -> None:
        left = math.inf
        if k > self.first:
            each = (self.entered - self.began) / (k - self.first)
            left = max(0.0, each * (self.num_rounds - k) - (time.monotonic() - self.entered))
        self.console.progress(f"{what} steps of generation {k + 1} of {self.num_rounds}", step, of, left)


@dataclass(frozen=True)
class DiffusionFlags:
    """What the flags say; None means "not given", and the default depends on the data.

    Parameters
    ----------
    data : str
        "mixture", or pictures as `load_pictures` names them.
    dim : int, optional
        Dimensions of the mixture.
    loop, model : mapping
        Fields of `LoopSettings` and of `DiffusionSettings`, None where a flag was left out.
    """

    data: str
    dim: int | None
    loop: Mapping[str, Any]
    model: Mapping[str, Any]

    def settings(self, side: int) -> LoopSettings:
        """Complete settings for pictures of `side` pixels, or for the mixture where it is 0."""
        of_loop, of_model = ({}, {}) if side == 0 else (PICTURE_LOOP, PICTURE_MODEL)
        model = {**of_model, **{name: value for name, value in self.model.items() if value is not None}}
        loop = {**of_loop, **{name: value for name, value in self.loop.items() if value is not None}}
        # Half of the details of a picture are decided close to t0, where even steps would be coarse.
        return LoopSettings(**loop, model=DiffusionSettings(**model, side=side, log_steps=side > 0))


def execute_diffusion(where: SimulateOutput, console: Console, flags: DiffusionFlags) -> int:
    """Train, sample and retrain diffusion models; finished generations in the folder are not repeated.

    Raises
    ------
    DataError
        If a flag, the data or a checkpoint cannot be used.
    """
    _check_device(flags.model.get("device"))
    if flags.data == MIXTURE:
        from synthsift.studies.laboratory_diffusion import describe_loop

        dim, loop = MIXTURE_DIM if flags.dim is None else flags.dim, flags.settings(0)
        law = five_modes(dim)
        return _execute(
            where,
            console,
            loop,
            {"kind": "diffusion", "dim": dim},
            lambda seeds, done, told: run_loop(
                law,
                loop,
                seeds,
                done=done,
                progress=None if told is None else told.trained,
                measuring=None if told is None else told.measured,
            ),
            lambda seeds, steps: describe_loop(law, loop.alpha, steps),
        )
    from synthsift.studies.laboratory_pictures import describe_pictures

    if flags.dim is not None:
        raise DataError(f"--dim {flags.dim} is given, but {flags.data} has the width of its pictures. Leave it out")
    pictures = load_pictures(flags.data, Seeds(max(where.seed, 0)).child("pictures"))
    of_pictures = flags.settings(pictures.side)
    return _execute(
        where,
        console,
        of_pictures,
        {"kind": "diffusion", "data": pictures.name, "digest": pictures.digest},
        lambda seeds, done, told: run_pictures(
            pictures.train,
            pictures.held,
            of_pictures,
            seeds,
            done=done,
            progress=None if told is None else told.trained,
        ),
        lambda seeds, steps: describe_pictures(pictures, of_pictures.alpha, steps, seeds),
    )


def _check_device(device: str | None) -> None:
    """Refuse a device that is not there, before anything is read."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise DataError("--device cuda is given, but torch finds no such device. Leave --device out to use the CPU")


def _execute(
    where: SimulateOutput,
    console: Console,
    loop: LoopSettings,
    what: Mapping[str, Any],
    run: Run,
    describe: Callable[[Seeds, Sequence[Any]], Simulated],
) -> int:
    """Take up finished generations, run the others, store each as soon as it is there."""
    # More generations with the same settings go on from those that are there.
    settings = {**what, **{k: v for k, v in asdict(loop).items() if k != "num_rounds"}}

    def work(seeds: Seeds) -> Simulated:
        done = _finished(where, settings, loop.num_rounds)
        if done:
            console.say(f"{len(done)} of {loop.num_rounds} generations are in {where.out} already.")
        steps = list(done)
        for step in run(seeds, done, None if console.quiet else Telling(console, len(done), loop.num_rounds)):
            steps.append(step)
            if where.out is not None:
                content = pack_step(step, _identity(settings, where.seed, len(steps)))
                atomic_write(_round_file(where.out, len(steps)), content)
            console.say(f"Generation {len(steps)} of {loop.num_rounds}: {_told(step)}")
        return describe(seeds, steps)

    return run_study(where, console, settings, work)


def _told(step: Step) -> str:
    """What is known of a generation as soon as it is finished."""
    if isinstance(step, LoopStep):
        drift = step.plane.drift - step.plane.drift_noise
        return f"eps^2 {step.paths.eps2:.3g}, eta {step.paths.eta:.2f}, drift {drift:.3g}"
    loss = step.model.losses[-max(1, len(step.model.losses) // 10) :].mean()
    return f"training loss {loss:.3g}, eps^2 on real pictures {step.audit.gap:+.3g} against generation 1"


def _round_file(out: Path, number: int) -> Path:
    return out / ROUNDS / f"round-{number:03d}.safetensors"


def _identity(settings: Mapping[str, Any], seed: int, number: int) -> dict[str, Any]:
    return {**settings, "seed": seed, "number": number}


def _finished(where: SimulateOutput, settings: Mapping[str, Any], most: int) -> list[Step]:
    """Rounds that the folder holds, up to the first that is missing."""
    found: list[Step] = []
    while where.out is not None and len(found) < most:
        path = _round_file(where.out, len(found) + 1)
        if not path.exists():
            break
        found.append(unpack_step(path.read_bytes(), str(path), _identity(settings, where.seed, len(found) + 1)))
    return found
