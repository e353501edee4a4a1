"""Every score backend, with a length of differences that suits its precision."""

from __future__ import annotations

from collections.abc import Callable

from synthsift.bilevel.backends import JVP, FiniteDifference, LastLayer, ScoreBackend
from synthsift.bilevel.ghost import Ghost

BACKENDS: dict[str, Callable[[], ScoreBackend]] = {
    "ghost": Ghost,
    "stale ghost": lambda: Ghost(stale=True),
    "jvp": JVP,
    "differences": FiniteDifference,
    "one-sided": lambda: FiniteDifference(1e-3, two_sided=False),
    "last layer": LastLayer,
}
