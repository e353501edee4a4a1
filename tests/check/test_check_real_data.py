"""What is known about real data sets is found, where they are there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from synthsift.check.findings import check
from synthsift.data.load import DataSpec, load
from synthsift.records import Finding, Severity
from synthsift.seeds import Seeds


def found(spec: DataSpec) -> dict[str, Finding]:
    return {finding.code: finding for finding in check(load(spec), Seeds(0))}


def counted(pattern: str, text: str) -> float:
    """The one number that a pattern finds."""
    (number,) = re.findall(pattern, text)
    return float(number.replace(",", ""))


def test_census_income_has_twins_and_synthpop_copies(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("adult_generators")
    findings = found(
        DataSpec(
            real=(f"{folder}/real_train.csv.gz",),
            valid=f"{folder}/real_val.csv.gz",
            test=f"{folder}/real_test.csv.gz",
            synthetic=(f"{folder}/synthetic/synthpop.csv.gz", f"{folder}/synthetic/sdv_gaussian_copula.csv.gz"),
            label="income",
        )
    )
    assert findings["SS130"].severity is Severity.error
    twins = counted(r"(\d+) real rows", findings["SS130"].seen) + counted(
        r"(\d+) of 24,421 real", findings["SS132"].seen
    )
    assert 20 <= twins <= 30, "about 25 people are in the training rows and in the holdout"
    copies = counted(r"(\d+) of 24,421 of synthpop", findings["SS140"].seen)
    assert 0.008 <= copies / 24_421 <= 0.015 and "sdv_gaussian_copula" not in findings["SS140"].seen
    assert "sdv_gaussian_copula" in findings["SS150"].seen and "synthpop" not in findings["SS150"].seen


@pytest.mark.parametrize(("name", "share", "shift"), [("tweet_sentiment", 0.17, 15), ("crowdflower_emotion", 0.42, 39)])
def test_llama_repeats_itself_and_the_labels_are_shifted(
    shared_data: Callable[[str], Path], name: str, share: float, shift: int
) -> None:
    file = shared_data(f"parrot_llm_text/{name}.jsonl.gz")
    findings = found(
        DataSpec(
            data=str(file),
            source_column="source",
            split_column="split",
            train_split="seed",
            text="text",
            label="label",
            parent="seed",
            parent_split="seed",
            max_valid=300,
        )
    )
    llama = next(text for text in findings["SS143"].seen.split("; ") if text.startswith("llama-2-70b"))
    assert counted(r"rows ([\d,]+) repeat", llama) / counted(r"of ([\d,]+) rows", llama) == pytest.approx(
        share, abs=0.01
    )
    assert counted(r"(\d+) % of the synthetic rows would", findings["SS142"].seen) == pytest.approx(shift, abs=3)
    named = findings["SS151"].seen if "SS151" in findings else ""
    assert ("of llama-2-70b" in named) == (name == "crowdflower_emotion"), "Llama-2 sometimes names the emotion"
