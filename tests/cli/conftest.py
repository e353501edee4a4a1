from __future__ import annotations

from collections.abc import Iterator

import pytest

from synthsift.report import render


@pytest.fixture(scope="module")
def no_pictures() -> Iterator[None]:
    """Leave the pictures out of reports: drawing takes longer than a small run, and has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "draw_figures", lambda report: {})
        yield
