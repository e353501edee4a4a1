"""`plan mixing` and `plan collapse`: predictions from numbers, from files or from a run, printed and written."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from synthsift.data.spec import DataSpec
from synthsift.records import DataError
from synthsift.writing import to_plain, write_json, write_text

OURS = ("plan.json", "plan.svg")


@dataclass(frozen=True)
class PlanOutput:
    """Where a plan goes.

    Parameters
    ----------
    out : Path, optional
        Folder for plan.json and the figures.
    as_json, quiet : bool
        Print JSON, or the advice only.
    """

    out: Path | None = None
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class PlanSource:
    """Where the inputs of a plan come from: a run, files, or (with neither) numbers.

    Parameters
    ----------
    run : Path, optional
    spec : DataSpec
    positive : str, optional
        Class that is +1.
    audit : Path, optional
        audited.csv with columns right and kept.
    """

    run: Path | None = None
    spec: DataSpec = field(default_factory=DataSpec)
    positive: str | None = None
    audit: Path | None = None

    @property
    def kind(self) -> str:
        """One of "run", "files" and "numbers"."""
        if self.run is not None:
            return "run"
        return "files" if self.spec.real or self.spec.data else "numbers"

    def refuse_mixed(self, numbers: Mapping[str, Any]) -> None:
        """Refuse numbers that the rows say themselves, and two places to read from.

        Raises
        ------
        DataError
            If both are given.
        """
        if self.run is not None and (self.spec.real or self.spec.data or self.spec.synthetic):
            raise DataError("a RUN and data files are both given; give one of them")
        if self.kind == "numbers" and self.spec.synthetic:
            raise DataError("--synthetic is given without --real; the plan needs real rows too, or numbers only")
        given = [name for name, value in numbers.items() if value is not None]
        if self.kind != "numbers" and given:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise DataError(f"{flags} is measured from the rows; drop it, or plan from numbers without rows")


def execute_plan_mixing(source: PlanSource, numbers: Mapping[str, Any], output: PlanOutput) -> int:
    """Compute and show a mixing plan.

    Raises
    ------
    DataError
        For anything wrong with the input.
    """
    from synthsift.cli.plan_sources import mixing_report

    _refuse_foreign(output.out)
    with threadpool_limits(1):
        report = mixing_report(source, numbers)
    return _show(report, output)


def execute_plan_collapse(source: PlanSource, numbers: Mapping[str, Any], output: PlanOutput) -> int:
    """Compute and show a collapse plan.

    Raises
    ------
    DataError
        For anything wrong with the input.
    """
    from synthsift.cli.plan_collapse_sources import collapse_report

    _refuse_foreign(output.out)
    with threadpool_limits(1):
        report = collapse_report(source, numbers)
    return _show(report, output)


def _show(report: Mapping[str, Any], output: PlanOutput) -> int:
    """Write the folder, then print."""
    if output.out is not None:
        _write(report, output.out)
    if output.as_json:
        sys.stdout.write(json.dumps(to_plain(report), ensure_ascii=False, indent=1) + "\n")
        return 0
    from rich.console import Console

    from synthsift.report.plan_table import plan_table

    if not output.quiet:
        Console().print(plan_table(report))
        if report.get("subject"):
            _say(report["subject"])
            sys.stdout.write("\n")
    for sentence in report["sentences"]:
        _say(sentence, "- ")
    _say(report["check"]["sentence"], "\n")
    if report.get("beside_verdict"):
        _say(report["beside_verdict"])
    for title in () if output.quiet else ("notes", "assumptions"):
        if report[title]:
            sys.stdout.write(f"\n{title.capitalize()}:\n")
            for line in report[title]:
                _say(line, "  - ")
    if output.out is not None:
        sys.stdout.write(f"\nWritten: {output.out / 'plan.json'} and {output.out / 'plan.svg'}\n")
    return 0


def _say(line: str, lead: str = "") -> None:
    """Print a line of the plan: names of the user's cannot move the cursor, and minus is the sign every screen has."""
    from synthsift.report.wording import MINUS, one_line

    sys.stdout.write(f"{lead}{one_line(line).replace(MINUS, '-')}\n")


def _write(report: Mapping[str, Any], out: Path) -> None:
    """plan.json and the figures, each whole or not at all."""
    from synthsift.report.plan_figures import draw_plan

    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "plan.svg", draw_plan(report))
    write_json(out / "plan.json", report)


def _refuse_foreign(out: Path | None) -> None:
    """Refuse to write a plan among other files."""
    if out is None or not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"--out {out} is a file; name a folder for the plan")
    foreign = sorted(path.name for path in out.iterdir() if path.name not in OURS)
    if foreign:
        raise DataError(f"--out {out} holds other files ({', '.join(foreign[:3])}); name a new folder for the plan")
