"""Signal and noise of a meta-gradient: their ratio, the rows that it would take, and both in words.

A ratio of t asks for V/N + U/M <= |G|^2 / t; at c_N and c_M the cost of a row, the cheapest such N and M have
N / M = sqrt(c_M V / (c_N U)). How G, V and U are measured is in `live`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

FORGET = 0.7  # share of the past in the running means
COSTS = (1.0, 3.0)  # forwards of a scored row (own batch) and of a trusted row
WANTED = 1.0  # signal to noise
FEW_EFFECTIVE = 20  # rows, below which the measured ratio is not that of repeated draws


@dataclass(frozen=True)
class Noise:
    """One measurement.

    Parameters
    ----------
    signal : float
        Unbiased |G|^2; may be negative where noise hides it.
    rows, trusted : float
        V and U, variances of one row's and of one trusted row's contribution.
    num_rows, num_trusted : float
        N and M.
    largest_share : float
        max p.
    rows_there, trusted_there : float
        How many different rows a step could have at most; without end where nobody said.
    """

    signal: float
    rows: float
    trusted: float
    num_rows: float
    num_trusted: float
    largest_share: float
    rows_there: float = math.inf
    trusted_there: float = math.inf

    @property
    def gsnr(self) -> float:
        """Signal over both noises; 0 where the signal is hidden."""
        noise = self.rows / self.num_rows + self.trusted / self.num_trusted
        return max(self.signal, 0.0) / noise if noise > 0 else 0.0

    @property
    def gsnr_rows(self) -> float:
        """Signal over the rows' noise alone: what infinitely many trusted rows would give."""
        return max(self.signal, 0.0) * self.num_rows / self.rows if self.rows > 0 else 0.0

    def mixed(self, before: Noise | None) -> Noise:
        """Return the running mean of signal and variances, for as many rows as `before` was about."""
        if before is None:
            return self
        keep, add = FORGET, 1 - FORGET
        mean = replace(
            self,
            signal=keep * before.signal + add * self.signal,
            rows=keep * before.rows + add * self.rows,
            trusted=keep * before.trusted + add * self.trusted,
        )
        return mean.pooled(before.num_rows, before.num_trusted)

    def pooled(self, num_rows: float, num_trusted: float) -> Noise:
        """Return the same signal and variances for the rows and trusted rows that a step of the selector rests on.

        The largest share is that of the row that was seen, among so many with the same mean weight.
        """
        share = self.largest_share * self.num_rows / num_rows
        return replace(self, num_rows=float(num_rows), num_trusted=float(num_trusted), largest_share=share)

    def wanted(self) -> tuple[int, int] | None:
        """Return the cheapest N and M for a ratio of `WANTED`, however few rows there are; None without a signal."""
        if self.signal <= 0:
            return None
        c_n, c_m = COSTS
        cross = math.sqrt(self.rows * self.trusted)
        n = WANTED / self.signal * (self.rows + cross * math.sqrt(c_m / c_n))
        m = WANTED / self.signal * (self.trusted + cross * math.sqrt(c_n / c_m))
        return max(math.ceil(n), 1), max(math.ceil(m), 1)

    def reachable(self) -> tuple[float, float] | None:
        """Return the cheapest N and M for a ratio of `WANTED` among the rows that there are, or None."""
        found = self.wanted()
        if found is None:
            return None
        most_n, most_m = max(self.rows_there, self.num_rows), max(self.trusted_there, self.num_trusted)
        n, m = map(float, found)
        allowed = self.signal / WANTED  # of both noises together
        if n > most_n:
            n, m = most_n, _rows_for(self.trusted, allowed - self.rows / most_n)
        elif m > most_m:
            n, m = _rows_for(self.rows, allowed - self.trusted / most_m), most_m
        return (n, m) if n <= most_n and m <= most_m and math.isfinite(n + m) else None

    def numbers(self) -> dict[str, float]:
        """Return what the history keeps: ratios, the largest share, N and M as they are and as they should be."""
        rows, trusted = self.wanted() or (math.nan, math.nan)
        found = {"gsnr": self.gsnr, "gsnr_rows": self.gsnr_rows, "largest_share": self.largest_share}
        found |= {"batch_rows": self.num_rows, "trusted_rows": self.num_trusted}
        found |= {"rows_there": self.rows_there, "trusted_there": self.trusted_there}
        return found | {"rows_wanted": float(rows), "trusted_wanted": float(trusted)}

    @staticmethod
    def of_history(columns: Mapping[str, np.ndarray], part: slice, counts: np.ndarray | None = None) -> Noise:
        """Return the noise of a part of a training (medians of both ratios), in units of its signal.

        A point counts as much as `counts` (k,) says, all alike if it is not given.
        """
        names = ("batch_rows", "trusted_rows", "largest_share", "rows_there", "trusted_there")
        n, m, *others = (float(columns[name][part][-1]) for name in names)
        both, alone = (median(columns[name][part], counts) for name in ("gsnr", "gsnr_rows"))
        if not both > 0:
            return Noise(0.0, 1.0, 0.0, n, m, *others)
        return Noise(1.0, n / alone, max(m * (1 / both - 1 / alone), 0.0), n, m, *others)

    def sentence(self, effective: float = math.inf) -> str:
        """Say it in words; `effective` is the effective batch, a small one of which spoils the ratio."""
        return self._in_words() if effective >= FEW_EFFECTIVE else f"{self._in_words()} {self.warning(effective)}"

    @staticmethod
    def warning(effective: float) -> str:
        """Say what a small effective batch does to the ratio."""
        return (
            f"That ratio alone misleads while the effective batch is {effective:.2g}, below {FEW_EFFECTIVE}: few rows "
            "have all the weight, and agree with themselves. Raise the objective's fraction or strength first."
        )

    def _in_words(self) -> str:
        if self.wanted() is None:
            return f"No signal shows in the meta-gradient from {self.seen}: {self.advice()}."
        return f"The meta-gradient has a signal-to-noise ratio of {self.ratio()} {self.advice()}."

    @property
    def seen(self) -> str:
        """How many rows a step has."""
        return f"{self.num_rows:,.0f} rows and {self.num_trusted:,.0f} trusted rows a step"

    def ratio(self) -> str:
        """Return the ratio, and a sentence on where the noise comes from."""
        of_trusted, of_rows = self.trusted / self.num_trusted, self.rows / self.num_rows
        part = max(of_trusted, of_rows) / max(of_trusted + of_rows, 1e-300)
        source = "trusted rows" if of_trusted > of_rows else "training rows"
        told = "nearly all" if part >= 0.995 else f"{100 * part:.0f} %"
        return f"{in_digits(self.gsnr)} from {self.seen}; {told} of the noise comes from the {source}."

    def advice(self) -> str:
        """Return what would raise the ratio to `WANTED`; never more rows than there are."""
        found, is_hidden = self.reachable(), self.wanted() is None
        if found is not None:
            rows = f"{_told(found[0], self.rows_there, 'row')} and {_told(found[1], self.trusted_there, 'trusted row')}"
            rows = rows if rows.startswith("all") else f"about {rows}"
            if self.gsnr >= WANTED:
                return f"A ratio of {WANTED:g} would take {rows} a step, no more"
            return f"For a ratio of {WANTED:g} take {rows} a step"
        if self.num_rows >= self.rows_there and self.num_trusted >= self.trusted_there:
            if is_hidden:
                return "these are all there are, so only more data or more telling features could help"
            return "These are all there are, so only more data could lower the noise"
        if is_hidden:
            return "use larger batches, or more telling features"
        rows = "any number of" if math.isinf(self.rows_there) else f"all {self.rows_there:,.0f}"
        trusted = "any number of" if math.isinf(self.trusted_there) else f"{self.trusted_there:,.0f}"
        return (
            f"Even {rows} rows and {trusted} trusted rows that there are would not give a ratio of {WANTED:g}, though "
            "they would raise it"
        )


def median(values: np.ndarray, counts: np.ndarray | None) -> float:
    """Return the median of values (k,), each of which counts as much as `counts` (k,) says."""
    if counts is None or not counts.sum() > 0:
        return float(np.median(values))
    order = np.argsort(values)
    below = np.cumsum(counts[order])
    return float(values[order][np.searchsorted(below, 0.5 * below[-1])])


def _rows_for(variance: float, allowed: float) -> float:
    """Fewest rows whose noise is no more than what is allowed."""
    if allowed <= 0:
        return math.inf
    return float(max(math.ceil(variance / allowed), 1))


def in_digits(value: float) -> str:
    """A number to two digits, which is what a measured ratio is good for, without powers of ten."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _told(count: float, there: float, what: str) -> str:
    """A number of rows in words."""
    if count >= there:
        return f"all {there:,.0f} {what}s"
    digits = in_digits(count) if float(f"{count:.2g}") <= there else f"{count:,.0f}"  # never more than there are
    return f"{digits} {what}{'s' * (count != 1)}"
