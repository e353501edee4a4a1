"""Sources whose generator was fitted on the rows that judge (SS154)."""

from __future__ import annotations

import numpy as np

from synthsift.numerics.overlap import Nearness, nearness
from synthsift.records import Finding, Mixture, Severity

LEVEL = 1e-3  # chance that any of the sources is named although its generator saw none of the rows


def fitted_sources(mixture: Mixture, rows: np.ndarray) -> dict[str, Nearness]:
    """Return the sources that lie closer to the real rows than a generator can that has not seen them.

    Rows with relatives among the real ones are left out: these leave the splits that judge their relatives.

    Parameters
    ----------
    mixture : Mixture
    rows : ndarray (n, d)
        Encoded rows, in the order of ``mixture.ids``.

    Returns
    -------
    dict of str to Nearness
        By name of the source; empty where none is that close.
    """
    real, family = ~mixture.is_synth, mixture.family
    strangers = mixture.is_synth & ~np.isin(family, np.unique(family[real]))
    names = np.unique(mixture.source[mixture.is_synth])
    found = {}
    for name in names.tolist():
        mine = strangers & (mixture.source == name)
        near = nearness(rows[real], mixture.y[real], rows[mine], mixture.y[mine])
        if near.p_value < LEVEL / len(names):
            found[str(name)] = near
    return found


def fitted_on_judged(mixture: Mixture, rows: np.ndarray) -> Finding | None:
    """SS154: the means of a source are closer to those of the real rows than sampling allows."""
    found = fitted_sources(mixture, rows)
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
        "the real rows and give only the other part.",
    )
