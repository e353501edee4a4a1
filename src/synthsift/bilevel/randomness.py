"""The generators that dropout draws from: a second pass of a batch has to meet the masks of the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
State = tuple[Tensor, ...]  # of the CPU, then of each GPU


def random_state() -> State:
    """Return where the generators are; those of GPUs only once something runs there, so that nothing is started."""
    return torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else ())


def set_random_state(state: State) -> None:
    """Put the generators where they were."""
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state_all(state[1:])


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
