"""`demo`: the main job on data that comes with the package, settings fixed beforehand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from synthsift.cli.console import Console
from synthsift.cli.run import execute
from synthsift.cli.settings import RunSettings
from synthsift.data.spec import DataSpec
from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.studies.digits import DemoData, write_demo_files

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
    code = execute(RunSettings(data=spec, **SETTINGS), out / "run", console, overwrite=overwrite)  # type: ignore[arg-type]
    if code == 0:
        sys.stdout.write(_found(out / "run", files.planted) + "\n")
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


def _found(run: Path, planted: Path) -> str:
    """Say how well the learned weights separate the planted bad rows from the good ones."""
    import pyarrow.parquet as pq
    from sklearn.metrics import roc_auc_score

    table = pq.read_table(run / "weights.parquet", columns=["split", "row", "learned_weight"]).to_pydict()
    synth = np.array(table["split"]) == "synthetic"
    order = np.argsort(np.array(table["row"])[synth])
    weight = np.array(table["learned_weight"])[synth][order]
    bad = np.load(planted)["bad"].astype(bool)
    lowest = np.argsort(weight, kind="stable")[: bad.sum()]
    return (
        f"{bad.sum()} of the {len(bad)} rendered digits were spoiled on purpose. Of the {bad.sum()} with the lowest "
        f"learned weight, {int(bad[lowest].sum())} are spoiled ones ({bad.sum() * bad.mean():.0f} by chance); "
        f"AUROC {roc_auc_score(~bad, weight):.3f}."
    )
