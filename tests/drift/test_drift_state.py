"""A state comes back as it was; a foreign, old or damaged one is refused and nothing is ever unpickled."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from drift_samples import mixture
from safetensors.numpy import save

from synthsift.drift.monitor import Alarms, watch_generation
from synthsift.drift.reference import learn_reference
from synthsift.drift.state import KIND, Stream, pack_state, unpack_state
from synthsift.numerics.fingerprints import fingerprint_arrays
from synthsift.records import DataError, Table


def fingerprint(data: bytes) -> str:
    """Digest of all that a state holds, from its header."""
    return str(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["digest"])


@pytest.fixture(scope="module")
def packed() -> tuple[Stream, bytes]:
    rng = np.random.default_rng(0)
    rows, labels = mixture(rng, 240)
    reference = learn_reference(rows, labels, seeds=0)
    seen = watch_generation(reference, mixture(rng, 60)[0], index=0, name="g<0>", seeds=0)  # some measures are NaN
    stream = Stream(reference, Alarms(10, 0.1, 0.01), 7, {"kind": "array"}, (seen,), (), ({"name": "real"}, {}))
    return stream, pack_state(stream)


def test_state_returns_every_bit(packed: tuple[Stream, bytes]) -> None:
    stream, data = packed
    back = unpack_state(data, "s")
    assert fingerprint(pack_state(back)) == fingerprint(data)  # the order in the header may differ, nothing else
    assert back.alarms == stream.alarms and back.seed == 7 and back.schema == {"kind": "array"}
    np.testing.assert_array_equal(back.reference.rows, stream.reference.rows)
    assert back.reference.columns == stream.reference.columns
    assert back.seen[0].changes == stream.seen[0].changes and back.seen[0].name == "g<0>"


def test_a_generation_added_to_a_state_is_the_one_that_was_measured_at_once(packed: tuple[Stream, bytes]) -> None:
    stream, data = packed
    rows = mixture(np.random.default_rng(1), 120)[0]
    first = watch_generation(stream.reference, rows, index=1, name="b", seeds=7, alarms=stream.alarms)
    later = watch_generation(unpack_state(data, "s").reference, rows, index=1, name="b", seeds=7, alarms=stream.alarms)
    assert first.p_value == later.p_value and first.digest == later.digest
    np.testing.assert_array_equal(first.delta, later.delta)


def test_states_of_tables_and_texts_return() -> None:
    rng = np.random.default_rng(2)
    words = np.array(["red", "green", "blue", "tall", "small", "old", "new"])
    texts = np.array([" ".join(rng.choice(words, 6)) for _ in range(240)], dtype=object)
    table = Table(("a", "b"), (rng.standard_normal(240), rng.choice(2, 240).astype(np.int32)), (None, ("x", "y")))
    for x in (texts, table):
        stream = Stream(learn_reference(x, None, seeds=0), Alarms(), 0, {})
        back = unpack_state(pack_state(stream), "s").reference
        np.testing.assert_array_equal(back.encoder.transform(x), stream.reference.encoder.transform(x))
        assert back.columns == stream.reference.columns


def test_how_rows_are_kept_and_which_fractions_went_on_return(packed: tuple[Stream, bytes]) -> None:
    stream, _ = packed
    grown = replace(stream, seen=stream.seen * 3, alpha=(0.2, 0.3), accumulate=True, announced=0.2, assumed=(2,))
    back = unpack_state(pack_state(grown), "s")
    assert back.accumulate and back.trace.accumulate and back.assumed == (2,) and back.last_fraction == 0.3
    assert back.reference.mode_words == stream.reference.mode_words and any(back.reference.mode_words)
    assert unpack_state(pack_state(replace(stream, announced=0.4)), "s").last_fraction == 0.4
    for wrong in ({"assumed": (1,)}, {"assumed": (0,)}, {"accumulate": 1}, {"announced": 1.2}):
        with pytest.raises(DataError):
            replace(stream, **wrong)


def test_a_state_of_an_older_version_still_loads(packed: tuple[Stream, bytes]) -> None:
    from safetensors.numpy import load

    stream, data = packed
    arrays = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    plain = json.loads(header["state"])
    for entry in ("mode_words", "accumulate", "announced", "assumed"):
        del plain[entry]
    for record in plain["seen"]:
        del record["row_set"]
    text = json.dumps(plain)
    old = save(arrays, metadata={**header, "state": text, "digest": fingerprint_arrays(arrays, text)})
    back = unpack_state(old, "s")
    assert not back.accumulate and back.last_fraction is None and back.assumed == ()
    assert back.reference.mode_names == {str(k): f"cluster {k + 1}" for k in range(len(back.reference.space.modes))}
    assert back.seen[0].p_value == stream.seen[0].p_value and back.seen[0].row_set == ""


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a state was unpickled",))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "no safetensors"),
        (b"\x00" * 64, "no safetensors"),
        (b"\xff" * 64, "no safetensors"),
        (pickle.dumps(Bomb()), "no safetensors"),
        (json.dumps({"seen": []}).encode(), "no safetensors"),
        (save({"a": np.zeros(2)}), "not a state"),
        (save({"a": np.zeros(2)}, metadata={"kind": KIND, "schema": "99"}), "schema '99'"),
        (save({"a": np.zeros(2)}, metadata={"kind": KIND, "schema": "1", "state": "{}", "digest": ""}), "changed"),
    ],
)
def test_what_is_no_state_is_refused(data: bytes, match: str) -> None:
    with pytest.raises(DataError, match=match):
        unpack_state(data, "s")


def test_damage_is_noticed_wherever_it_strikes(packed: tuple[Stream, bytes]) -> None:
    _, data = packed
    rng = np.random.default_rng(3)
    for cut in (9, 200, len(data) // 2, len(data) - 1):
        with pytest.raises(DataError):
            unpack_state(data[:cut], "s")
    for place in rng.integers(8, len(data), 40).tolist():
        spoiled = bytearray(data)
        spoiled[place] ^= 1 + int(rng.integers(255))
        if bytes(spoiled) != data:
            with pytest.raises(DataError):
                unpack_state(bytes(spoiled), "s")


def test_a_state_that_was_forged_but_does_not_fit_together_is_refused(packed: tuple[Stream, bytes]) -> None:
    from safetensors.numpy import load

    _, data = packed
    arrays = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    for key, value in (
        ("alpha", [0.5, 0.5]),
        ("assumed", [1]),
        ("accumulate", "yes"),
        ("mode_words", ["a"]),
        ("alarms", {"horizon": -1, "rate": 1, "tolerated": 0}),
        ("encoder", {}),
    ):
        plain = json.loads(header["state"]) | {key: value}
        text = json.dumps(plain)
        meta = {**header, "state": text, "digest": fingerprint_arrays(arrays, text)}
        with pytest.raises(DataError):
            unpack_state(save(arrays, metadata=meta), "s")
