from __future__ import annotations

import base64
import html
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fake_run import HOSTILE, SCRIPT, write_fake_run

from synthsift import writing
from synthsift.records import DataError, Outcome
from synthsift.report import collect, render, render_html, render_json, render_markdown, write_report

SECTIONS = {"verdict", "comparison", "kept", "weights", "findings", "test", "method", "next"}
PARTS = {"subsets", "per-class", "per-group", "importance", "training", "gallery"}  # where a run has them
VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}
# Without numbers for the pictures, which cost a second: for tests that are about words.
NO_FIGURES: dict[str, Any] = {
    **dict.fromkeys(("comparison", "per_class", "per_group", "importance"), ()),
    **dict.fromkeys(("kept", "weights", "history")),
}


class Page(HTMLParser):
    """A page taken apart: ids, tags, attributes and text; an unbalanced tag is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.styles if self.open[-1:] == ["style"] else self.words).append(data)

    @property
    def ids(self) -> list[str]:
        return [value for _, name, value in self.attributes if name == "id"]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page(page_text: str) -> Page:
    return Page(page_text)


def test_json_equals_the_dictionary(report: dict[str, Any]) -> None:
    assert json.loads(render_json(report)) == report


def test_the_page_has_every_section_and_unique_ids(page: Page) -> None:
    assert set(page.ids) >= SECTIONS | PARTS
    assert len(page.ids) == len(set(page.ids))
    targets = {value[1:] for _, name, value in page.attributes if name == "href" and value[1:2].islower()}
    assert targets <= set(page.ids)


def assert_harmless(page: Page) -> None:
    """No script, no event handler, nothing fetched."""
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "audio", "video", "image"} & set(
        page.tags
    )
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("href", "xlink:href"):
            assert value.startswith("#")
        if name in ("src", "srcset", "action", "data", "background", "poster"):
            assert value.startswith("data:image/png;base64,")
        if name == "style":
            assert not re.search(r"url\((?!#)|expression|@import", value)
    assert not re.search(r"url\(|@import|https?:", "".join(page.styles))


def test_the_page_runs_no_script_and_fetches_nothing(page: Page, page_text: str) -> None:
    assert_harmless(page)
    assert "default-src 'none'" in page_text
    assert set(re.findall(r"https?://[^\s\"'<]+", page_text)) <= {
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    }


def test_hostile_names_are_shown_as_they_are_and_do_nothing(page: Page, page_text: str) -> None:
    assert "<script" not in page_text.lower()
    assert not [tag for tag in page.tags if tag == "img"], "the rows gallery holds no picture of ours"
    for name in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[3], HOSTILE[6], HOSTILE[7]):
        assert " ".join(name.split()) in page.text
    assert html.escape(SCRIPT) in page_text
    assert not set("\x1b\u202e\x00") & set(page_text)


def test_the_page_says_what_a_reader_must_know(page: Page) -> None:
    for words in (
        "Use 62 % of the synthetic rows with TrustedMargin weights: +2.1 [1.3, 2.9] points accuracy",
        "proven",
        "opened once",
        "They chose nothing",
        "SS101",
        "Why it matters. It is lost.",
        "What to do. Remove them",
        "stopped: clearly worse after 5 splits",
        "WeightedRandomSampler",
        "sample_weight",
        "synthsift export",
        "25 paired splits",
        "2 of the 4 classes gain for sure; 1 loses for sure: a|b`c` # heading.",
        "None of the 3 groups gains for sure; 1 loses for sure: <script>",
        "2 of them cannot be told from the best; this is the simplest of these",
        "all synthetic rows, weighted by how far a model of the real rows agrees with the label",
        "All of it unweighted: \u22120.9 [\u22121.6, \u22120.2]",
        "higher, less weight",
        "loss of the trusted model on the label",
        "The meta-network took 800 steps and finished as intended.",
        "The train loss fell from",
        "taken to the power 2",
        "trusted loss 0.5 (above 25 % of rows)",
        "2 more pairs of a source and a class are not shown",
    ):
        assert words in page.text, words
    assert page.text.index("SS101") < page.text.index("SS103") < page.text.index("SS105")


def test_the_page_is_small_and_made_for_dark_narrow_and_paper(page_text: str, page: Page) -> None:
    assert len(page_text.encode()) < 1_000_000
    styles = "".join(page.styles)
    for rule in ("prefers-color-scheme: dark", "max-width: 720px", "@media print"):
        assert rule in styles


@pytest.mark.parametrize("kind", ["text", "image"])
def test_galleries_of_texts_and_pictures(tmp_path: Path, kind: str) -> None:
    report = {**collect(write_fake_run(tmp_path / "run", kind=kind, use=False)), **NO_FIGURES}
    page = Page(render_html(report))
    assert_harmless(page)
    assert page.tags.count("img") == (24 if kind == "image" else 0)
    if kind == "text":
        assert all(" ".join(name.split()) in page.text for name in (SCRIPT, HOSTILE[1], HOSTILE[7]))
    assert "Do not use this synthetic data" in page.text
    assert "their weight is 0" in page.text


def test_five_megabytes_are_never_passed(
    report: dict[str, Any], figures: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthsift.report import render

    monkeypatch.setattr(render, "draw_figures", lambda report: figures)
    many = [
        {"label": f"class {i} {SCRIPT}", "n": 1, "real_only": 1.0, "policy": 2.0, "gain": {"mean": 1.0}}
        for i in range(5000)
    ]
    kept = {
        "real": report["kept"]["real"],
        "sources": [{**report["kept"]["sources"][0], "name": f"s{i}"} for i in range(300)],
        "classes": [{**report["kept"]["classes"][0], "label": f"c{i}"} for i in range(2000)],
        "cells": [],
    }
    importance = [{**report["importance"][0], "name": f"feature {i}"} for i in range(300)]
    parts = {"per_class": many, "per_group": many, "importance": importance, "kept": kept}
    text = render_html({**report, **parts})
    assert len(text.encode()) < 1_500_000
    assert "Table of the first 100 of 5000 groups" in text and "and 4900 more in summary.json" in text
    assert "and 260 more sources" in text and "and 1960 more classes" in text
    markdown = render_markdown({**report, **parts})
    assert markdown.count("And 4900 more in summary.json.") == 2
    one_more = {**report, **parts, "kept": {**kept, "sources": kept["sources"][:41]}}
    assert "and 1 more source in weights" in render_html(one_more)
    assert "And 1 more source in weights" in render_markdown(one_more)
    assert "And 260 more sources in weights.parquet." in markdown and "And 1960 more classes in weights" in markdown


@pytest.mark.parametrize("num", [60, 100, 101])
def test_page_and_markdown_show_the_same_groups(
    report: dict[str, Any], figures: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch, num: int
) -> None:
    monkeypatch.setattr(render, "draw_figures", lambda report: figures)
    row = {"n": 9, "real_only": 50.0, "policy": 51.0, "gain": {"mean": 1.0, "low": -1.0, "high": 3.0}}
    many = {**report, "per_group": [{**row, "label": f"ward{k:03}x"} for k in range(num)]}
    for text in (Page(render_html(many)).text, render_markdown(many)):
        shown = {k for k in range(num) if f"ward{k:03}x" in text}
        assert shown == set(range(min(num, 100)))
        assert ("more in summary.json" in text) == (num > 100)


def test_inputs_that_hardly_matter_are_one_line(
    report: dict[str, Any], figures: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "draw_figures", lambda report: figures)
    small = [{"name": f"small_{k}", "share": 0.004 - 0.0001 * k, "direction": None} for k in range(9)]
    changed = {**report, "importance": [*report["importance"], *small]}
    for text in (Page(render_html(changed)).text, render_markdown(changed)):
        assert "small 0" in text and "small 1" not in text
        assert "8 further inputs of 0.4 % at most" in text
    assert "further input" not in Page(render_html(report)).text


def test_a_policy_breaks_only_behind_its_plus(report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "draw_figures", lambda report: {})
    row = {**report["comparison"][0], "name": "TrustedMarginFilter+Real5", "is_chosen": False}
    hostile = {**row, "name": f"{SCRIPT}+<b>"}
    text = render_html({**report, "comparison": [row, hostile], "test": []})
    assert "TrustedMarginFilter+<wbr>Real5" in text and "&lt;/script&gt;+<wbr>&lt;b&gt;" in text


def test_a_run_with_a_summary_only(tmp_path: Path) -> None:
    writing.write_json(tmp_path / "summary.json", {"schema": 1, "verdict": {"policy": "RealOnly", "sentence": "No."}})
    page = Page(write_report(tmp_path).read_text("utf-8"))
    assert set(page.ids) >= SECTIONS
    assert not PARTS & set(page.ids) and "planted" not in page.ids
    for words in ("holds no comparison", "holds no weights", "No test rows were given", "Nothing was found"):
        assert words in page.text
    markdown = render_markdown(collect(tmp_path))
    assert "holds no comparison" in markdown and "No test rows were given" in markdown


def test_the_words_fit_the_verdict(tmp_path: Path) -> None:
    for policy, use, evidence, words in (
        ("RealOnly", False, "proven", ("from using all synthetic rows lies below 0", "leaves the synthetic rows out")),
        ("BestSources", False, "unproven", ("this is the best bet", "leave the synthetic rows out to be on the safe")),
        ("BestSources", True, "proven", ("its gain over real data alone lies above 0",)),
    ):
        verdict = {"policy": policy, "use": use, "evidence": evidence, "sentence": "."}
        writing.write_json(tmp_path / "summary.json", {"schema": 1, "verdict": verdict})
        text = " ".join(write_report(tmp_path).read_text("utf-8").split())
        assert [part for part in words if part not in text] == []
        assert ("leave the synthetic rows out" in text) == (policy == "BestSources" and not use)


def test_incomplete_rows_do_not_stop_the_page(tmp_path: Path) -> None:
    summary = {
        "schema": 1,
        "verdict": {"policy": None, "sentence": "?", "evidence": SCRIPT, "gain": None},
        "comparison": [{"name": "a"}, {"name": "b", "gain": {"mean": 1.0}}],
        "per_class": [{}],
        "test": [{"name": "c"}],
        "data": {"classes": None},
    }
    writing.write_json(tmp_path / "summary.json", summary)
    writing.write_json(tmp_path / "findings.json", [{}])
    report = collect(tmp_path)
    assert set(Page(render_html(report)).ids) >= SECTIONS
    assert render_markdown(report).startswith("# ?")


def test_markdown_says_the_same_and_escapes(report: dict[str, Any]) -> None:
    text = render_markdown(report)
    assert "<script" not in text and "<img" not in text and "\x1b" not in text
    for words in (
        "Use 62 % of the synthetic rows",
        "| TrustedMargin | +2.1 | \\[1.4, 2.8\\] | 0.440 | 25 | verdict |",
        "| north | 50 | 80.0 | 81.0 | +1.0 | \\[−1.0, 3.0\\] |",
        "| trusted loss | 50.0 % | higher, less weight |",
        "- The meta-network took 800 steps",
    ):
        assert words in text, words
    assert "a\\|b\\`c\\` \\# heading" in text, "a name must not open a column, a code span or a heading"
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len([line for line in headings if line.startswith("# ")]) == 1
    rows = [re.sub(r"\\.", "", line) for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
    assert {line.count("|") for line in rows} <= {4, 5, 6, 7}


def test_page_and_markdown_say_that_nothing_was_learned(
    report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthsift.report.figures.draw_history", lambda report, width: None)  # its picture costs time
    curves = {"gsnr": [0.0, 0.0], "effective_fraction": [1.0, 1.0], "effective_batch": [90.0, 90.0]}
    changed = {**report, **NO_FIGURES, "history": {"step": [0, 10], "curves": curves}}
    changed["diagnostics"] = {"learned_outcome": Outcome.alike.value, "temper": 1.0}
    for text in (Page(render_html(changed)).text, render_markdown(changed)):
        assert "the scores never told one row from another, so all weights stayed equal" in text
        assert "too few rows to be trusted" not in text and "really counts" not in text


def test_a_bare_address_is_no_link_in_markdown(report: dict[str, Any]) -> None:
    verdict = {**report["verdict"], "sentence": "see https://example.org [x](y) @you"}
    line = render_markdown({**report, **NO_FIGURES, "verdict": verdict}).splitlines()[0]
    assert line == "# see https\\://example.org \\[x\\](y) \\@you"


def test_write_report_replaces_the_page_whole_or_not_at_all(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthsift.report import render

    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "report.html").write_text("old")
    monkeypatch.setattr(render, "draw_figures", lambda report: {})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(os.listdir(copy))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match=r"No space left.*Nothing was damaged.*synthsift report"):
            write_report(copy)
    assert (copy / "report.html").read_text() == "old"
    assert write_report(copy) == copy / "report.html"
    assert "</html>" in (copy / "report.html").read_text("utf-8")
    assert sorted(os.listdir(copy)) == before


def test_a_disk_that_became_read_only_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a disk refuses the temporary file and its removal; the second refusal hid the first."""
    from synthsift.report import render

    copy = shutil.copytree(run, tmp_path / "run")
    monkeypatch.setattr(render, "draw_figures", lambda report: {})

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(DataError, match=r"report\.html cannot be written \(Read-only file system\)"):
            write_report(copy)


def test_no_run_no_page(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a finished run"):
        write_report(tmp_path)
    assert os.listdir(tmp_path) == []


def test_five_megabytes_of_pictures_and_texts_are_never_passed(tmp_path: Path) -> None:
    run = write_fake_run(tmp_path / "run")
    noise = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(9_000)).decode()
    for kind, content in (
        ("image", {"png": noise}),
        ("text", {"text": "ü" * 10_000_000}),
        ("rows", {"cells": {f"{k} {SCRIPT}": "<" * 150 for k in range(60)}}),
    ):
        items = [
            {"id": str(i), "source": f"s{i % 100}", "label": f"c{i % 7}", "weight": float(i), **content}
            for i in range(1400)
        ]
        writing.write_json(run / "gallery.json", {"kind": kind, "items": items[: 1 if kind == "text" else 1400]})
        size = len(render_html({**collect(run), **NO_FIGURES}).encode())
        assert 100_000 < size < 5_000_000 or kind == "text", (kind, size)


def test_the_demo_says_how_many_planted_rows_were_found(tmp_path: Path) -> None:
    text = render_html({**collect(write_fake_run(tmp_path / "run", kind="image", planted=True)), **NO_FIGURES})
    page = Page(text)
    assert_harmless(page)
    assert "planted" in page.ids and text.count('<li class="bad">') == 1
    for words in ("12 of the 100 rows <script>", "lowest learned weight, 9 are spoiled ones", "AUROC 0.900", "75 %"):
        assert words in page.text, words


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.1)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_text_color_stands_out_in_light_and_dark_and_on_paper() -> None:
    style = (Path(render.TEMPLATES) / "report.css").read_text()
    schemes = [
        dict(re.findall(r"--(\w+): (#\w{3,6});", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    assert len(schemes) == 3
    for scheme in schemes:
        full = {
            name: "#" + "".join(2 * c for c in code[1:]) if len(code) == 4 else code for name, code in scheme.items()
        }
        for text in ("ink", "muted", "accent", "warm", "amber"):
            for ground in ("paper", "sheet"):
                high, low = sorted((luminance(full[text]), luminance(full[ground])), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground, scheme)  # WCAG AA for small text


PROBE = """<body><iframe src="{page}" width="{width}" height="900"></iframe><script>
onload = () => {{
  const frame = document.querySelector("iframe"), page = frame.contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach(part => part.open = true);
  const seen = {{width: root.scrollWidth, scripts: page.scripts.length,
    sections: page.querySelectorAll("section").length,
    requests: frame.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name),
    ground: getComputedStyle(page.body).backgroundColor,
    handlers: page.querySelectorAll("[onerror]").length, bold: page.querySelectorAll("header b").length,
    figures: [...page.querySelectorAll("svg.figure")].filter(svg => svg.getBoundingClientRect().width > 0).length}};
  document.body.innerHTML = "<pre>" + JSON.stringify(seen) + "</pre>";
}};
</script></body>"""


@pytest.mark.parametrize(("width", "ground"), [(400, "rgb(22, 26, 25)"), (1400, "rgb(252, 251, 248)")])
def test_a_browser_shows_every_section_asks_for_nothing_and_never_scrolls_sideways(
    page_text: str, tmp_path: Path, width: int, ground: str
) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    (tmp_path / "report.html").write_text(page_text, "utf-8")
    (tmp_path / "probe.html").write_text(PROBE.format(page="report.html", width=width))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [
        "--allow-file-access-from-files",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=5000",
        f"--blink-settings=preferredColorScheme={0 if width == 400 else 1}",  # dark on the narrow page
    ]
    command += ["--window-size=1600,1000", "--dump-dom", (tmp_path / "probe.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = re.search(r"<pre>(\{.*?\})</pre>", done.stdout)
    assert found, done.stderr[-2000:]
    seen = json.loads(found[1])
    assert seen["width"] <= width
    assert (seen["scripts"], seen["handlers"], seen["bold"], seen["requests"]) == (0, 0, 1, [])
    assert seen["ground"] == ground, "dark and light"
    assert seen["figures"] == 7, "each picture in one form, wide or narrow"
    assert seen["sections"] == len(SECTIONS | {"subsets", "gallery"})
