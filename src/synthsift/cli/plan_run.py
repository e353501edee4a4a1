"""plan.json of a run: what more of its synthetic data would do, from its own rows.

As `plan mixing RUN` without flags, so that both give the same numbers, but without the search for a ridge. A run
without an audit does not know how many labels are wrong, so that verifiers are not compared; `plan mixing RUN --audit`
does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthsift.cli.plan_columns import column_notes
from synthsift.cli.plan_mixing import MixingAsk
from synthsift.cli.plan_rows import mixture_rows
from synthsift.cli.plan_sources import rows_report
from synthsift.compare import Study
from synthsift.records import DataError, concat_x
from synthsift.seeds import Seeds
from synthsift.writing import write_json


def write_plan(path: Path, study: Study) -> None:
    """Write plan.json into the run folder: the plan, or the reason why the theory does not apply."""
    write_json(path / "plan.json", plan_of(study))


def plan_of(study: Study) -> dict[str, Any]:
    """Return the small plan of a comparison's rows; ``reason`` in place of ``curves`` where there is none."""
    mixture = study.mixture
    try:
        notes = column_notes(concat_x([part.x for part in mixture.parts if len(part)]), mixture.is_synth)
        rows = mixture_rows(study.embedding, mixture.y, mixture.is_synth, mixture.classes, notes=notes)
        ask = MixingAsk(knows_noise=False, num_synth=float(len(rows.t)), retune=False)
        seeds = Seeds(0).child("plan mixing")  # that of the command, whatever the seed of the run
        return rows_report(rows, ask, seeds, {}, kind="run")
    except (DataError, ArithmeticError) as error:
        return {"schema": 1, "plan": "mixing", "curves": None, "reason": f"{error}."}
