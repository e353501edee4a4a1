"""Where a `Reweighter` stands: in sentences for its user, and as a state to go on from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.noise import WANTED, Noise, in_digits
from synthsift.bilevel.sameness import made_of, refuse_other
from synthsift.records import Outcome

if TYPE_CHECKING:
    from synthsift.bilevel.reweighter import Reweighter

FEW_UPDATES = 20  # steps of the selector's optimizer, at its default rate .1 of a log-weight at most


def summarize(reweighter: Reweighter) -> list[str]:
    """Return sentences on concentration, noise and what to change, and the notices."""
    columns, said = reweighter.selector.history.columns, _progress(reweighter)
    if columns.get("effective_batch"):
        said.append(
            f"Effective batch {columns['effective_batch'][-1]:,.0f} ({columns['effective_fraction'][-1]:.0%} of the "
            f"rows), mean weight {columns['mean_weight'][-1]:.2g}."
        )
    if reweighter.noise is not None:
        said.append(f"The largest share of a row is {reweighter.noise.largest_share:.2%}.")
        effective = columns["effective_batch"][-1] if columns.get("effective_batch") else math.inf
        said.append(reweighter.noise.sentence(effective) + _before(reweighter.noise, columns))
    return [*said, *(f"Note: {notice}." for notice in reweighter.notices.said)]


def _before(noise: Noise, columns: Mapping[str, Sequence[float]]) -> str:
    """What a low ratio late may mean: that of the first half of the steps, where it was high."""
    early = [value for value in columns.get("gsnr", ()) if math.isfinite(value)]
    early = early[: len(early) // 2]
    if not early or noise.gsnr >= WANTED or (was := statistics.median(early)) < WANTED:
        return ""
    return f" Over the first half of the selector's steps it was {in_digits(was)}: little may be left to learn."


def _progress(reweighter: Reweighter) -> list[str]:
    """How often the selector has learned, and why it may not have."""
    if reweighter.l2r:
        return []
    schedule, updates = reweighter.schedule, reweighter.selector.updates
    plural = "step" if updates == 1 else "steps"
    said = [
        f"The selector took {updates:,} {plural} in {reweighter.time:,} of the learner; {reweighter.waiting_rows:,} "
        f"scored rows wait for the next, which takes least_rows={schedule.least_rows:,}."
    ]
    if updates >= FEW_UPDATES or reweighter.selector.frozen:
        return said
    learned = "nothing, so all weights are as they were at the start" if not updates else "next to nothing"
    if reweighter.time <= schedule.warmup:
        cure = f"the warm-up of {schedule.warmup:,} steps is as long as the training; set a shorter one"
    else:
        cure = "train longer, or lower least_rows, warmup or every"
    return [*said, f"Warning: the selector has learned {learned}: {cure}."]


def state_of(reweighter: Reweighter) -> dict[str, Any]:
    """Return tensors, numbers and texts from which `restore` goes on."""
    keeper, noise = reweighter.keeper, reweighter.noise
    return {
        "made of": made_of(reweighter),
        "selector": reweighter.selector.state_dict(),
        "generator": reweighter.generator.get_state(),
        "replay": [list(pair) for pair in reweighter.replay.kept],
        "waiting": [list(pair) for pair in reweighter.replay.waiting],
        "waiting rows": reweighter.waiting_rows,
        "keeper": {"best": keeper.best, "state": keeper.state, "misses": keeper.misses},
        "noise": None if noise is None else vars(noise),
        "stale": reweighter.ahead.stale,
        "verified": getattr(reweighter.backend, "verified", False),
        "notices": list(reweighter.notices.said),
        "time": reweighter.time,
        "lost": reweighter.lost,
        "outcome": reweighter.outcome.name,
    }


def restore(reweighter: Reweighter, state: dict[str, Any]) -> None:
    """Put a reweighter made with the same arguments where `state` was taken.

    Raises
    ------
    DataError
        If it was made with other ones.
    """
    refuse_other(reweighter, state)
    reweighter.selector.load_state_dict(state["selector"])
    reweighter.generator.set_state(state["generator"])
    place = next(iter(reweighter.of.trainable.values())).device  # where scores and directions come from
    reweighter.replay.kept = [(rows, scores.to(place)) for rows, scores in state["replay"]]
    reweighter.replay.waiting = [(rows, scores.to(place)) for rows, scores in state["waiting"]]
    reweighter.waiting_rows = state["waiting rows"]
    keeper = reweighter.keeper
    keeper.best, keeper.misses, keeper.state = (state["keeper"][name] for name in ("best", "misses", "state"))
    reweighter.noise = None if state["noise"] is None else Noise(**state["noise"])
    stale = state["stale"]
    reweighter.ahead.stale = None if stale is None else {name: d.to(place) for name, d in stale.items()}
    if isinstance(reweighter.backend, Ghost):
        reweighter.backend.verified = state["verified"]
    reweighter.notices.said = list(state["notices"])
    reweighter.time, reweighter.lost = state["time"], state["lost"]
    reweighter.outcome = Outcome[state["outcome"]]
