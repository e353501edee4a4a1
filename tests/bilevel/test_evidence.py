"""Labels that can be predicted are told from labels at random, however sure or unsure the predictions are."""

from __future__ import annotations

import numpy as np
import pytest

from synthsift.bilevel.evidence import predict_themselves, predicts, signal
from synthsift.bilevel.temper import choose_temper
from synthsift.data.worlds import harmful_labels
from synthsift.numerics.metrics import row_losses
from synthsift.seeds import Seeds


def sure(said: np.ndarray, num_classes: int, top: float) -> np.ndarray:
    """Probabilities (n, c) that give `top` to the class that is said."""
    prob = np.full((len(said), num_classes), (1 - top) / (num_classes - 1))
    prob[np.arange(len(said)), said] = top
    return prob


@pytest.mark.parametrize(("num", "num_classes"), [(30, 2), (100, 10), (300, 4)])
@pytest.mark.parametrize("top", [0.3, 0.999])
def test_labels_at_random_do_not_pass(num: int, num_classes: int, top: float) -> None:
    """Over 500 draws, 2.3 % by the normal law; classes of unequal size, predictions know the frequencies."""
    rng = np.random.default_rng(0)
    q = np.arange(1, num_classes + 1) / np.arange(1, num_classes + 1).sum()
    passed = 0
    for _ in range(500):
        y, said = rng.choice(num_classes, num, p=q), rng.choice(num_classes, num, p=q)
        passed += predicts(sure(said, num_classes, top), y)
    assert passed <= 25


def test_over_confidence_hides_no_signal_and_caution_fakes_none() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(4, size=200)
    said = np.where(rng.random(200) < 0.4, y, rng.integers(4, size=200))
    prob = sure(said, 4, 0.9999)
    assert row_losses(prob, y).mean() > np.log(4) + 1 and predicts(prob, y)  # far worse than the class frequencies
    assert predicts(sure(said, 4, 0.2501), y)
    assert not predicts(np.full((200, 4), 0.25), y)
    assert not predicts(sure((said + 1) % 4, 4, 0.9), y), "predictions of other classes are no signal"


def test_a_rare_class_hides_no_signal() -> None:
    """A model of balanced rows gives both classes half, a little more to the right one; the judges are 9 to 1."""
    y = (np.arange(200) < 20).astype(int)
    p = 0.5 + 0.05 * y + 0.05 * np.random.default_rng(3).standard_normal(200)
    assert predicts(np.column_stack([1 - p, p]), y)


def test_mean_and_deviation_are_those_of_dealt_labels() -> None:
    """Against 4,000 permutations; a class without rows, one with a single row."""
    rng = np.random.default_rng(4)
    prob, y = rng.dirichlet([0.5, 1.0, 2.0, 0.3], 25), np.array([0] * 4 + [1] * 20 + [2])
    dealt = np.array([signal(prob, rng.permutation(y))[0] for _ in range(4000)])
    deviation = signal(prob, y)[1]
    assert abs(dealt.mean()) < 4 * deviation / np.sqrt(4000)
    assert dealt.std() == pytest.approx(deviation, rel=0.05)


def test_families_count_once() -> None:
    """40 families of three rows that share label and prediction: by rows one label in six at random would pass."""
    rng, family, passed, by_rows = np.random.default_rng(5), np.repeat(np.arange(40), 3), 0, 0
    for _ in range(500):
        y, said = (np.repeat(rng.integers(3, size=40), 3) for _ in range(2))
        passed += predicts(sure(said, 3, 0.8), y, family)
        by_rows += predicts(sure(said, 3, 0.8), y)
    assert passed <= 25 < 50 < by_rows


@pytest.mark.parametrize("num", [0, 1])
def test_no_rows_tell_nothing(num: int) -> None:
    assert not predicts(np.full((num, 2), 0.5), np.zeros(num, dtype=np.int64))


def test_real_rows_predict_one_another_unless_their_labels_are_permuted() -> None:
    real = harmful_labels(Seeds(0), num_real=60).mixture.real
    alone = np.full(60, -1)
    x, y, classes = np.asarray(real.x), real.y, int(real.y.max()) + 1
    assert predict_themselves(x, y, alone, classes, Seeds(0))
    for seed in range(10):
        permuted = np.random.default_rng(seed).permutation(y)
        assert not predict_themselves(x, permuted, alone, classes, Seeds(seed))
    assert not predict_themselves(x, np.zeros(60, dtype=np.int64), alone, classes, Seeds(0)), "one class"


def test_the_real_rows_are_asked_only_where_equal_weights_do_not_predict() -> None:
    rng = np.random.default_rng(2)
    x, asked = rng.standard_normal((120, 3)), []
    y, is_real, alone = (x[:, 0] > 0).astype(int), np.arange(120) < 60, np.full(120, -1)

    def ask() -> bool:
        asked.append(True)
        return len(asked) > 1

    rows = (rng.standard_normal(120), is_real, alone, 2, Seeds(0))
    choose_temper(x, y, *rows, ask)
    assert not asked
    at_random = np.where(is_real, rng.permutation(y), y)
    assert choose_temper(x, at_random, *rows, ask) == 0 and len(asked) == 1
