"""Label noise and verifier quality from a small audited sample, with the uncertainty that a small sample has.

Somebody looks at K synthetic rows, taken before verification, and writes down whether the label is right and whether
the verifier would keep the row: eps = wrong/K, phi = kept and right/right, rho = kept and wrong/wrong. Their
uncertainty is that of independent Beta posteriors with a uniform prior, Beta(wrong + 1, right + 1) and so on; all
predictions are pushed through draws from them.

Equations (77), (78) of docs/methods/theory.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta

from synthsift.records import DataError
from synthsift.seeds import Seeds, as_seeds
from synthsift.theory.measure import Estimate

RATES = ("label_noise", "keep_right", "keep_wrong")


@dataclass(frozen=True)
class Audit:
    """Counts of an audited sample of synthetic rows, taken before verification.

    Parameters
    ----------
    kept_right, dropped_right, kept_wrong, dropped_wrong : int
        Rows by what the verifier did and whether the label is right.
    has_verifier : bool
        False where nothing is verified: phi and rho are then 1 exactly, and all rows count as kept.
    """

    kept_right: int
    dropped_right: int
    kept_wrong: int
    dropped_wrong: int
    has_verifier: bool = True

    def __post_init__(self) -> None:
        counts = (self.kept_right, self.dropped_right, self.kept_wrong, self.dropped_wrong)
        if any(isinstance(count, bool) or count != int(count) or count < 0 for count in counts):
            raise DataError(f"the audit counts are {counts}; whole numbers of at least 0 are needed")
        if sum(counts) == 0:
            raise DataError("no row was audited; look at 100 synthetic rows and note right and kept for each")
        if not self.has_verifier and self.dropped_right + self.dropped_wrong:
            raise DataError("rows were dropped although there is no verifier; give kept for every row")

    @property
    def num_rows(self) -> int:
        """Rows audited."""
        return self.right + self.wrong

    @property
    def right(self) -> int:
        """Rows whose label is right."""
        return self.kept_right + self.dropped_right

    @property
    def wrong(self) -> int:
        """Rows whose label is wrong."""
        return self.kept_wrong + self.dropped_wrong

    def _counts(self, name: str) -> tuple[int, int]:
        """How often the event of rate `name` was seen, and how often not."""
        return {
            "label_noise": (self.wrong, self.right),
            "keep_right": (self.kept_right, self.dropped_right),
            "keep_wrong": (self.kept_wrong, self.dropped_wrong),
        }[name]

    def rate(self, name: str) -> Estimate:
        """Return eps ("label_noise"), phi ("keep_right") or rho ("keep_wrong") with its 95 % posterior interval.

        The value is the observed share; where nothing was observed (no wrong row says nothing about rho) it is the mean
        1/2 of the uniform prior, and a note says so.

        Raises
        ------
        DataError
            For another name.
        """
        if name not in RATES:
            raise DataError(f"the rate {name!r} is not known; known are {', '.join(RATES)}")
        if name != "label_noise" and not self.has_verifier:
            return Estimate(1.0, 1.0, 1.0, 0.0, self.num_rows, "there is no verifier: every row is kept")
        seen, unseen = self._counts(name)
        posterior = beta(seen + 1, unseen + 1)
        low, high = posterior.ppf([0.025, 0.975])
        of, note = seen + unseen, ""
        if of == 0:
            kind = "right" if name == "keep_right" else "wrong"
            note = f"no {kind} label was audited, so {name} is unknown: anything from 0 to 1; audit more rows"
        value = seen / of if of else 0.5
        return Estimate(value, float(min(low, value)), float(max(high, value)), float(posterior.std()), of, note)

    def draw_rates(self, num_draws: int, seeds: Seeds | int) -> dict[str, np.ndarray]:
        """Draw eps, phi and rho from their posteriors: name of the rate -> (num_draws,)."""
        node = as_seeds(seeds).child("audit")
        drawn = {}
        for name in RATES:
            if name != "label_noise" and not self.has_verifier:
                drawn[name] = np.ones(num_draws)
                continue
            seen, unseen = self._counts(name)
            drawn[name] = node.numpy(name).beta(seen + 1, unseen + 1, num_draws)
        return drawn

    @property
    def notes(self) -> tuple[str, ...]:
        """What the counts cannot tell."""
        found = [note for note in (self.rate(name).note for name in RATES) if note and self.has_verifier]
        if self.has_verifier and self.dropped_right + self.dropped_wrong == 0:
            found.append(
                "every audited row was kept; if the audit looked at kept rows only, eps, phi and rho cannot be told "
                "apart: audit rows before verification"
            )
        if self.has_verifier and self.kept_right + self.kept_wrong == 0:
            found.append("no audited row was kept: the verifier may keep nothing at all")
        return tuple(found)


def count_audit(right: ArrayLike, kept: ArrayLike | None = None) -> Audit:
    """Count an audited sample.

    Source: docs/methods/theory.md, eq. (77); textbook.

    Parameters
    ----------
    right : array_like (k,)
        1 or True where the label is right, 0 or False where it is wrong.
    kept : array_like (k,), optional
        1 where the verifier keeps the row; None means that there is no verifier.

    Raises
    ------
    DataError
        For other values, lengths that differ, or no rows.

    Examples
    --------
    >>> audit = count_audit([1] * 80 + [0] * 20, [1] * 72 + [0] * 8 + [1] * 6 + [0] * 14)
    >>> [round(audit.rate(name).value, 2) for name in RATES]
    [0.2, 0.9, 0.3]
    """
    is_right = _as_flags(right, "right")
    is_kept = np.ones(len(is_right), dtype=bool) if kept is None else _as_flags(kept, "kept")
    if len(is_right) != len(is_kept):
        raise DataError(f"right has {len(is_right)} rows but kept has {len(is_kept)}; give both for every audited row")
    kept_right, dropped_right = int((is_right & is_kept).sum()), int((is_right & ~is_kept).sum())
    kept_wrong, dropped_wrong = int((~is_right & is_kept).sum()), int((~is_right & ~is_kept).sum())
    return Audit(kept_right, dropped_right, kept_wrong, dropped_wrong, has_verifier=kept is not None)


def rates_from_precision(precision: float, recall: float, label_noise: float) -> tuple[float, float]:
    """Return (phi, rho) of a verifier known by precision and recall: phi = r, rho = phi (1 - eps)/eps (1 - P)/P.

    Precision is the share of right labels among the rows it keeps, recall the share of right labels that it keeps.

    Source: docs/methods/theory.md, eq. (78); derived there.

    Raises
    ------
    DataError
        For values outside [0, 1], a precision of 0, no wrong labels, or a combination that no verifier has (rho > 1).
    """
    for name, value in (("precision", precision), ("recall", recall), ("label_noise", label_noise)):
        if not 0 <= value <= 1:
            raise DataError(f"{name} is {value!r}; it must be between 0 and 1")
    if precision == 0 or label_noise == 0:
        raise DataError("keep_wrong does not follow from a precision of 0 or without wrong labels; give it instead")
    keep_wrong = recall * (1 - label_noise) / label_noise * (1 - precision) / precision
    if keep_wrong > 1 + 1e-12:
        raise DataError(
            f"precision {precision:g} and recall {recall:g} at label noise {label_noise:g} mean keep_wrong = "
            f"{keep_wrong:.3g} > 1; no verifier does that, one of the numbers was measured on other rows"
        )
    return recall, min(keep_wrong, 1.0)


def _as_flags(values: ArrayLike, name: str) -> np.ndarray:
    """Booleans (k,), or what is wrong with the column."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"{name} has shape {array.shape}; give one value a row")
    bad = ~np.isin(array, (0, 1)) if array.dtype.kind in "biuf" else np.ones(len(array), dtype=bool)
    if bad.any():
        raise DataError(f"{name} holds {array[bad][0]!r}; only 1 (yes) and 0 (no) are understood")
    return array.astype(bool)
