"""`check`: everything that is odd about a loaded data set, worst first."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from synthsift.check.categories import lacking_levels, new_levels
from synthsift.check.classes import few_real_rows, label_shift, lacking_classes
from synthsift.check.columns import constant_columns, frozen_columns, nonfinite_values
from synthsift.check.contents import all_contents
from synthsift.check.copies import (
    generator_saw,
    near_test_copies,
    real_copies,
    repeats,
    test_copies,
    validation_copies,
)
from synthsift.check.fitted import equal_means, fitted_on_judged, means_of_sources
from synthsift.check.models import contradicted_labels, obvious_sources
from synthsift.check.spreads import other_spreads
from synthsift.check.texts import named_labels
from synthsift.numerics.overlap import Nearness
from synthsift.records import Finding, Loaded, Mixture
from synthsift.represent.encoding import Encoded, encode
from synthsift.seeds import Seeds


def check(
    loaded: Loaded,
    seeds: Seeds,
    *,
    saw: str = "unknown",
    encoded: Encoded | None = None,
    compare_means: Callable[[Mixture, np.ndarray], Mapping[str, Nearness]] = means_of_sources,
) -> tuple[Finding, ...]:
    """Look for everything that could make a training on these rows, or its judgment, go wrong.

    Parameters
    ----------
    loaded : Loaded
        With at least one synthetic row. Findings of the loader are kept.
    seeds : Seeds
        Decide folds, and rows that are drawn where there are many.
    saw : {"unknown", "none", "train", "all"}
        Real rows that the generator was trained on.
    encoded : Encoded, optional
        Vectors of all rows if they are known already.
    compare_means : callable
        What `means_of_sources` does; another one knows them already, or names relatives first.

    Returns
    -------
    tuple of Finding
        Errors first, then warnings, then notes; by code within each. Every code has a section in docs/findings.md.
    """
    mixture = loaded.mixture
    broken = nonfinite_values(loaded)
    found = [*loaded.findings, broken, generator_saw(mixture, saw)]
    found += [label_shift(mixture), lacking_classes(mixture), few_real_rows(mixture)]
    if broken is None:
        encoded = encode(loaded) if encoded is None else encoded
        parts, means = all_contents(loaded, encoded, seeds), compare_means(mixture, encoded.rows)
        found += [test_copies(loaded), near_test_copies(parts), validation_copies(parts)]
        found += [real_copies(parts), repeats(parts), constant_columns(mixture), frozen_columns(mixture)]
        found += [
            obvious_sources(mixture, encoded.rows, parts, seeds),
            contradicted_labels(mixture, encoded.rows, seeds),
            fitted_on_judged(means),
            equal_means(means),
        ]
        found += [named_labels(mixture, seeds), new_levels(mixture), lacking_levels(mixture), other_spreads(mixture)]
    return worst_first(finding for finding in found if finding is not None)


def worst_first(findings: object) -> tuple[Finding, ...]:
    """Sort findings by severity, then by code."""
    return tuple(sorted(findings, key=lambda finding: (-finding.severity.value, finding.code)))  # type: ignore
