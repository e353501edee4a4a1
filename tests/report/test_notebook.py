from __future__ import annotations

import re
from typing import Any

from fake_run import HOSTILE, SCRIPT
from test_render import Page, assert_harmless

from synthsift.report.notebook import MAX_POLICIES, render_notebook


def summary(**more: Any) -> dict[str, Any]:
    names = ["LearnedWeights", *(f"policy {k}" for k in range(12)), "Everything", "RealOnly", SCRIPT]
    rows = [
        {"name": name, "gain": 3.0 - k, "low": 2.0 - k, "high": 4.0 - k, "log_loss": 0.4, "splits": 10, "stopped": ""}
        for k, name in enumerate(names)
    ]
    rows[1]["stopped"] = "clearly behind"
    verdict = {
        "policy": SCRIPT, "use": True, "evidence": "likely", "sentence": f"Use it {HOSTILE[1]} \x1b[31m.",
        "keep_fraction": 0.5, "effective_fraction": 0.25, "gain": {},
    }  # fmt: skip
    return {
        "verdict": verdict, "metric": "balanced_accuracy", "splits": 10, "policies": rows, "findings": [SCRIPT], **more
    }  # fmt: skip


def test_the_block_is_harmless_and_says_what_matters() -> None:
    text = render_notebook(summary(), f"Selector({SCRIPT})")
    page = Page(text)
    assert_harmless(page)
    assert "<script" not in text and "\x1b" not in text and not re.search(r"https?:|url\(", text)
    for words in ("Use it", "likely", SCRIPT, "50 %", "effective 25 %", "balanced accuracy", "+3.0", "Findings"):
        assert words in page.text, words


def test_the_best_and_those_that_are_compared_with_are_shown() -> None:
    page = Page(render_notebook(summary(), ""))
    shown = [name for name in ("LearnedWeights", "Everything", "RealOnly", "policy 1") if name in page.text]
    assert len(shown) == 4 and "policy 0" not in page.text, "a stopped policy is left out"
    assert page.tags.count("tr") == MAX_POLICIES + 1 and "8 more in policies_" in page.text


def test_it_brings_no_colors_of_its_own() -> None:
    text = render_notebook(summary(), "")
    colors = set(re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\([^)]*\)|currentColor", text))
    assert colors == {"currentColor", "rgba(128,128,128,.35)"}, "so it reads on light and on dark"


def test_policies_that_are_all_alike_have_an_axis() -> None:
    row = {"gain": 0.0, "low": 0.0, "high": 0.0, "log_loss": 0.4, "splits": 5, "stopped": ""}
    rows = [{"name": name, **row} for name in ("RealOnly", "Everything")]
    text = render_notebook(summary(policies=rows, findings=[]), "")
    assert text.count("<svg") == 2 and "nan" not in text and "Findings" not in text
