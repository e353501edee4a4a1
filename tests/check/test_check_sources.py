"""SS150 names the source whose labels are wrong, and hardly ever a sound one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthsift.check.models import contradicted_labels
from synthsift.data.worlds import permute_real_labels, same_law
from synthsift.numerics.intervals import share_interval
from synthsift.records import Mixture
from synthsift.seeds import Seeds

NUM_WORLDS = 200
NUM_REAL = (30, 60, 120, 240)


def three_sources(mixture: Mixture, seed: int, *, permute_last: bool = False) -> Mixture:
    """Spread the synthetic rows over sources a, b and c, and permute the labels of c if asked."""
    synth, rng = mixture.synth, np.random.default_rng(seed)
    source = np.array(["a", "b", "c"], dtype=object)[np.arange(len(synth)) % 3]
    y, last = synth.y.copy(), np.flatnonzero(source == "c")
    if permute_last:
        y[last] = rng.permutation(y[last])
    return replace(mixture, synth=replace(synth, source=source, y=y))


def named(mixture: Mixture, seed: int) -> set[str]:
    """The sources that the finding speaks of."""
    x = np.concatenate([part.x for part in mixture.parts if len(part)])
    found = contradicted_labels(mixture, x, Seeds(seed).child("check"))
    return set() if found is None else set(found.sources)


def test_sound_sources_are_hardly_ever_named_and_a_planted_one_is() -> None:
    """On the first 1,000 of these worlds: 3 (sound), 7 (real labels permuted), 3 (beside c) and 947 (c is found)."""
    sound = permuted = found = beside = 0
    for seed in range(1000, 1000 + NUM_WORLDS):
        num_real = NUM_REAL[seed % len(NUM_REAL)]
        world = same_law(Seeds(seed), num_real=num_real, num_valid=num_real // 4, num_synth=300, dim=8)
        sound += bool(named(three_sources(world.mixture, seed), seed))
        permuted += bool(named(three_sources(permute_real_labels(world, Seeds(seed)).mixture, seed), seed))
        told = named(three_sources(world.mixture, seed, permute_last=True), seed)
        found, beside = found + ("c" in told), beside + bool(told - {"c"})
    for false in (
        sound,
        permuted,
        beside,
    ):
        assert share_interval(false, NUM_WORLDS)[1] < 0.05, (sound, permuted, beside)
    assert share_interval(found, NUM_WORLDS)[0] > 0.85, found
