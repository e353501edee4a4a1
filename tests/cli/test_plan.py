"""`plan mixing` and `plan collapse` from numbers, from files and from a run."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_data import draw, two_files, write
from cli_runner import synthsift

from synthsift.report.plan_section import beside_verdict
from synthsift.theory.collapse import predict_error
from synthsift.theory.mixing import predict_accuracy
from synthsift.theory.mixing_advice import break_even_rows, largest_keep_wrong

NUMBERS = ("--num-real", 200, "--dim", 200, "--mean-norm", 1.5, "--ridge", 1)
RATES = ("--label-noise", 0.3, "--keep-right", 0.9, "--keep-wrong", 0.3, "--generator-size", 400)
COLLAPSE = ("--num-real", 2000, "--num-synth", 8000, "--dim", 200, "--mismatch", 0.5)
pytestmark = pytest.mark.usefixtures("no_pictures")


def planned(*arguments: object) -> dict[str, Any]:
    """The plan as JSON; exit code 0 and no number that is not finite."""
    ended = synthsift("plan", *arguments, "--json")
    assert ended.code == 0, ended.err
    plan = json.loads(ended.out)
    assert all(math.isfinite(number) for number in numbers_in(plan))
    return plan


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for entry in value for number in numbers_in(entry)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def said(plan: dict[str, Any]) -> str:
    return " ".join(plan["sentences"])


# ------------------------------------------------------------------------------------------------------- numbers


def test_mixing_from_numbers_is_the_formula() -> None:
    plan = planned("mixing", *NUMBERS, *RATES, "--num-synth", 800)
    at = plan["target"]["index"]
    assert plan["sizes"][at] == 800 and len(plan["sizes"]) == 40
    for name, keep in (("none", (1, 1)), ("yours", (0.9, 0.3)), ("perfect", (1, 0))):
        exact = predict_accuracy(
            200, plan["sizes"], 200, 1.5, 1.0, label_noise=0.3, keep_right=keep[0], keep_wrong=keep[1],
            generator_size=400,
        ).mean  # fmt: skip
        np.testing.assert_allclose(plan["curves"][name]["mean"], exact, rtol=1e-12)
        assert plan["curves"][name]["low"] == plan["curves"][name]["mean"]
    assert plan["curves"]["yours"]["mean"][at] == pytest.approx(0.89139, abs=5.1e-6)  # the table of the specification
    assert "no interval" in " ".join(plan["notes"]) and plan["check"]["grade"] == "none"


def test_advice_agrees_with_the_decisions_of_the_theory() -> None:
    options = {"label_noise": 0.3, "keep_right": 0.9, "generator_size": 400}
    plan = planned("mixing", *NUMBERS, *RATES, "--num-synth", 200)
    exact = largest_keep_wrong(200, 200, 200, 1.5, 1.0, **options)
    assert plan["keep_wrong_limit"]["keep_wrong"] == pytest.approx(exact, abs=0.01)
    assert f"must reject at least {math.ceil(100 * (1 - plan['keep_wrong_limit']['keep_wrong']))} %" in said(plan)
    dip = break_even_rows(200, 200, 1.5, 1.0, label_noise=0.3, generator_size=4000)
    none = planned("mixing", *NUMBERS, "--label-noise", 0.3, "--generator-size", 4000)["advice"]["none"]
    assert none["break_even_rows"] == pytest.approx(dip, rel=0.03)  # between two amounts in proportion
    assert none["dips"] and none["worst_gain"] < -0.03


def test_stop_at_so_many_rows() -> None:
    plan = planned("mixing", *NUMBERS, "--generator-size", 4000)
    reading = plan["advice"]["none"]
    best = max(plan["curves"]["none"]["mean"])
    at = predict_accuracy(200, reading["enough_rows"], 200, 1.5, 1.0, generator_size=4000).mean
    assert best - at == pytest.approx(0.001, abs=2e-4)
    assert plan["target"]["rows"] == pytest.approx(
        reading["enough_rows"], rel=0.3
    )  # the other advice is about that amount
    assert said(plan).startswith("Stop at about ") and "less than 0.1 points" in said(plan)
    assert "worth at most 4,000 real examples" in said(plan)
    assert "upper bound" in " ".join(planned("mixing", *NUMBERS)["notes"])


def test_a_poor_generator_is_advised_against() -> None:
    poor = ("--label-noise", 0.3, "--generator-size", 20, "--num-synth", 2000)
    plan = planned("mixing", *NUMBERS[:-2], *poor)
    assert "Do not add them as they are" in said(plan) and plan["ridge"] == 1000
    # At a poor ridge the same rows seem to help; the comparison at the best ridge of each says that they do not.
    assert "ridge tuned for each, they hurt" in said(planned("mixing", *NUMBERS, *poor))
    assert "Verify better first: 30 %" in said(plan)
    assert "adds no information" in said(planned("mixing", *NUMBERS, "--generator", "self", "--label-noise", 0))
    near = planned("mixing", *NUMBERS, "--label-noise", 0.45)
    assert "Danger: at a label noise of 50 %" in said(near)


def test_an_audit_gives_intervals_that_hold_the_truth(tmp_path: Path) -> None:
    rows = [[1, 1]] * 72 + [[1, 0]] * 8 + [[0, 1]] * 6 + [[0, 0]] * 14
    audit = write(tmp_path / "audited.csv", dict(zip(("right", "kept"), np.array(rows).T.tolist(), strict=True)))
    asked = (*NUMBERS, "--generator-size", 4000, "--num-synth", 800)
    plan = planned("mixing", *asked, "--audit", audit)
    at, yours = plan["target"]["index"], plan["curves"]["yours"]
    assert yours["mean"][at] == pytest.approx(0.9065, abs=5.1e-5)
    assert 0.885 < yours["low"][at] < yours["mean"][at] < yours["high"][at] < 0.915
    assert yours["low"][0] == yours["high"][0]  # without synthetic rows nothing is uncertain
    counted = planned(
        "mixing", *asked, "--label-noise", 0.2, "--keep-right", 0.9, "--keep-wrong", 0.3, "--audited", 100
    )
    assert counted["curves"] == plan["curves"]
    assert "[" in said(plan)


def test_spectrum_and_mean_from_files(tmp_path: Path) -> None:
    spectrum, mean = np.linspace(2, 0.1, 30), np.full(30, 0.3)
    (tmp_path / "s.txt").write_text("\n".join(map(str, spectrum)))
    np.save(tmp_path / "m.npy", mean)
    files = ("--spectrum", tmp_path / "s.txt", "--mean", tmp_path / "m.npy")
    plan = planned("mixing", "--num-real", 60, "--dim", 30, *files, "--ridge", 0.2)
    exact = predict_accuracy(60, plan["sizes"], 30, None, 0.2, spectrum=spectrum, mean=mean).mean
    np.testing.assert_allclose(plan["curves"]["none"]["mean"], exact, rtol=1e-12)


def test_without_real_rows() -> None:
    plan = planned("mixing", "--num-real", 0, "--dim", 50, "--mean-norm", 1, "--label-noise", 0.1)
    assert plan["real_only"] is None and "Without real rows" in said(plan)


def test_collapse_from_numbers_is_the_formula() -> None:
    plan = planned("collapse", *COLLAPSE, "--mismatch-error", 0.05, "--width", 300)
    exact = predict_error(2000, 8000, 200, mismatch=0.5)
    assert plan["here"]["total"] == pytest.approx(float(exact.mean)) == pytest.approx(0.342041, abs=1e-6)
    at, pooled = plan["target"]["index"], plan["curves"]["pooled"]
    assert pooled["mean"][at] == pytest.approx(plan["here"]["total"])
    assert pooled["low"][at] < pooled["mean"][at] < pooled["high"][at]
    assert plan["curves"]["weighted"]["mean"][at] == pytest.approx(0.090608, abs=1e-6)  # table 12.4
    assert all(
        weighted <= pooled + 1e-12
        for weighted, pooled in zip(plan["curves"]["weighted"]["mean"], pooled["mean"], strict=True)
    )
    names = [remedy["name"] for remedy in plan["remedies"]]
    assert names[:2] == ["two stages", "weighted"]
    assert plan["worth"]["most"] == pytest.approx(400)
    for words in (
        "do not pool them",
        "worth at most 400 real",
        "ends at a floor of 0.32, however many rows there are: beyond about 7,000 rows of this mix it changes by less",
        "Pool at most about 400",
    ):
        assert words in said(plan), words


def test_weighted_curve_between_its_points_is_the_search() -> None:
    from synthsift.theory.collapse_weights import best_weight

    plan = planned("collapse", *COLLAPSE)
    for place in range(1, 40, 4):
        exact = best_weight(2000, plan["sizes"][place], 200, mismatch=0.5).error
        assert plan["curves"]["weighted"]["mean"][place] == pytest.approx(exact, rel=2e-3)


def test_a_bigger_model_hurts_where_the_mismatch_is_large() -> None:
    """Table 12.4: n = 1000, d = 500, p_2 = .3: with c^2 = 16 bigger is worse below d, with c^2 = 1 better."""
    numbers = ("--num-real", 700, "--num-synth", 300, "--dim", 500, "--real-noise-variance", 0.1, "--width", 200)
    assert "A bigger model hurts here" in said(planned("collapse", *numbers, "--mismatch", 16))
    assert "A bigger model helps here" in said(planned("collapse", *numbers, "--mismatch", 1))


@pytest.mark.parametrize(
    ("num_real", "num_synth", "dim", "mismatch", "ridge"),
    [
        (20_000, 200_000, 300, 0.3, 0), (1000, 100_000, 200, 0.05, 0), (36, 54, 20, 0.5, 0.3),
        (300, 700, 100, 40, 0.01), (1e6, 1e3, 50, 1, 0),
    ],
)  # fmt: skip
def test_rows_near_the_floor(num_real: float, num_synth: float, dim: int, mismatch: float, ridge: float) -> None:
    """From these rows on the error of the same mix is within a tenth of its floor, and at half of them it is not."""
    asked = ("--num-real", num_real, "--num-synth", num_synth, "--dim", dim, "--mismatch", mismatch, "--ridge", ridge)
    plan = planned("collapse", *asked)
    rows = plan["near_floor_rows"] * np.array([0.5, 1.0, 2.0, 100.0])
    share = plan["synth_fraction"]
    error = predict_error((1 - share) * rows, share * rows, dim, mismatch=mismatch, ridge=ridge).mean / plan["floor"]
    assert error[0] > 1.15 and error[1] == pytest.approx(1.1, abs=0.005)
    assert 1 < error[3] < error[2] < 1.06
    assert plan["mix"]["rows"][-1] > rows[1]  # the picture shows it


def test_a_floor_out_of_reach_is_not_told() -> None:
    plan = planned("collapse", "--num-real", 10_000, "--num-synth", 1, "--dim", 100, "--mismatch", 1e-6)
    assert plan["floor"] > 0 and plan["near_floor_rows"] is None and "floor" not in said(plan)


def test_few_rows_of_many_features_have_a_curve_of_the_mix() -> None:
    plan = planned("collapse", "--num-real", 1, "--num-synth", 1, "--dim", 2000, "--mismatch", 1)  # 1,000 n is the pole
    assert np.all(np.diff(plan["mix"]["rows"]) > 0) and plan["near_floor_rows"] < plan["mix"]["rows"][-1]


def test_a_best_width_is_told_only_where_both_ends_are_worse() -> None:
    noisy = ("--num-real", 300, "--num-synth", 300, "--dim", 400, "--mismatch", 0.5, "--real-noise-variance", 0.3)
    plan = planned("collapse", *noisy, "--ridge", 0.01)
    best, errors = plan["size"]["best"], plan["size"]["error"]
    assert min(errors[0], errors[-1]) > 1.05 * best["error"] and "The best width is about" in said(plan)
    assert "at ridge" not in said(plan)
    assert "(at ridge 0.001)" in said(planned("collapse", *noisy))  # without ridge a width curve has a pole
    flat = planned("collapse", "--num-real", 20_000, "--num-synth", 200_000, "--dim", 300, "--mismatch", 0.3)
    assert flat["size"]["best"]["is_interior"] and "best width" not in said(flat)  # 1.5 % at the wide end
    at_hand = planned("collapse", *noisy, "--ridge", 0.01, "--width", 20_000)
    assert "hardly matters here" in said(at_hand) and "best width" not in said(at_hand)


def test_no_mismatch_has_no_floor() -> None:
    plan = planned("collapse", "--num-real", 500, "--num-synth", 500, "--dim", 20, "--mismatch", 0)
    assert plan["near_floor_rows"] is None and plan["floor"] == 0 and "floor" not in said(plan)
    ridged = planned("collapse", "--num-real", 500, "--num-synth", 500, "--dim", 20, "--mismatch", 0, "--ridge", 0.1)
    assert ridged["floor"] > 0 and "floor" not in said(ridged)  # the ridge's own, no matter of the mix
    assert "nothing limits" in said(plan)


def test_collapse_mismatch_from_an_audit(tmp_path: Path) -> None:
    audit = write(tmp_path / "a.csv", {"right": [1] * 90 + [0] * 10})
    plan = planned("collapse", "--num-real", 500, "--num-synth", 500, "--dim", 20, "--audit", audit)
    assert plan["mismatch"]["value"] == pytest.approx(0.4)
    assert any("as if all of it were a wrong rule" in note for note in plan["notes"])


# ------------------------------------------------------------------------------------------------- files and runs


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("files")
    return write(folder / "real.csv", draw(200, 1)), write(folder / "made.csv", draw(400, 2, flipped=0.2))


def test_mixing_from_files(files: tuple[str, str], tmp_path: Path) -> None:
    audit = write(tmp_path / "a.csv", {"right": [1, 0, 1, 1, 1] * 20, "kept": ["yes", "no", "yes", "yes", "yes"] * 20})
    asked = ("mixing", "--real", files[0], "--synthetic", files[1], "--label", "label", "--audit", audit, "--draws", 40)
    plan = planned(*asked)
    assert plan["from"] == "files" and plan["target"]["rows"] == 400
    assert set(plan["curves"]) == {"none", "yours", "perfect"}
    assert plan["check"]["grade"] == "good" and "Believe it" in plan["check"]["sentence"]
    for curve in plan["curves"].values():
        assert all(
            low <= mean <= high for low, mean, high in zip(curve["low"], curve["mean"], curve["high"], strict=True)
        )
    assert planned(*asked) == plan  # the seed decides everything


def test_without_an_audit_nothing_is_said_about_verifiers(files: tuple[str, str]) -> None:
    plan = planned("mixing", "--real", files[0], "--synthetic", files[1], "--label", "label", "--draws", 20)
    assert list(plan["curves"]) == ["none"] and plan["phase"] is None
    assert "nothing can be said about verifiers" in said(plan)


def test_mixing_from_real_rows_alone(files: tuple[str, str]) -> None:
    plan = planned("mixing", "--real", files[0], "--label", "label", "--label-noise", 0.1, "--draws", 30)
    assert plan["num_real"] == 200 and plan["check"]["points"][0]["rows"] == 0
    assert plan["curves"]["none"]["low"][5] < plan["curves"]["none"]["high"][5]  # the separation is uncertain
    assert any("measured: |mu|" in note for note in plan["notes"])


def test_one_class_against_the_rest(tmp_path: Path) -> None:
    real = write(tmp_path / "r.csv", draw(150, 1, labels=("x", "y", "z")))
    made = write(tmp_path / "m.csv", draw(150, 2, labels=("x", "y", "z")))
    asked = ("--real", real, "--synthetic", made, "--label", "label", "--draws", 20)
    assert planned("mixing", *asked, "--positive", "z")["positive"] == "z"
    plan = planned("mixing", *asked)
    assert plan["negative"] == "the rest" and "class 'x' against all 2 others together" in plan["subject"]
    assert (
        "this is the one with the most real rows" in plan["subject"]
        and "always answering 'the rest' is" in plan["subject"]
    )


def test_collapse_from_files(files: tuple[str, str]) -> None:
    plan = planned("collapse", "--real", files[0], "--synthetic", files[1], "--label", "label", "--width", 3)
    assert plan["from"] == "files" and plan["num_synth"] == 400
    assert plan["mismatch"]["low"] < plan["mismatch"]["value"] < plan["mismatch"]["high"]
    assert plan["check"]["grade"] in ("good", "rough")
    assert {point["rows"] for point in plan["check"]["points"]} == {0, 100, 400}
    curve = plan["learning_curve"]
    assert curve["exponent"]["low"] <= curve["exponent"]["value"] <= curve["exponent"]["high"]
    assert any(note.startswith("real rows alone: squared error") for note in plan["notes"])


def test_collapse_from_files_with_an_audit(files: tuple[str, str], tmp_path: Path) -> None:
    """The audited share of wrong labels takes the place of the fitted mismatch, and the check judges it."""
    asked = ("collapse", "--real", files[0], "--synthetic", files[1], "--label", "label")
    audit = write(tmp_path / "a.csv", {"right": [1, 0, 1, 1, 1] * 20, "kept": [1, 0, 1, 1, 1] * 20})
    plan, fitted = planned(*asked, "--audit", audit), planned(*asked)
    assert plan["mismatch"]["value"] == pytest.approx(4 * 0.2) and plan["mismatch"]["low"] < 0.8
    assert any("used instead: c^2 = 4 x 20/100" in note for note in plan["notes"])
    assert fitted["mismatch"]["value"] < 0.4  # the flips are random: they shrink the rule and do not turn it
    last = [found["check"]["points"][-1] for found in (fitted, plan)]
    assert last[0]["rows"] == last[1]["rows"] == 400 and last[0]["measured"] == last[1]["measured"]
    assert last[1]["predicted"] > last[0]["predicted"]  # so the audit is the upper end, as its note says
    assert plan["check"]["grade"] == "bad" and "do not believe" in plan["check"]["sentence"].lower()


def test_a_run_holds_a_plan_and_can_be_planned_from(tmp_path: Path) -> None:
    real, made = draw(90, 1), draw(120, 2, flipped=0.2)
    assert synthsift(*two_files(tmp_path, real=real, synthetic=made)).code == 0
    inside = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert inside["num_synth"] == 120 and inside["curves"]["none"] and inside["check"]["sentence"]
    plan = planned("mixing", tmp_path / "run")
    assert plan["from"] == "run" and plan["num_synth"] == 120 and plan["ridge"] == inside["ridge"]
    same = ("curves", "at_hand", "worth", "weight", "check", "num_draws", "sizes")  # the page and the screen agree
    assert {name: plan[name] for name in same} == {name: inside[name] for name in same}
    assert planned("collapse", tmp_path / "run")["from"] == "run"
    audit = write(tmp_path / "a.csv", {"right": [1] * 95 + [0] * 5})
    audited = planned("collapse", tmp_path / "run", "--audit", audit)
    assert audited["from"] == "run" and audited["mismatch"]["value"] == pytest.approx(0.2)


def test_a_run_that_the_theory_does_not_fit_says_so(tmp_path: Path) -> None:
    few = draw(24, 1)
    assert synthsift(*two_files(tmp_path, real=few, out="few")).code == 0
    plan = json.loads((tmp_path / "few" / "plan.json").read_text())
    assert plan["curves"] is None and "at least 20 are needed" in plan["reason"]


def test_screen_and_folder(tmp_path: Path) -> None:
    ended = synthsift("plan", "mixing", *NUMBERS, *RATES, "--out", tmp_path / "plan")
    assert ended.code == 0
    for words in ("your verifier", "- ", "Not checked", "Assumptions:", "ridge regression", "Written:"):
        assert words in ended.out
    assert sorted(path.name for path in (tmp_path / "plan").iterdir()) == ["plan.json", "plan.svg"]
    root = ET.parse(tmp_path / "plan" / "plan.svg").getroot()
    text = (tmp_path / "plan" / "plan.svg").read_text()
    assert root.tag.endswith("svg") and "var(--" not in text and "synthetic rows" in text
    quiet = synthsift("plan", "mixing", *NUMBERS, *RATES, "--quiet", "--out", tmp_path / "plan")  # may be replaced
    assert quiet.code == 0 and "Assumptions" not in quiet.out and "- " in quiet.out
    ended = synthsift("plan", "collapse", *COLLAPSE, "--out", tmp_path / "second")
    assert ended.code == 0 and "best weight" in ended.out
    ET.parse(tmp_path / "second" / "plan.svg")


def test_the_screen_has_one_sign_for_minus_and_no_markdown(tmp_path: Path) -> None:
    real, made = draw(150, 1), draw(400, 2, flipped=0.3)
    names = two_files(tmp_path, real=real, synthetic=made)
    assert synthsift(*names).code == 0
    plan = planned("mixing", tmp_path / "run", "--draws", 20)
    ended = synthsift("plan", "mixing", tmp_path / "run", "--draws", 20)
    assert "−" not in ended.out and "`" not in ended.out
    assert "Planned for the two classes" in ended.out and plan["subject"] in ended.out
    for line in plan["sentences"]:
        assert f"- {line.replace('−', '-')}\n" in ended.out
    verdict = json.loads((tmp_path / "run" / "summary.json").read_text())["verdict"]
    assert plan["beside_verdict"] == beside_verdict(plan, verdict)
    (tmp_path / "run" / "summary.json").write_text("[")  # not finished: there is nothing to stand beside
    assert planned("mixing", tmp_path / "run", "--draws", 20)["beside_verdict"] == ""
