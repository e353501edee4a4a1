from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synthsift.data.worlds import same_law
from synthsift.records import DataError, Loaded
from synthsift.represent.encoding import encode
from synthsift.seeds import Seeds


def loaded(num_valid: int = 10) -> Loaded:
    world = same_law(Seeds(0), num_real=30, num_valid=num_valid, num_synth=20, dim=3)
    return Loaded(world.mixture, world.draw_test(7, np.random.default_rng(0)))


@pytest.mark.parametrize("num_valid", [0, 10])
def test_rows_are_in_the_order_of_the_mixture_and_test_rows_teach_nothing(num_valid: int) -> None:
    data = loaded(num_valid)
    encoded = encode(data)
    assert data.test is not None and encoded.test is not None
    x = np.concatenate([part.x for part in data.mixture.parts])
    np.testing.assert_allclose(encoded.rows, encoded.encoder.transform(x))
    np.testing.assert_allclose(encoded.test, encoded.encoder.transform(data.test.x))
    without = encode(replace(data, test=None))
    assert without.test is None
    np.testing.assert_array_equal(without.rows, encoded.rows)


def test_own_vectors_take_the_place_of_the_inputs() -> None:
    vectors = np.random.default_rng(0).normal(3.0, 5.0, (60, 4))
    encoded = encode(replace(loaded(), embeddings=vectors, test_embeddings=vectors[:7]))
    assert encoded.rows.shape == (60, 4) and encoded.rows.dtype == np.float32
    np.testing.assert_allclose(encoded.rows.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_array_equal(encoded.rows[:7], encoded.test)
    assert encode(replace(loaded(), embeddings=vectors)).test is None


def test_inputs_without_content_are_refused() -> None:
    data = loaded()
    parts = {
        name: replace(getattr(data.mixture, name), x=np.ones((n, 3)))
        for name, n in (("real", 30), ("valid", 10), ("synth", 20))
    }
    with pytest.raises(DataError, match="constant"):
        encode(replace(data, mixture=replace(data.mixture, **parts)))
