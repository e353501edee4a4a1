"""The loader on real data sets, where they are there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from synthsift.data.load import DataSpec, load

DATA = Path(os.environ.get("SYNTHSIFT_DATA") or Path(__file__).parents[2] / "../shared/data")


def need(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not in {DATA}; set SYNTHSIFT_DATA to the folder that holds it")
    return DATA / name


def test_census_income_with_sixteen_generators() -> None:
    folder = need("adult_generators")
    spec = DataSpec(
        real=(f"{folder}/real_train.csv.gz",),
        valid=f"{folder}/real_val.csv.gz",
        test=f"{folder}/real_test.csv.gz",
        synthetic=(f"{folder}/synthetic",),
        label="income",
        max_real=300,
        max_valid=300,
        max_rows_per_source=300,
    )
    start = time.process_time()
    loaded = load(spec)
    # processor time, so that a busy machine does not fail the promise of 5 seconds
    assert time.process_time() - start < 5
    mixture = loaded.mixture
    assert mixture.classes == ("<=50K", ">50K") and len(set(mixture.synth.source)) == 16
    assert (len(mixture.real), len(mixture.valid), len(mixture.synth)) == (300, 300, 4800)
    assert loaded.test is not None and len(loaded.test) == 16281 and loaded.findings == ()
    numeric = {n for n, c in zip(mixture.real.x.names, mixture.real.x.categories, strict=True) if c is None}
    assert numeric == {"age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
    workclass = mixture.real.x.categories[mixture.real.x.names.index("workclass")]
    assert "_RARE_" in workclass, "a category seen only in synthetic rows is kept"


@pytest.mark.parametrize(
    ("name", "real", "valid", "synth", "classes"),
    [
        ("parrot_llm_text/tweet_sentiment.jsonl.gz", 500, 500, 8678, ("negative", "neutral", "positive")),
        ("agnews_llm_aug/agnews.jsonl.gz", 400, 500, 29493, (0, 1, 2, 3)),
    ],
)
def test_texts_with_parents(name: str, real: int, valid: int, synth: int, classes: tuple[object, ...]) -> None:
    spec = DataSpec(
        data=str(need(name)),
        source_column="source",
        split_column="split",
        train_split="seed",
        text="text",
        label="label",
        parent="seed",
        parent_split="seed",
        max_valid=500,
    )
    loaded = load(spec)
    mixture = loaded.mixture
    assert (len(mixture.real), len(mixture.valid), len(mixture.synth)) == (real, valid, synth)
    assert mixture.classes == classes and mixture.synth.parent is not None
    assert set(mixture.synth.parent) <= set(mixture.real.ids), "every parent is a seed row"
    assert {finding.code for finding in loaded.findings} <= {"SS101"}
