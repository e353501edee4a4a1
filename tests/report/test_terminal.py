from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from fake_run import HOSTILE, write_fake_run

from synthsift.cli.console import Console
from synthsift.records import Outcome
from synthsift.report import closing_table, closing_text
from synthsift.report.collect import collect_findings
from synthsift.report.terminal import LEGEND, MAX_FINDINGS, closing_notes


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_run(tmp_path_factory.mktemp("terminal") / "run")


@pytest.fixture(scope="module")
def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text())


def printed(summary: dict[str, Any], width: int = 140) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(closing_table(summary))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_a_line_for_each_policy_best_first(summary: dict[str, Any]) -> None:
    title, reason, _, *lines, legend = [line.rstrip() for line in printed(summary).splitlines() if line.strip()]
    assert title == "Points of accuracy over RealOnly, each as if it alone were tried"
    assert reason == "(the verdict's own gain, below, is corrected for having been chosen):"
    assert legend == LEGEND and lines[1].endswith("  ~"), "LearnedWeights cannot be told from the best"
    assert [line.split()[0] for line in lines][:2] == ["TrustedMargin", "LearnedWeights"]
    assert lines[-1].startswith("EL2N") and lines[-1].endswith("5  stopped")
    assert lines[0].split()[1:] == ["+2.1", "[1.4,", "2.8]", "0.440", "25", "<-", "verdict"]
    assert ["RealOnly", "0.0", "0.450", "25"] in [line.split() for line in lines]


def test_the_verdict_comes_first_and_what_was_left_out_last(summary: dict[str, Any]) -> None:
    verdict = {**summary["verdict"], "policy": "Everything"}
    changed = {**summary, "verdict": verdict, "stopped": {**summary["stopped"], "KNNShapley": "to keep to the budget"}}
    names = [line.split()[0] for line in closing_text(changed).splitlines()[3:]]
    assert names[:3] == ["Everything", "TrustedMargin", "LearnedWeights"] and names[-2:] == ["EL2N", "KNNShapley"]
    assert closing_text(changed).endswith("-  left out")


def test_the_table_fits_eighty_columns(summary: dict[str, Any]) -> None:
    rows = [{**row, "name": row["name"].replace("EL2N", "TrustedMarginFilter+Real5")} for row in summary["comparison"]]
    changed = {**summary, "comparison": rows, "stopped": {"TrustedMarginFilter+Real5": "clearly behind TrustedMargin"}}
    changed["verdict"] = {**summary["verdict"], "gain": {"metric": "balanced_accuracy"}}
    assert len(printed(changed, 80).splitlines()) == len(rows) + 4, "two lines of title, heads, rows, legend"


def test_nothing_is_near_where_the_verdict_was_not_chosen_by_log_loss(summary: dict[str, Any]) -> None:
    copies = {**summary, "verdict": {**summary["verdict"], "policy": "RealOnly", "reason": "copies"}}
    assert "~" in closing_text(summary) and "~" not in closing_text(copies)


def test_the_text_says_the_same(summary: dict[str, Any]) -> None:
    lines = closing_text(summary).splitlines()
    assert not [line for line in lines if line != line.rstrip()]
    table = [line.split() for line in printed(summary, 300).splitlines() if line.strip()]
    assert [line.split() for line in lines] == table
    assert closing_text(summary).isascii()


def test_names_cannot_move_the_cursor_or_style_the_terminal(summary: dict[str, Any]) -> None:
    name = "[bold red]x[/]\x1b[2J\r\x07\u202e"
    rows = [{"name": name, "gain": None, "n_splits": None, "log_loss": None}]
    bad = {**summary, "comparison": rows, "stopped": {name: "because\x1b[0m"}}
    for text in (printed(bad), closing_text(bad)):
        assert "[bold red]x[/]" in text
        assert not set("\x1b\r\x07\u202e") & set(text)


def test_a_summary_without_a_comparison(summary: dict[str, Any]) -> None:
    bare = {"verdict": {"policy": "RealOnly", "sentence": f"No {HOSTILE[0]}."}}
    assert closing_text(bare).splitlines()[2].split() == ["policy", "gain", "95", "%", "interval", "log-loss", "splits"]
    assert "policy" in printed(bare)


def test_the_notes_name_the_test_result_and_the_worst_findings(run: Path, summary: dict[str, Any]) -> None:
    assert closing_notes(summary, collect_findings(run)) == [
        "On 1,000 test rows, accuracy: TrustedMargin 81.1 %, RealOnly 79.0 %.",
        "Findings: 1 error, 1 warning, 1 note; the report says what to do.",
        "  ERROR SS101 Class <script>alert(1)</script> is missing",
        "  WARNING SS103 A source copies training rows",
    ]


def test_of_the_real_rows_alone_the_notes_tell_what_all_rows_would_give(summary: dict[str, Any]) -> None:
    changed = {**summary, "verdict": {**summary["verdict"], "policy": "RealOnly"}}
    line, found = closing_notes(changed, [])
    assert line == "On 1,000 test rows, accuracy: RealOnly 79.0 %, Everything 78.1 %."
    assert found == "Findings: none."


def test_a_loss_on_the_test_rows_has_no_sign(summary: dict[str, Any]) -> None:
    test = [{"name": name, "metric": "log_loss", "value": -0.45} for name in ("TrustedMargin", "RealOnly")]
    verdict = {**summary["verdict"], "gain": {"metric": "log_loss"}}
    line = closing_notes({**summary, "test": test, "verdict": verdict}, [])[0]
    assert line == "On 1,000 test rows, log-loss: TrustedMargin 0.450, RealOnly 0.450."


def test_a_loss_beside_the_test_rows_is_plain_ascii(summary: dict[str, Any]) -> None:
    test = [{"name": n, "metric": "accuracy", "value": v} for n, v in (("TrustedMargin", 0.5), ("RealOnly", 0.79))]
    line = closing_notes({**summary, "test": test}, [])[0]
    assert "TrustedMargin gains -29.0 points, outside of its interval [" in line and line.isascii()


def test_without_test_rows_nothing_is_said_of_them(summary: dict[str, Any]) -> None:
    assert closing_notes({**summary, "test": []}, []) == ["Findings: none."]
    assert closing_notes({"verdict": summary["verdict"]}, []) == ["Findings: none."]


def test_a_line_on_the_learned_weights_where_they_took_part(summary: dict[str, Any]) -> None:
    numbers = {"effective_batch": 817.2, "batch_rows": 1050, "mean_weight": 0.768, "largest_share": 0.00119}

    def line(**told: Any) -> str:
        learned, findings = closing_notes({**summary, "test": [], "diagnostics": numbers | told}, [])
        assert findings == "Findings: none." and learned.startswith("Learned weights")
        return learned

    strong = line(gsnr=3.7, noise_advice="A ratio of 1 would take about 300 rows and 37 trusted rows a step, no more")
    assert strong == (
        "Learned weights, before any power: effective batch 817 of 1,050 rows, mean weight 0.77, largest share 0.12 %; "
        "while they moved, the signal of the trusted rows outweighed its noise 3.7 times."
    )
    assert line(gsnr=37.5, gsnr_lost=10.0).endswith(
        "; before step 10, the signal of the trusted rows outweighed its noise 38 times, and then no more, although "
        "they still moved."
    )
    weak = line(gsnr=0.31, noise_advice="For a ratio of 1 take about 4,000 rows and 900 trusted rows a step")
    assert weak.endswith(
        "signal was 0.31 times the noise: for a ratio of 1 take about 4,000 rows and 900 trusted rows a step."
    )
    assert line(gsnr=0.0).endswith("while they moved, no signal of the trusted rows showed.")
    assert "never told one row from another" in line(learned_outcome=Outcome.alike.value, gsnr=0.0)


def test_many_findings_stay_a_few_short_lines(summary: dict[str, Any]) -> None:
    title = "A \x1b[2J title " + "of many words " * 10
    findings = [{"code": f"SS1{k}", "severity": "warning", "title": title} for k in range(30, 40)]
    _, head, *worst = closing_notes(summary, findings)
    assert head.startswith("Findings: 10 warnings;") and len(worst) == MAX_FINDINGS
    assert worst[-1] == "  and 7 more" and max(map(len, worst)) <= 80 and "\x1b" not in "".join(worst)


def test_what_a_run_says_last(
    run: Path, summary: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    sentence, notes = summary["verdict"]["sentence"], closing_notes(summary, collect_findings(run))
    Console().close_with(run)
    *table, empty, said, test, head, error, warning, places = capsys.readouterr().out.splitlines()
    assert "\n".join(table) == closing_text(summary) and empty == ""
    assert said == sentence and [test, head, error, warning] == notes
    assert places == f"Report: {run / 'report.html'}   Weights: {run / 'weights.parquet'}"
    Console(quiet=True).close_with(run)
    assert capsys.readouterr().out == sentence + "\n"
    Console(as_json=True).close_with(run)
    assert json.loads(capsys.readouterr().out) == summary
