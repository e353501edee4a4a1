"""A plan in a run's report and as a picture of its own."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from synthsift import writing
from synthsift.report import render
from synthsift.report.canvas import NARROW, WIDE, theme, to_svg
from synthsift.report.collect import collect
from synthsift.report.figures import draw_figures
from synthsift.report.plan_figures import draw_plan, draw_what_if
from synthsift.report.plan_section import beside_verdict, collect_plan
from synthsift.report.render import render_html, render_markdown

SIZES = [0.0, 10.0, 100.0, 1000.0]
CURVE = {"mean": [0.8, 0.81, 0.83, 0.84], "low": [0.8, 0.8, 0.81, 0.82], "high": [0.8, 0.82, 0.85, 0.86]}
PLAN: dict[str, Any] = {
    "schema": 1,
    "plan": "mixing",
    "sizes": SIZES,
    "curves": {"none": CURVE},
    "real_only": 0.8,
    "target": {"rows": 100.0, "index": 2},
    "subject": "Planned for class 'red<script>' against all 9 others together.",
    "direction": "up",
    "sentences": ["Stop at about 40 <b>rows</b>."],
    "check": {"grade": "good", "sentence": "Believe it within that."},
    "notes": ["classes: \x1b[31mred<script> (+1) against the rest (-1)"],
    "positive": "red<script>",
    "negative": "the rest",
    "num_synth": 100,
    "rates": None,
    "phase": None,
}
ERROR = {name: [1.0 / (k + 1) for k in range(4)] for name in ("mean", "low", "high")}
COLLAPSE: dict[str, Any] = {
    "plan": "collapse",
    "sizes": SIZES,
    "curves": dict.fromkeys(("pooled", "weighted", "perfect"), ERROR),
    "real_only": None,
    "target": {"rows": 100.0, "index": 2},
    "mix": {"rows": [*SIZES[1:], 1e4], "mixed": ERROR, "clean": ERROR},
    "synth_fraction": 0.1,
    "floor": 0.0,
    "near_floor_rows": None,
    "size": {"widths": [1, 2, 4, 8], "error": ERROR["mean"], "collapse": [0.0] * 4, "clean": ERROR["mean"], "at": None},
}


@pytest.fixture
def with_plan(run: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    writing.write_json(folder / "plan.json", PLAN)
    return folder


@pytest.fixture
def one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the section's figure only; the others take seconds."""
    svg = '<svg class="figure"></svg>'
    monkeypatch.setattr(render, "draw_figures", lambda report: {"what_if": {"wide": svg, "narrow": svg}})


@pytest.mark.usefixtures("one_picture")
def test_the_section_says_what_the_plan_says(with_plan: Path) -> None:
    page = render_html(collect(with_plan))
    start = page.index('<section id="what-if">')
    section = page[start : page.index("</section>", start)]
    assert "What if you had more of this data?" in section and "Believe it within that." in section
    assert "Stop at about 40 &lt;b&gt;rows&lt;/b&gt;." in section and "red&lt;script&gt;" in section
    assert "<script" not in page and "\x1b" not in page
    assert section.count("<svg") == 2 and "the 100 rows you have" in section


def test_no_plan_no_section(report: dict[str, Any], page_text: str) -> None:
    assert report["plan"] is None and "what-if" not in page_text


@pytest.mark.usefixtures("one_picture")
def test_a_plan_that_does_not_apply_is_explained(with_plan: Path) -> None:
    writing.write_json(with_plan / "plan.json", {"schema": 1, "plan": "mixing", "curves": None, "reason": "<too few>."})
    page = render_html(collect(with_plan))
    assert "The theory does not apply to this run: &lt;too few&gt;." in page


def test_markdown_says_what_the_page_says(with_plan: Path, report: dict[str, Any]) -> None:
    text = render_markdown(collect(with_plan))
    start = text.index("## What if you had more of this data?\n")
    section = text[start : text.index("\n## ", start + 1)]
    assert "held-out real rows, with the synthetic rows" in section
    assert "Planned for class 'red&lt;script&gt;' against all 9 others together." in section
    assert "\n- Stop at about 40 &lt;b&gt;rows&lt;/b&gt;.\n" in section and "\n**Believe it within that.**\n" in section
    assert "\n\nclasses: " in section and "<" not in section and "\x1b" not in section
    assert "What if" not in render_markdown(report)


def test_markdown_explains_a_plan_that_does_not_apply(with_plan: Path) -> None:
    writing.write_json(with_plan / "plan.json", {"schema": 1, "plan": "mixing", "curves": None, "reason": "<too few>."})
    text = render_markdown(collect(with_plan))
    assert "The theory does not apply to this run: &lt;too few&gt;.\n\n## Findings" in text


@pytest.mark.parametrize("content", [[], {}, 7, {"schema": 2}, {"schema": 1, "plan": "mixing", "curves": {}}])
def test_something_else_in_plan_json_is_left_out(with_plan: Path, content: Any) -> None:
    (with_plan / "plan.json").write_text(json.dumps(content))
    assert collect(with_plan)["plan"] is None


def test_the_report_draws_the_section_figure() -> None:
    from test_figures import EMPTY

    assert set(draw_figures({**EMPTY, "plan": PLAN})) == {"what_if"}


def test_a_whole_plan_is_kept() -> None:
    assert collect_plan(PLAN, {}) == {**PLAN, "beside_verdict": ""}
    assert collect_plan({**PLAN, "check": 7}, {}) is None


def measured(mean: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {
        "policy": "RealOnly",
        "use": False,
        **more,
        "everything_over_real_only": {"mean": mean, "low": low, "high": high},
    }


def everything(mean: float, low: float, high: float) -> dict[str, Any]:
    gain = {"over_real_only": {"mean": mean, "low": low, "high": high}}
    return {"policy": "Everything", "use": True, "gain": gain}


@pytest.mark.parametrize(
    ("direction", "verdict", "words"),
    [
        ("up", measured(-3.0, -5.0, -1.0), "that all synthetic rows together help, the run measured a loss"),
        ("down", measured(0.0, -2.0, 2.0), "the run measured neither for sure with them (0.0 [−2.0, 2.0] points"),
        ("open", measured(3.0, 1.0, 5.0), "cannot tell whether all synthetic rows together help, the run measured"),
        ("down", measured(-3.0, -5.0, -1.0), ""),
        ("open", measured(0.0, -2.0, 2.0), ""),
        ("same", measured(0.0, -2.0, 2.0), ""),
        ("up", {**measured(0.0, -2.0, 2.0), **everything(3.0, 1.0, 5.0)}, ""),
        ("open", {**measured(0.0, -2.0, 2.0), **everything(3.0, 1.0, 5.0)}, "measured a gain with them (+3.0 [1.0"),
        ("down", measured(-3.0, -5.0, -1.0, policy="Mine", use=True), "to the verdict: that is about Mine"),
        ("none", measured(-3.0, -5.0, -1.0), ""),  # not to be believed: the check says what counts
        ("up", {}, ""),
        ("up", {"everything_over_real_only": {"mean": None, "low": 1.0, "high": 2.0}}, ""),
        (None, measured(-3.0, -5.0, -1.0), ""),  # a plan.json from before
    ],
)  # fmt: skip
def test_a_plan_that_differs_from_the_verdict_says_why(direction: Any, verdict: dict[str, Any], words: str) -> None:
    told = beside_verdict({**PLAN, "direction": direction}, verdict)
    assert words in told and bool(words) == bool(told)
    if "expects" in told or "cannot tell" in told:
        assert "a linear model in the encoder's space, one class against the rest" in told and "counts." in told
        assert "one class" not in beside_verdict({**PLAN, "direction": direction, "negative": "no"}, verdict)


def test_a_plan_of_accuracy_beside_a_verdict_in_another_metric() -> None:
    verdict = {**measured(-3.0, -5.0, -1.0), "gain": {"metric": "balanced_accuracy"}}
    told = beside_verdict({**PLAN, "direction": "down"}, verdict)
    assert told.startswith("The plan is about accuracy, the verdict about balanced accuracy: ")
    assert "expects" not in told
    assert "expects that all synthetic rows together help" in beside_verdict({**PLAN, "direction": "up"}, verdict)
    verdict["gain"] = {"metric": "accuracy"}
    assert beside_verdict({**PLAN, "direction": "down"}, verdict) == ""


@pytest.mark.usefixtures("one_picture")
def test_page_and_markdown_say_what_the_plan_is_for_and_how_it_stands_beside_the_verdict(with_plan: Path) -> None:
    report = collect(with_plan)
    report["plan"]["beside_verdict"] = "The plan <expects> more."
    page, text = render_html(report), render_markdown(report)
    assert "Planned for class &#39;red&lt;script&gt;&#39; against all 9 others together." in page
    assert "<p>The plan &lt;expects&gt; more.</p>" in page and "The plan &lt;expects&gt; more." in text
    assert "against all 9 others together." in text


@pytest.mark.usefixtures("one_picture")
@pytest.mark.parametrize(("grade", "is_first"), [("good", False), ("bad", True)])
def test_a_plan_that_is_not_to_be_believed_says_so_first(with_plan: Path, grade: str, is_first: bool) -> None:
    writing.write_json(
        with_plan / "plan.json", {**PLAN, "check": {"grade": grade, "sentence": "How far to believe it."}}
    )
    page = render_html(collect(with_plan))
    section = page[page.index('<section id="what-if">') :]
    assert section.count("How far to believe it.") == 1
    assert (section.index("How far to believe it.") < section.index("<svg")) == is_first


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_section_figure_fits_the_page(width: float) -> None:
    with theme():
        svg = to_svg(draw_what_if({"plan": PLAN}, width), "x", "Predicted accuracy")
    assert float(ET.fromstring(svg).attrib["viewBox"].split()[2]) <= 72 * width + 1
    assert draw_what_if({"plan": None}, width) is None and draw_what_if({}, width) is None


def test_pictures_of_both_plans() -> None:
    phase = {"noise": [0.0, 0.2, 0.4], "gain": [[0, 0.01, 0.02, 0.03], [0, 0, 0.01, 0.02], [0, -0.03, -0.01, 0.0]]}
    rates = {"label_noise": {"value": 0.2, "low": 0.1, "high": 0.3}}
    full = {**PLAN, "curves": dict.fromkeys(("none", "yours", "perfect"), CURVE), "phase": phase, "rates": rates}
    for plan, words in ((full, "wrong labels before verification"), (COLLAPSE, "model size")):
        svg = draw_plan(plan)
        assert ET.fromstring(svg.split("\n", 1)[1]).tag.endswith("svg")
        assert words in svg and "var(--" not in svg and "nan" not in svg.lower()
    assert "phase" not in draw_plan(PLAN)


@pytest.mark.usefixtures("one_picture")
def test_a_plan_from_before_names_its_classes_in_the_first_sentence(with_plan: Path) -> None:
    old = {name: value for name, value in PLAN.items() if name not in ("subject", "direction")}
    writing.write_json(with_plan / "plan.json", old)
    assert "class red&lt;script&gt; against the rest, with the synthetic rows" in render_html(collect(with_plan))
