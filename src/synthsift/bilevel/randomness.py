"""The generators that dropout draws from: a second pass of a batch has to meet the masks of the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
State = tuple[Tensor, Tensor | None]  # of the CPU and of the current GPU


def random_state() -> State:
    """Return where the generators are."""
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None


def set_random_state(state: State) -> None:
    """Put the generators where they were."""
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])


def same_random_numbers(state: State | None, call: Callable[[], Result]) -> Result:
    """Run `call` with the generators at `state` (dropout repeats its mask) and put them back afterwards."""
    if state is None:
        return call()
    now = random_state()
    set_random_state(state)
    try:
        return call()
    finally:
        set_random_state(now)
