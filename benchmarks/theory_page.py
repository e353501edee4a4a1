"""docs/results/theory.md and its figures, from docs/results/theory-*.parquet; `benchmarks.tables` writes and checks them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.theory_cases import AFTERWARDS, REPORTED, fingerprint
from benchmarks.theory_page_collapse import collapse_section, draw_collapse
from benchmarks.theory_page_mixing import draw_mixing, mixing_section
from benchmarks.theory_page_text import draw_text, text_section
from benchmarks.theory_settings import section
from synthsift.studies.reproduction import Rebuilt, draw_files

RESULTS = Path(__file__).parents[1] / "docs" / "results"
HEAD = """# Does the theory predict trained models?

Written by `python -m benchmarks.tables` from `docs/results/theory-*.parquet`; `make results-check` compares. The cases and the
goals (`benchmarks/theory_cases.py`, hash `{hash}`) were committed before the first run; development used other digit pairs,
other classes and seeds below 100; nothing is refitted. Seeds from 1000 on; {cells} of {all_cells} cells ran ({minutes:.0f} CPU minutes).
"""
NOTES = """## What these numbers are not

- The mixing cases know the label noise, and the verifier as a function that can be run on a pilot batch; a user who audits
  100 rows adds the uncertainty of the audit, which `plan` shows as an interval.
- `planned` measures class mean and spectrum on the training rows alone (40 to 250 of them) and takes the features for Gaussian:
  on texts, whose features are anything but, it is far off. Use the form that keeps the user's rows (`predict_on_points`).
- MNIST's test images are rows of the training file that nothing else saw; the inputs of the collapse part are its first 100
  principal components.
- Networks and language models are tiny: sized for two cores and minutes. A longer run would add seeds (three do not pin a
  difference below about .01 nats), more characters than 800,000 (a floor shows only where the real-only curve is below it), wider
  fractions below .01 (their floors lie under the noise here), and deeper models.
- Logistic regression is not the theory's model; its column shows how far a prediction for ridge carries.
"""


def load(part: str) -> pd.DataFrame | None:
    """Stored rows of a part, if there are any; rows of another list of cases are refused."""
    file = RESULTS / f"theory-{part}.parquet"
    if not file.exists():
        return None
    rows = pd.read_parquet(file)
    if set(rows["list"]) != {fingerprint(AFTERWARDS) if part == "rows" else fingerprint()}:
        raise SystemExit(f"{file.name} belongs to another list of cases; run python -m benchmarks.theory anew")
    return rows


SECTIONS: dict[str, tuple[Any, Any, tuple[float, float]]] = {
    "mixing": (mixing_section, draw_mixing, (10.0, 11.0)),
    "collapse": (lambda rows: collapse_section(rows, load("rows")), draw_collapse, (9.0, 7.0)),
    "text": (text_section, draw_text, (9.0, 3.8)),
}


def stored() -> dict[str, pd.DataFrame]:
    """Rows of every part that has been collected."""
    return {part: rows for part in SECTIONS if (rows := load(part)) is not None}


def document(found: dict[str, pd.DataFrame]) -> str:
    """The page."""
    cells = pd.concat([rows[["case", "seed", "seconds"]] for rows in found.values()]).drop_duplicates()
    head = HEAD.format(
        hash=fingerprint(),
        cells=len(cells),
        all_cells=sum(case.num_seeds for case in REPORTED),
        minutes=cells["seconds"].sum() / 60,
    )
    sections = ["\n".join(SECTIONS[part][0](rows)) for part, rows in found.items()]
    settings = "\n".join(section(RESULTS)).strip()
    return "\n\n".join([head.strip(), *sections, *([settings] if settings else []), NOTES.strip()]) + "\n"


def pages() -> dict[Path, str]:
    """The page and its figures by file; nothing without stored rows."""
    found = stored()
    if not found:
        return {}
    files = {RESULTS / "theory.md": document(found)}
    for part, rows in found.items():
        _, draw, size = SECTIONS[part]
        drawn = Rebuilt(part, part, {}, lambda figure, draw=draw, rows=rows: draw(figure, rows), size)
        files[RESULTS / f"theory-{part}.svg"] = draw_files(drawn, ("svg",))["svg"].decode()
    return files
