from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from fake_run import HOSTILE

from synthsift.report.canvas import VARIABLES, WIDE
from synthsift.report.figures import draw_figures
from synthsift.report.trainplots import draw_importance, main_inputs, share_words

NAMES = {"comparison", "per_class", "per_group", "kept", "weights", "importance", "history"}
EMPTY: dict[str, Any] = {
    "metric": "x",
    "comparison": [],
    "per_class": [],
    "per_group": [],
    "importance": [],
    "kept": None,
    "weights": None,
    "history": None,
}


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]


def test_every_figure_is_drawn_wide_and_narrow(figures: dict[str, dict[str, str]]) -> None:
    assert set(figures) == NAMES
    for name, forms in figures.items():
        widths = {form: float(ET.fromstring(svg).attrib["viewBox"].split()[2]) for form, svg in forms.items()}
        assert widths["narrow"] < 300 < 600 < widths["wide"], name


def test_figures_hold_no_script_no_foreign_reference_and_no_fixed_color(figures: dict[str, dict[str, str]]) -> None:
    ids = []
    for name, forms in figures.items():
        for svg in forms.values():
            nodes = list(ET.fromstring(svg).iter())
            assert {node.tag.rpartition("}")[2] for node in nodes} <= {
                *("svg", "g", "path", "use", "defs", "clipPath", "rect", "text"),
            }, name
            mine = [node.attrib["id"] for node in nodes if "id" in node.attrib]
            ids += mine
            for node in nodes:
                for key, value in node.attrib.items():
                    assert not key.startswith("on")
                    if key.endswith("href"):
                        assert value.removeprefix("#") in mine
            assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(mine)
            assert not any(color in re.sub(r"var\(--\w+, #\w+\)", "", svg) for color in VARIABLES)
            assert not re.findall(r"(?:fill|stroke): #", svg)
            assert "var(--ink" in svg and "font-family" not in svg
    assert len(ids) == len(set(ids))


def test_names_are_text_that_no_parser_acts_on(figures: dict[str, dict[str, str]]) -> None:
    seen = texts(figures["kept"]["wide"])
    assert any(text.startswith("<script>alert") for text in seen)
    assert any("$\\frac" in text for text in seen), "a dollar sign must not start a formula"
    for forms in figures.values():
        for svg in forms.values():
            assert "<script" not in svg and "<img" not in svg


def test_the_comparison_says_the_numbers(figures: dict[str, dict[str, str]]) -> None:
    wide = texts(figures["comparison"]["wide"])
    assert "+2.1 [1.4, 2.8]" in wide and "−0.9 [−1.6, −0.2]" in wide and "5 splits" in wide
    assert "points of accuracy over RealOnly" in wide
    assert "+2.1" in texts(figures["comparison"]["narrow"])


def test_nothing_is_drawn_without_numbers() -> None:
    assert draw_figures(EMPTY) == {}
    gains = [{"name": "a", "gain": {"mean": None}, "is_chosen": True, "stopped": None, "n_splits": 1}]
    curves = {"step": [0], "curves": {"loss": [None]}}
    kept = {"real": {}, "sources": [], "classes": [], "cells": []}
    assert draw_figures({**EMPTY, "comparison": gains, "history": curves, "kept": kept}) == {}


def test_a_gain_without_an_interval_and_hundreds_of_classes() -> None:
    gain = {"mean": 0.0, "low": None, "high": None}
    rows = [{"name": name, "gain": gain, "is_chosen": False, "stopped": None, "n_splits": None} for name in HOSTILE]
    classes = [{"label": f"class {i}", "n": 5, "gain": {**gain, "mean": float(i)}} for i in range(300)]
    figures = draw_figures({**EMPTY, "comparison": rows, "per_class": classes})
    seen = texts(figures["per_class"]["wide"])
    assert len([text for text in seen if text.startswith("class")]) == 24
    assert {"class 0", "class 299"} <= set(seen)
    assert max(len(svg) for forms in figures.values() for svg in forms.values()) < 60_000
    assert "comparison" in figures


def test_gains_are_colored_only_where_their_interval_lies_on_one_side(figures: dict[str, dict[str, str]]) -> None:
    from synthsift.report.canvas import ACCENT, MUTED, WARM
    from synthsift.report.gainplots import subset_tone

    tones = [(1.0, 3.0, ACCENT), (-1.0, 3.0, MUTED), (-3.0, -1.0, WARM), (0.0, 0.0, MUTED), (None, None, MUTED)]
    assert [subset_tone({"mean": 0.0, "low": low, "high": high}) for low, high, _ in tones] == [t for *_, t in tones]
    assert {"+4.2", "\u22122.3", "101 rows"} <= set(texts(figures["per_class"]["wide"]))


def test_groups_of_a_few_rows_are_not_drawn() -> None:
    gain = {"mean": 50.0, "low": -20.0, "high": 90.0}
    groups = [{"label": f"g{n}", "n": n, "gain": gain} for n in (1, 9, 10, 300)]
    seen = texts(draw_figures({**EMPTY, "per_group": groups})["per_group"]["wide"])
    assert [text for text in seen if text.startswith("g")] == ["g10", "g300"] and "300 rows" in seen
    assert draw_figures({**EMPTY, "per_group": groups[:2]}) == {}


def test_the_direction_of_an_input_is_said_in_words(figures: dict[str, dict[str, str]]) -> None:
    seen = texts(figures["importance"]["wide"])
    assert {"trusted loss", "kNN shapley", "50 %", "higher, less weight", "higher, more weight", "no clear trend"} <= {
        *seen
    }


def test_inputs_that_hardly_matter_are_folded_into_one_line() -> None:
    def inputs(*shares: float) -> list[dict[str, Any]]:
        return [{"name": f"f{k}", "share": share, "direction": 0.5} for k, share in enumerate(shares)]

    rows, rest = main_inputs(inputs(0.3, *[0.01] * 6, 0.005, 0.0049, 0.002, 0.0))
    assert [row["name"] for row in rows] == [f"f{k}" for k in range(8)]
    assert rest == "3 further inputs of 0.5 % at most"
    assert main_inputs(inputs(0.3, 0.001)) == (inputs(0.3, 0.001), "")
    assert len(main_inputs(inputs(*[0.001] * 9))[0]) == 5
    assert main_inputs(inputs(*[0.02] * 25))[1] == "1 further input of 2.0 % at most"
    assert main_inputs([]) == ([], "")
    seen = texts(draw_figures({**EMPTY, "importance": inputs(0.3, *[0.01] * 6, 0.005, 0.0049)})["importance"]["wide"])
    assert {"f7", "30 %", "1 %", "0.5 %"} <= set(seen) and "f8" not in seen


def test_the_longest_policy_keeps_its_name_on_a_telephone() -> None:
    gain = {"mean": 0.5, "low": -0.2, "high": 0.9}
    names = ("TrustedMarginFilter", "TrustedMarginFilter+Real5")
    row = {"gain": gain, "is_chosen": False, "stopped": None, "n_splits": 5}
    rows = [{"name": name, **row} for name in names]
    seen = texts(draw_figures({**EMPTY, "metric": "accuracy", "comparison": rows})["comparison"]["narrow"])
    assert set(names) <= set(seen)


def test_no_distribution_is_drawn_of_weights_that_only_real_rows_have(report: dict[str, Any]) -> None:
    empty = {"edges": [0.0, 1.0], "sources": [{"name": "real", "rows": 1, "zero": 0, "counts": [1]}]}
    empty["sources"].append({"name": "a", "rows": 3, "zero": 3, "counts": [0]})
    assert draw_figures({**EMPTY, "weights": {"weight": empty}}) == {}
    both = {"weight": empty, "learned_weight": report["weights"]["learned_weight"]}
    seen = texts(draw_figures({**EMPTY, "weights": both})["weights"]["wide"])
    assert "learned weight" in seen and "weight of the verdict" not in seen


def test_equal_numbers_give_equal_pictures(report: dict[str, Any], figures: dict[str, dict[str, str]]) -> None:
    part = {**EMPTY, "metric": report["metric"], "comparison": report["comparison"]}
    assert draw_figures(part)["comparison"] == figures["comparison"]


def test_the_users_own_settings_of_matplotlib_are_left_alone(report: dict[str, Any]) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 31, "text.usetex": True}):
        part = {**EMPTY, "comparison": report["comparison"]}
        assert "31px" not in draw_figures(part)["comparison"]["wide"]
        assert matplotlib.rcParams["font.size"] == 31


LIGHT = """
import sys, synthsift.report, synthsift.runs
heavy = {"pandas", "pyarrow", "torch", "sklearn", "matplotlib", "jinja2", "rich", "safetensors"} & set(sys.modules)
assert not heavy, heavy
from synthsift.report.canvas import new_figure, theme, to_svg
with theme():
    to_svg(new_figure(1, 1), "a", "b")
assert "matplotlib.pyplot" not in sys.modules
"""


def test_the_import_is_light_and_drawing_never_needs_pyplot() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True)


def test_templates_are_beside_the_code() -> None:
    from synthsift.report import render

    assert {path.name for path in Path(render.TEMPLATES).iterdir()} >= {"report.html.j2", "report.md.j2", "report.css"}


def test_gains_that_are_all_zero_are_drawn_without_a_warning() -> None:
    classes = [{"label": str(k), "n": 5, "gain": {"mean": 0.0, "low": 0.0, "high": 0.0}} for k in range(3)]
    figures = draw_figures({**EMPTY, "per_class": classes})
    assert texts(figures["per_class"]["wide"]).count("0.0") >= 3


def test_ticks_of_a_logarithmic_panel_are_numbers() -> None:
    """Signs of mathematics are switched off, because a user's name may hold them; a power would show its source."""
    curves = {"batch_rows": [1650.0, 1650.0], "rows_wanted": [5000.0, 23.0], "gsnr": [0.2, 73.0]}
    svg = draw_figures({**EMPTY, "history": {"step": [0.0, 10.0], "curves": curves}})["history"]["wide"]
    assert "mathdefault" not in svg and "$" not in svg
    assert ">1000<" in svg and ">10<" in svg


def test_ticks_of_the_importance_say_where_they_stand() -> None:
    """At 2.5 % as well: rounded to 2 % and 8 % they would look unevenly spaced."""
    rows = [{"name": f"input{k}", "share": share, "direction": 0.5} for k, share in enumerate((0.15, 0.06, 0.02))]
    figure = draw_importance({"importance": rows}, WIDE)
    axis = figure.axes[0].xaxis
    words = [axis.get_major_formatter()(place, 0) for place in axis.get_majorticklocs()]
    assert len(set(words)) == len(words) >= 3
    for place, text in zip(axis.get_majorticklocs(), words, strict=True):
        assert abs(float(text.removesuffix(" %")) - 100 * place) < 1e-9
    assert axis.get_major_formatter()(0.025, 0) == "2.5 %" and axis.get_major_formatter()(0.1, 0) == "10 %"


def test_the_sum_of_all_shares_is_told() -> None:
    told = share_words([{"share": 0.2}, {"share": 0.07}, {"share": None}])
    assert told.startswith("all shares together are 27 %.") and share_words([]) == ""
