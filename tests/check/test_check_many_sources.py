"""Many sources of few rows: none is blamed for being small, and the time does not grow without end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planted import changed, clean

import synthsift.check.models as models
from synthsift.check.columns import frozen_columns
from synthsift.check.contents import all_contents
from synthsift.check.models import MAX_SOURCES, obvious_sources
from synthsift.records import Loaded
from synthsift.represent.encoding import encode
from synthsift.seeds import Seeds


def many_sources(num: int, each: int, more: int = 0) -> Loaded:
    """Sources s0, s1, ... of the law of the real rows; the last one has `more` rows more."""
    source = np.minimum(np.arange(num * each + more) // each, num - 1)
    return changed(clean(num_synth=len(source)), "synth", source=np.array([f"s{k}" for k in source], dtype=object))


def frozen(loaded: Loaded, name: str) -> str:
    """What SS146 says when column 5 of a source holds a value that no real row has."""
    rows = (loaded.mixture.synth.source == name)[:, None] & (np.arange(8) == 5)
    finding = frozen_columns(changed(loaded, "synth", x=lambda x: np.where(rows, 0.5, x)).mixture)
    return "" if finding is None else finding.seen


def test_a_single_row_freezes_no_column() -> None:
    """Any value of a row alone is a single one that no real row has, if columns are continuous."""
    assert frozen_columns(many_sources(1, 1).mixture) is None and frozen_columns(many_sources(60, 1).mixture) is None


def test_the_more_sources_the_more_rows_it_takes_to_freeze_a_column() -> None:
    """One in 181, the share of a value that none of 180 real rows has, is squared: 3e-5, over 8 columns 2e-4."""
    told = "of 8 columns s0 has 1 with a single value ('5')"
    assert told in frozen(many_sources(1, 2), "s0")
    assert frozen(many_sources(60, 2), "s0") == "" and told in frozen(many_sources(60, 3), "s0")


def test_only_the_largest_sources_are_told_from_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(loaded: Loaded) -> str:
        finding = obvious_sources(
            loaded.mixture, encode(loaded).rows, all_contents(loaded, encode(loaded), Seeds(0)), Seeds(0)
        )
        assert finding is not None
        return finding.seen

    sizes: list[int] = []

    def certain(rows: np.ndarray, family: np.ndarray, real: np.ndarray, made: np.ndarray, seeds: Any) -> float:
        sizes.append(len(made))
        return 1.0

    monkeypatch.setattr(models, "_origin_auc", certain)
    assert f"; only the {MAX_SOURCES} largest of 40 sources)" in found(many_sources(40, 100, more=50))
    assert len(sizes) == MAX_SOURCES and sizes[0] == 150 and set(sizes[1:]) == {100}
    assert "largest" not in found(many_sources(MAX_SOURCES, 100)) and len(sizes) == 2 * MAX_SOURCES
