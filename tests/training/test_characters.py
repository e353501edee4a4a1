"""The character model learns a text whose rule is known, writes by it, and repeats with its seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.training.characters import fit_reader, mean_loss, new_reader, write_characters


def chain(n: int, rng: np.random.Generator) -> np.ndarray:
    """Pieces (n, 13) of a chain of 4 characters: the next one follows in three of four cases, any other in one."""
    codes = np.empty((n, 13), np.int64)
    codes[:, 0] = rng.integers(4, size=n)
    for k in range(1, 13):
        step = np.where(rng.random(n) < 0.75, 1, rng.integers(4, size=n))
        codes[:, k] = (codes[:, k - 1] + step) % 4
    return codes


FOLLOWS = 0.75 + 0.25 / 4
ENTROPY = -(FOLLOWS * math.log(FOLLOWS) + 3 * (1 - FOLLOWS) / 3 * math.log((1 - FOLLOWS) / 3))


def test_a_chain_is_learned_to_its_entropy_and_written() -> None:
    model = fit_reader(chain, 4, Seeds(0), width=16, steps=150, batch=32)
    test = chain(2000, np.random.default_rng(1))
    blank = new_reader(4, 16, Seeds(0))
    assert mean_loss(blank, test) == pytest.approx(math.log(4), abs=0.1)
    assert ENTROPY - 0.02 < mean_loss(model, test) < ENTROPY + 0.06
    first = torch.from_numpy(test[:1500, :1])
    made = write_characters(model, first, 12, Seeds(2).torch("writing"))
    assert made.shape == (1500, 13) and np.array_equal(made[:, 0], test[:1500, 0])
    assert np.mean((made[:, 1:] - made[:, :-1]) % 4 == 1) == pytest.approx(FOLLOWS, abs=0.04)
    again = fit_reader(chain, 4, Seeds(0), width=16, steps=3, batch=4)
    other = fit_reader(chain, 4, Seeds(0), width=16, steps=3, batch=4)
    assert mean_loss(again, test) == mean_loss(other, test)


def test_the_loss_is_that_of_plain_loops() -> None:
    model, pieces = new_reader(5, 8, Seeds(1)), np.random.default_rng(0).integers(5, size=(3, 7))
    total = []
    with torch.no_grad():
        for piece in pieces:
            for t in range(6):
                scores = model(torch.from_numpy(piece[None, : t + 1]))[0][0, -1]
                total.append(float(-torch.log_softmax(scores, 0)[piece[t + 1]]))
    assert mean_loss(model, pieces) == pytest.approx(np.mean(total), rel=1e-5)


def test_a_training_that_diverges_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthsift.training.characters.RATE", math.inf)
    with pytest.raises(DataError, match="loss of the character model is nan at step 1"):
        fit_reader(chain, 4, Seeds(0), width=8, steps=5, batch=4)
