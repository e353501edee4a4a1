"""The report's dictionary to a page, to Markdown or to JSON; all three say the same."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthsift.records import DataError
from synthsift.report import wording
from synthsift.report.collect import collect
from synthsift.report.curves import curve_meanings, explain_curves
from synthsift.report.figures import draw_figures
from synthsift.report.gainplots import MIN_ROWS, large_groups
from synthsift.report.glossary import FEATURES, policy_meaning
from synthsift.report.reasons import PLURAL, claims_beside_test, doubted_sources, subset_words, why_policy
from synthsift.report.snippets import write_snippets
from synthsift.report.trainplots import main_inputs, share_words, trend_words

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
MAX_ROWS = 40
MAX_SUBSETS = 100  # classes or groups in a table
MAX_HEAT_CLASSES = 12
MAX_OPEN = 4
HARMFUL = "the 95 % interval of the gain from using all synthetic rows lies below 0"
EVIDENCE = {
    "proven": "the 95 % interval of its gain over real data alone lies above 0, with choosing and judging kept apart",
    "likely": "the 95 % interval of its gain in log-loss lies above 0; the one in the metric does not",
    "unproven": "no interval lies above 0: this is the best bet, not a proven gain",
}
# A colon matters before a slash only: a bare address would become a link.
MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>#|~$&@]|:(?=/))")


def write_report(run: Path | str) -> Path:
    """Rebuild report.html of the run in folder `run`, atomically.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    DataError
        If there is no finished run in the folder, a file of it is damaged, or the page cannot be written.
    """
    page = Path(run) / "report.html"
    _replace(page, render_html(collect(run)).encode("utf-8", "replace"))
    return page


def render_html(report: Mapping[str, Any]) -> str:
    """Return one self-contained page: no script, nothing fetched, dark and light, every name of the user's escaped."""
    from markupsafe import Markup

    environment = _environment(autoescape=True)
    environment.finalize = _html_safe
    environment.filters["code"] = lambda text: Markup("<pre><code>{}</code></pre>").format(wording.printable(text))
    for name in ("prose", "weight"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["policy"] = lambda name: Markup("+<wbr>").join(wording.one_line(name, 60).split("+"))
    figures = {name: {form: Markup(svg) for form, svg in forms.items()} for name, forms in draw_figures(report).items()}
    style = Markup((TEMPLATES / "report.css").read_text("utf-8"))
    return environment.get_template("report.html.j2").render(_context(report), figures=figures, style=style)


def render_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown without pictures."""
    from markupsafe import Markup

    environment = _environment(autoescape=False)
    environment.finalize = _markdown_safe
    environment.filters["code"] = lambda text: Markup(_fenced(wording.printable(text)))
    return environment.get_template("report.md.j2").render(_context(report))


def render_json(report: Mapping[str, Any]) -> str:
    """Return the report's dictionary as JSON."""
    return json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _environment(*, autoescape: bool) -> Environment:
    """Templates with the filters that turn numbers into words."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("one_line", "title", "points", "signed", "interval", "percent", "count", "measured", "setting"):
        environment.filters[name] = getattr(wording, name)
    environment.tests["known"] = wording.is_number
    return environment


def _html_safe(value: Any) -> Any:
    """Whatever a template prints, without control characters; text is escaped by the template afterwards."""
    return value if hasattr(value, "__html__") else wording.printable(value)


def _markdown_safe(value: Any) -> str:
    """Whatever a template prints, on one line and with every sign that Markdown or HTML would act on escaped."""
    if hasattr(value, "__html__"):
        return str(value)
    return MARKDOWN_SIGNS.sub(r"\\\1", wording.one_line(value)).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _fenced(code: str) -> str:
    """A code block whose fence is longer than any run of its sign inside."""
    fence = "`" * (3 + code.count("`"))
    return f"{fence}\n{code}\n{fence}"


def _context(report: Mapping[str, Any]) -> dict[str, Any]:
    """All that both templates need."""
    verdict = {"use": None, "keep_fraction": None, "effective_fraction": None, **report["verdict"]}
    history = (report["history"] or {}).get("curves", {})
    inputs, further_inputs = main_inputs(report["importance"])
    return {
        "report": report,
        "run_name": Path(report["run"]).name or report["run"],
        "verdict": verdict,
        "gain": verdict.get("gain") or {},
        "evidence": str(verdict.get("evidence") or "unproven"),
        "evidence_meaning": _meaning(verdict),
        "why": why_policy(report),
        "balanced_loss": wording.BALANCED_LOSS,
        "balanced_training": wording.BALANCED_TRAINING,
        "doubted": doubted_sources(verdict, report["findings"]),
        "shortened": _shortened(report),
        "stops": _stops(report["comparison"]),
        "meanings": [(row["name"], told) for row in report["comparison"] if (told := policy_meaning(row["name"]))],
        "metrics": report["metrics"],
        "max_rows": MAX_ROWS,
        "heat": _heat(report["kept"]),
        "curve_meanings": curve_meanings(history),
        "curve_words": explain_curves(report["history"], report["diagnostics"]),
        "features": FEATURES,
        "inputs": inputs,
        "further_inputs": further_inputs,
        "share_words": share_words(report["importance"]),
        "trend_words": trend_words,
        "subsets": [
            _subsets("class", report["per_class"], report["per_class_of"]),
            _subsets("group", report["per_group"], report["per_class_of"]),
        ],
        "gallery": _unfolded(report["gallery"]),
        "any_kept": any(row["kept"] for row in (report["kept"] or {"sources": []})["sources"]),
        "test_rows": _test_rows(report),
        "beside_test": claims_beside_test(verdict, report["test"], (report["data"] or {}).get("num_test")),
        "snippets": write_snippets(report),
    }


def _stops(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Why policies were stopped, each reason once, with their names."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["stopped"] is not None:
            reasons.setdefault(str(row["stopped"]), []).append(row["name"])
    return list(reasons.items())


def _shortened(report: Mapping[str, Any]) -> str:
    """Minutes of the budget where it has cut the splits that were wanted; "" where it has not."""
    wanted, minutes = (report["settings"].get(name) for name in ("num_seeds", "budget_minutes"))
    done = max((row["repetitions"] or 0 for row in report["comparison"]), default=0)
    if not done or not wording.is_number(wanted) or not wording.is_number(minutes) or done >= wanted:
        return ""
    return f"{minutes:g}"


def _meaning(verdict: Mapping[str, Any]) -> str:
    """What the grade of evidence says; for real data alone "proven" speaks of harm."""
    if verdict["policy"] == "RealOnly" and verdict.get("evidence") == "proven":
        return HARMFUL
    if verdict.get("reason") == "seen":
        return "a generator that was fitted on the judged rows gains on them, whatever it is worth on others"
    return EVIDENCE.get(str(verdict.get("evidence")), "")


def _subsets(kind: str, rows: Sequence[Mapping[str, Any]], policy: str) -> dict[str, Any]:
    """What is said of classes or groups: how many gain and how many lose for sure, and how many would by chance."""
    spoken = large_groups(rows) if kind == "group" else rows
    sure = [row for row in spoken if wording.interval(row["gain"])]
    up = [row for row in sure if row["gain"]["low"] > 0]
    down = sorted((row for row in sure if row["gain"]["high"] < 0), key=lambda row: row["gain"]["mean"])
    return {
        "kind": kind,
        "plural": PLURAL[kind],
        "measure": {"class": "recall", "group": "accuracy"}[kind],
        "figure": f"per_{kind}",
        "rows": rows,
        "shown": rows[:MAX_SUBSETS],
        "policy": policy,
        "words": subset_words(kind, len(sure), len(up), [wording.one_line(row["label"], 40) for row in down]),
        "num_small": len(rows) - len(spoken),
        "min_rows": MIN_ROWS,
    }


def _unfolded(gallery: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The gallery with the first classes marked as open; a reader unfolds the others."""
    if not gallery:
        return None
    sources, num_open = [], 0
    for source in gallery["sources"]:
        classes = []
        for entry in source["classes"]:
            classes.append({**entry, "open": num_open < MAX_OPEN})
            num_open += 1
        sources.append({**source, "classes": classes})
    return {**gallery, "sources": sources}


def _heat(kept: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Kept share by source and class as a table; None when nothing is kept, or for one source or too many classes."""
    if not kept or len(kept["sources"]) < 2 or not any(row["kept"] for row in kept["sources"]):
        return None
    labels = [row["label"] for row in kept["classes"] if row["rows"]]
    if not 1 < len(labels) <= MAX_HEAT_CLASSES:
        return None
    share = {(cell["source"], cell["label"]): cell["kept"] / cell["rows"] for cell in kept["cells"]}
    names = [row["name"] for row in kept["sources"][:MAX_ROWS]]
    return {"labels": labels, "rows": [(name, [share.get((name, label)) for label in labels]) for name in names]}


def _test_rows(report: Mapping[str, Any]) -> dict[str, Any]:
    """Test results as a table: policies in the order of the comparison, a column for each metric."""
    metrics = list(dict.fromkeys(row["metric"] for row in report["test"]))
    values = {(row["name"], row["metric"]): row["value"] for row in report["test"]}
    names = list(dict.fromkeys([row["name"] for row in report["comparison"]] + [row["name"] for row in report["test"]]))
    rows = [(name, [values.get((name, metric)) for metric in metrics]) for name in names]
    return {"metrics": metrics, "rows": [row for row in rows if any(value is not None for value in row[1])]}


def _replace(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, flush it to the disk and rename it, so that no half page is ever seen."""
    temporary = path.with_name(f".synthsift-{os.getpid()}-{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror}); {len(data):,} bytes are needed. Nothing was damaged. "
            "Free some space or give the right to write there, then run `synthsift report` again."
        ) from error
    finally:
        with suppress(OSError):  # a disk that has become read-only refuses this too, and must not hide why
            temporary.unlink(missing_ok=True)
