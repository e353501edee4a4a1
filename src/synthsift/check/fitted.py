"""Sources whose means are too close to those of the rows that judge (SS154), or the very same (SS155)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthsift.numerics.overlap import Nearness, judges, nearness
from synthsift.records import Finding, Mixture, Severity

LEVEL = 1e-3  # chance that any of the sources is named although its generator saw none of the rows


def means_of_sources(mixture: Mixture, rows: np.ndarray) -> dict[str, Nearness]:
    """Compare the means of every source with those of the real rows.

    Rows with relatives among the real ones are left out: these leave the splits that judge their relatives.

    Parameters
    ----------
    mixture : Mixture
        With copies as children of real rows (``splits.name_relatives``), or they count.
    rows : ndarray (n, d)
        Encoded rows, in the order of ``mixture.ids``.

    Returns
    -------
    dict of str to Nearness
        By name of the source.
    """
    real, family = ~mixture.is_synth, mixture.family
    strangers = mixture.is_synth & ~np.isin(family, np.unique(family[real]))
    if not strangers.any():
        return {}
    prepared = judges(rows[real], mixture.y[real], rows[strangers], mixture.y[strangers])
    found = {}
    for name in np.unique(mixture.source[strangers]).tolist():
        mine = strangers & (mixture.source == name)
        found[str(name)] = nearness(prepared, rows[mine], mixture.y[mine])
    return found


def fitted_sources(means: Mapping[str, Nearness]) -> dict[str, Nearness]:
    """Return the sources that lie closer to the real rows than a generator can that has not seen them."""
    return {name: near for name, near in means.items() if near.p_value < LEVEL / len(means)}


def fitted_on_judged(means: Mapping[str, Nearness]) -> Finding | None:
    """SS154: the means of a source are closer to those of the real rows than sampling allows."""
    found = fitted_sources(means)
    if not found:
        return None
    told = [f"{name}: {near.ratio:.2g} (p = {near.p_value:.1g})" for name, near in found.items()]
    return Finding(
        "SS154",
        Severity.warning,
        "Generator fitted on the judged rows",
        "Squared distance of the means from those of the real rows, as a multiple of what it would be for a generator "
        f"that has not seen them: {'; '.join(told)}.",
        "Its rows carry what is particular to the real rows that judge, so every gain on these rows is optimistic.",
        "Give --parent if it is known which row a synthetic one was made from; else fit the generator on one part of "
        "the real rows and give only the other part. If it cannot have seen them (rows drawn to given totals, columns "
        "scaled file by file), --generator-saw none keeps the verdict.",
    )


def equal_means(means: Mapping[str, Nearness]) -> Finding | None:
    """SS155: columns of a source have the very means of the real rows."""
    found = {name: near.equal for name, near in means.items() if near.equal}
    if not found:
        return None
    ranked = sorted(found.items(), key=lambda item: -item[1])
    told = "; ".join(f"{name}: {count:,} column{'s' * (count > 1)}" for name, count in ranked[:5])
    return Finding(
        "SS155",
        Severity.warning,
        "The means of the real rows, exactly",
        f"{told}{f'; and {len(ranked) - 5:,} more sources' if len(ranked) > 5 else ''} with the same mean as the real "
        "rows, closer than a hundredth of what chance leaves between them.",
        "Files that were scaled each by itself look like this. The same value then means different things in real and "
        "synthetic rows, a shift between them is hidden, and a new row cannot be scaled alike. Rows that were drawn or "
        "adjusted to the totals of the real ones look like it, too.",
        "Scale all files by the constants of the real training rows, or give them unscaled: scaling is done here.",
        {name: f"{count:,} column{'s' * (count > 1)}" for name, count in ranked},
    )
