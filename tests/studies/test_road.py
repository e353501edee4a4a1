"""The road from loaded rows to a verdict: what it refuses at once, and what it fits at the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synthsift.data.worlds import same_law
from synthsift.records import DataError, Loaded
from synthsift.seeds import Seeds
from synthsift.studies.road import Plan, prepare
from synthsift.training.learners import Logistic


def test_a_metric_that_cannot_be_judged_is_refused_before_anything_is_trained() -> None:
    mixture = same_law(Seeds(0), num_real=30, num_valid=0, num_synth=20, dim=3, num_classes=2).mixture
    real = replace(mixture.real, group=np.where(mixture.real.y == 0, "first", "second"))
    loaded = Loaded(replace(mixture, real=real), None)
    with pytest.raises(DataError, match="each of the 2 groups has rows of one class only"):
        prepare(loaded, Plan(Logistic(), "logistic", metric="auc"))
    _, study = prepare(loaded, Plan(Logistic(), "logistic", metric="log_loss"))
    assert study.metric == "log_loss"
