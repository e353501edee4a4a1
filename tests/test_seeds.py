"""Streams are addressed by name: equal path, equal numbers; other path, other numbers."""

from __future__ import annotations

import numpy as np

from synthsift.seeds import Seeds, as_seeds


def test_same_path_same_stream_and_other_path_other_stream() -> None:
    draws = [
        seeds.numpy(name).random()
        for seeds, name in [
            (Seeds(0), "a"),
            (Seeds(0), "b"),
            (Seeds(1), "a"),
            (Seeds(0).child("a"), "a"),
            (Seeds(0).child("fold", 1), "a"),
            (Seeds(0).child("fold", 2), "a"),
        ]
    ]
    assert len(set(draws)) == len(draws)
    assert Seeds(0).child("fold", 1).numpy("a").random() == draws[4]


def test_torch_and_integer_streams_repeat() -> None:
    import torch

    first, second = (torch.rand(3, generator=Seeds(3).torch("x")) for _ in range(2))
    assert torch.equal(first, second)
    assert 0 <= Seeds(3).integer("x") < 2**31 - 1
    assert as_seeds(5) == Seeds(5)


def test_streams_are_not_correlated() -> None:
    values = np.array([Seeds(k).numpy("a").standard_normal(200) for k in range(40)])
    correlation = np.corrcoef(values)[np.triu_indices(40, 1)]
    assert (
        abs(correlation).max() < 0.35
    )  # 780 pairs of 200 values: SE 0.071, the largest of 780 normals is about 3.2 SE
