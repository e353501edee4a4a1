"""What flags and state say together about the training sets: their fresh fractions, and whether rows are kept."""

from __future__ import annotations

from synthsift.drift.state import Stream
from synthsift.records import DataError


def choose_fractions(text: str | None, begun: Stream, num_new: int) -> tuple[list[float], bool]:
    """Fresh fractions of the steps that the new generations make, and whether they were taken over from the state.

    Parameters
    ----------
    text : str, optional
        --fresh-fraction: one number, or as many as steps. Without it the state's last one goes on.
    begun : Stream
        What was seen before.
    num_new : int
        Generations that are added.

    Raises
    ------
    DataError
        If one is no number in [0, 1], their number does not fit, or there is none to go on with.
    """
    steps = num_new if begun.seen else num_new - 1
    mixes = f"{steps} training mix{'' if steps == 1 else 'es'}"
    if text is None:
        if steps == 0:
            return [], False
        if begun.seen and begun.last_fraction is not None:
            return [begun.last_fraction] * steps, True
        raise DataError(
            f"--fresh-fraction is missing: {mixes} {'lies' if steps == 1 else 'lie'} between these generations. Give "
            f"the real share of {'it' if steps == 1 else 'each, or one number for all'} (0 = own samples only)"
        )
    values = _parse(text)
    if len(values) == 1:
        return values * steps, False
    if len(values) != steps:
        raise DataError(
            f"--fresh-fraction has {len(values)} numbers for {mixes} between the generations; give one, or one for "
            f"each step"
        )
    return values, False


def announced_fraction(text: str | None, begun: Stream) -> float | None:
    """Fraction to go on with when no step has been made yet; the text has been checked by `choose_fractions`."""
    return begun.announced if text is None else _parse(text)[-1]


def _parse(text: str) -> list[float]:
    """Numbers of a list with commas."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise DataError(
            f"--fresh-fraction {text!r} is no list of numbers; write 0.3 or 0.3,0.5 (a decimal point, not a comma)"
        ) from error
    if not all(0 <= value <= 1 for value in values):
        raise DataError(f"--fresh-fraction {text}: every fraction must lie in [0, 1]; write 0.3 for 30 %")
    return values


def choose_accumulate(given: bool | None, begun: Stream) -> bool:
    """Whether training sets keep all rows: what the state says, or the flag as long as no training set was seen.

    Raises
    ------
    DataError
        If the flag contradicts what the measured generations were taken to have learned from.
    """
    if given is None or given == begun.accumulate:
        return begun.accumulate
    if len(begun.seen) > 1:
        was, flag = ("keep all rows", "--replace") if begun.accumulate else ("replace the rows", "--accumulate")
        raise DataError(
            f"{flag} is given, but the training sets of the {len(begun.seen)} generations in the state {was}; one "
            f"stream has one way. Leave {flag} out, or start a new stream with --real, {flag} and all generations"
        )
    return given
