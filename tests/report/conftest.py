from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_run import write_fake_run

from synthsift.report import collect, render
from synthsift.report.figures import draw_figures


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in a folder whose name is hostile too; never written to."""
    return write_fake_run(tmp_path_factory.mktemp("report") / "a <b>run</b>")


@pytest.fixture(scope="session")
def report(run: Path) -> dict[str, Any]:
    return collect(run)


@pytest.fixture(scope="session")
def figures(report: dict[str, Any]) -> dict[str, dict[str, str]]:
    """All pictures; drawing them takes longer than everything else, so it is done once."""
    return draw_figures(report)


@pytest.fixture(scope="session")
def page_text(report: dict[str, Any], figures: dict[str, dict[str, str]]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "draw_figures", lambda report: figures)
        return render.render_html(report)
