"""`demo`: the main job on data that comes with the package, settings fixed beforehand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from synthsift.cli.console import Console
from synthsift.cli.run import execute
from synthsift.cli.settings import RunSettings
from synthsift.data.spec import DataSpec
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.digits import DemoData, write_demo_files
from synthsift.writing import write_json

PLANTED = "planted.json"
SETTINGS = {"num_seeds": 2, "first_seed": 0, "budget_minutes": 0.6, "metric": "accuracy"}


def execute_demo(out: Path, console: Console, *, overwrite: bool = False) -> int:
    """Render the digits, run the main job on them, and say how many planted bad rows the learned weights found.

    Raises
    ------
    DataError
        If `out` holds something else than an earlier demo.
    """
    _refuse_foreign(out)
    console.say("Rendering digits from fonts ...")
    files = write_demo_files(out / "data", Seeds(0))
    spec = DataSpec(
        real=(str(files.real),), valid=str(files.valid), test=str(files.test), synthetic=(f"rendered={files.rendered}",)
    )
    settings = RunSettings(data=spec, **SETTINGS)  # type: ignore[arg-type]
    code = execute(
        settings, out / "run", console, overwrite=overwrite, before_report=lambda run: _count(run, files.planted)
    )
    if code == 0:
        sys.stdout.write(_told(json.loads((out / "run" / PLANTED).read_text(encoding="utf-8"))) + "\n")
    return code


def _refuse_foreign(out: Path) -> None:
    """Refuse a folder with files that are none of a demo; nothing is touched."""
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file and a folder is needed for the demo. Choose another --out.")
    wanted = {out / "data", out / "run", *((out / "data") / f"{name}.npz" for name in DemoData._fields)}
    found = [*out.glob("*"), *(out / "data").glob("*")]
    foreign = sorted(path.name for path in found if path not in wanted)
    if foreign:
        raise DataError(
            f"{out} holds files that are none of a demo ({', '.join(foreign[:3])}). A new or empty folder is needed; "
            "nothing was touched. Choose another --out."
        )


def _count(run: Path, planted: Path) -> None:
    """Write into the run folder how well the learned weights separate the planted bad rows from the good ones."""
    if (run / PLANTED).exists():
        return
    import pyarrow.parquet as pq
    from sklearn.metrics import roc_auc_score

    table = pq.read_table(run / "weights.parquet", columns=["id", "split", "row", "learned_weight"]).to_pydict()
    synth = np.array(table["split"]) == "synthetic"
    order = np.argsort(np.array(table["row"])[synth])
    weight, ids = (np.array(table[name])[synth][order] for name in ("learned_weight", "id"))
    known = np.load(planted)
    bad, why = known["bad"].astype(bool), known["why"]
    is_low = np.zeros(len(bad), dtype=bool)
    is_low[np.argsort(weight, kind="stable")[: bad.sum()]] = True
    kinds, sizes = np.unique(why[bad], return_counts=True)
    write_json(
        run / PLANTED,
        {
            "what": "rendered digits",
            "num_rows": len(bad),
            "num_bad": int(bad.sum()),
            "found": int((bad & is_low).sum()),
            "by_chance": float(bad.sum() * bad.mean()),
            "auroc": float(roc_auc_score(~bad, weight)),
            "kinds": [
                {"why": str(kind), "rows": int(size), "found": int((is_low & (why == kind)).sum())}
                for kind, size in sorted(zip(kinds, sizes, strict=True), key=lambda pair: -pair[1])
            ],
            "why": {str(name): str(reason) for name, reason in zip(ids[bad], why[bad], strict=True)},
        },
    )


def _told(planted: dict[str, Any]) -> str:
    """The count in one sentence."""
    return (
        f"{planted['num_bad']} of the {planted['num_rows']} {planted['what']} were spoiled on purpose. Of the "
        f"{planted['num_bad']} with the lowest learned weight, {planted['found']} are spoiled ones "
        f"({planted['by_chance']:.0f} by chance); AUROC {planted['auroc']:.3f}."
    )
