"""Bad input of `plan`: a sentence and exit code 2, never a traceback or a number that is none; extremes stay finite."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_data import draw, write
from cli_runner import snapshot, synthsift
from test_plan import numbers_in

from synthsift.records import DataError

MIXING = ("mixing", "--num-real", "100", "--dim", "40", "--mean-norm", "1")
COLLAPSE = ("collapse", "--num-real", "300", "--num-synth", "300", "--dim", "40", "--mismatch", "0.1")
BAD = 2
FILES = {
    "negative.txt": "1\n-2\n3\n" + "1\n" * 37,
    "zeros.txt": "0 " * 40,
    "short.txt": "1, 2, 3",
    "words.txt": "one\ntwo\n",
    "empty.txt": "",
    "infinite.txt": "inf\n" * 40,
    "no_right.csv": "good,kept\n1,1\n",
    "bad_cell.csv": "right,kept\n1,1\nmaybe,0\n",
    "missing_cell.csv": "right,kept\n1,1\n,0\n",
    "header.csv": "right,kept\n",
    "only_text.csv": "name,label\n" + "".join(f"row {k},{'xy'[k % 2]}\n" for k in range(60)),
}


def changed(base: tuple[str, ...], **flags: Any) -> list[str]:
    """The usual command with flags replaced, added or (None) taken out; {} stands for the folder."""
    words = {flag: value for flag, value in zip(base[1::2], base[2::2], strict=True)}
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        words.pop(flag, None)
        if value is not None:
            words[flag] = str(value)
    return [base[0], *(word for pair in words.items() for word in pair)]


CASES = [
    # sizes
    (changed(MIXING, num_real=-5), "num-real is -5"),
    (changed(MIXING, num_real="nan"), "num-real is nan"),
    (changed(MIXING, num_real="inf"), "finite"),
    (changed(MIXING, num_synth=0), "num-synth is 0"),
    (changed(MIXING, num_synth=-1), "num-synth is -1"),
    (changed(MIXING, num_synth="inf"), "finite"),
    (changed(MIXING, dim=0), "dim is 0"),
    (changed(MIXING, dim=-3), "dim is -3"),
    (changed(MIXING, generator_size=0), "generator_size is 0"),
    (changed(MIXING, ridge=0), "ridge is 0"),
    (changed(MIXING, ridge=-1), "ridge is -1"),
    (changed(MIXING, ridge="nan"), "ridge is nan"),
    (changed(MIXING, mean_norm=-1), "mean_norm is -1"),
    (changed(MIXING, mean_norm="inf"), "mean_norm is inf"),
    (changed(MIXING, draws=3), "--draws is 3"),
    (changed(COLLAPSE, num_real=0), "num-real is 0"),
    (changed(COLLAPSE, num_synth=-8), "num-synth is -8"),
    (changed(COLLAPSE, dim=0), "dim is 0"),
    (changed(COLLAPSE, width=0), "width is 0"),
    (changed(COLLAPSE, ridge=-1), "ridge is -1"),
    (changed(COLLAPSE, mismatch=-0.1), "mismatch is -0.1"),
    (changed(COLLAPSE, mismatch="nan"), "mismatch is nan"),
    (changed(COLLAPSE, mismatch_error=-1), "error -1"),
    (changed(COLLAPSE, real_noise_variance=-1), "real_noise_variance"),
    (changed(COLLAPSE, synth_noise_variance="inf"), "synth_noise_variance"),
    # fractions
    (changed(MIXING, label_noise=1.2), "label_noise is 1.2"),
    (changed(MIXING, label_noise=-0.1), "label_noise is -0.1"),
    (changed(MIXING, label_noise=0.1, keep_right=2), "keep_right is 2"),
    (changed(MIXING, label_noise=0.1, keep_wrong="nan"), "keep_wrong is nan"),
    (changed(MIXING, real_label_noise=2), "real_label_noise is 2"),
    (changed(MIXING, synth_weight=-1), "synth_weight is -1"),
    (changed(MIXING, label_noise=7, audited=10), "label-noise is 7"),
    (changed(MIXING, audited=0), "audited is 0"),
    # spectra and shapes
    (changed(MIXING, spectrum="{}/negative.txt"), "not negative"),
    (changed(MIXING, spectrum="{}/zeros.txt"), "not all zero"),
    (changed(MIXING, spectrum="{}/short.txt"), r"shape \(3,\)"),
    (changed(MIXING, spectrum="{}/words.txt"), "cannot be read as numbers"),
    (changed(MIXING, spectrum="{}/empty.txt"), "one finite number a line"),
    (changed(MIXING, spectrum="{}/infinite.txt"), "one finite number a line"),
    (changed(MIXING, spectrum="{}/absent.txt"), "cannot be read"),
    (changed(MIXING, spectrum="{}/pickle.npy"), "cannot be read as numbers"),
    (changed(MIXING, mean="{}/short.txt"), r"mean has shape \(3,\)"),
    (changed(COLLAPSE, spectrum="{}/negative.txt"), "negative"),
    (changed(COLLAPSE, spectrum="{}/zeros.txt"), "all zero"),
    (changed(COLLAPSE, spectrum="{}/short.txt"), r"shape \(3,\)"),
    # singular cases
    (changed(COLLAPSE, num_real=20, num_synth=20), r"rows = dim|infinite|ridge"),
    (changed(COLLAPSE, num_real=3, num_synth=2, width=5, ridge=0, dim=5), r"rows = dim|infinite|ridge"),
    # what is missing or contradicts
    (changed(MIXING, num_real=None, dim=None), "--num-real, --dim is missing"),
    (changed(MIXING, mean_norm=None), "--mean-norm is missing"),
    (changed(COLLAPSE, mismatch=None), "--mismatch is missing"),
    (changed(MIXING, generator="magic"), "generator is 'magic'"),
    (changed(MIXING, generator="self", generator_size=7), "fixes it"),
    (changed(MIXING, num_real=0, generator="self"), "at least 1"),
    (changed(MIXING, real="{}/real.csv", label="label"), "is measured from the rows"),
    (changed(COLLAPSE, synthetic="{}/made.csv"), "without --real"),
    (["mixing", "{}/run", "--real", "{}/real.csv"], "a RUN and data files"),
    (["mixing", "{}/nowhere"], "cannot be read"),
    (["mixing", "--real", "{}/real.csv", "--label", "label", "--positive", "blue"], "the classes are no, yes"),
    (
        ["mixing", "--real", "{}/few.csv", "--label", "label"],
        r"'yes' against 'no' leaves \d+ real rows on one side; at least 20 are needed to plan from rows: plan from",
    ),
    (["mixing", "--real", "{}/real.csv", "--label", "nothing"], "no column 'nothing'"),
    (["mixing", "--real", "{}/real.csv"], "--label is missing"),
    (["mixing", "--real", "{}/one.csv", "--label", "label"], "same label"),
    (["mixing", "--real", "{}/only_text.csv", "--label", "label"], "no usable feature"),
    (["collapse", "--real", "{}/real.csv", "--label", "label"], "needs --synthetic"),
    (["collapse", "--real", "{}/real.csv", "--synthetic", "{}/constant.csv", "--label", "label"], "no feature varies"),
    (
        ["mixing", "--real", "{}/real.csv", "--synthetic", "{}/made.csv", "--label", "label", "--keep-right", "0.5"],
        "without --label-noise",
    ),
    (
        ["mixing", "--real", "{}/real.csv", "--synthetic", "{}/made.csv", "--label", "label", "--label-noise", "0.5"],
        "label them anew",
    ),
    (
        ["mixing", "--real", "{}/real.csv", "--synthetic", "{}/made.csv", "--label", "label", "--generator", "self"],
        "for plans without synthetic rows",
    ),
    # audits
    (changed(MIXING, audit="{}/no_right.csv"), "a column right"),
    (changed(MIXING, audit="{}/bad_cell.csv"), "right is 'maybe' in data row 2"),
    (changed(MIXING, audit="{}/missing_cell.csv"), "an empty cell in data row 2"),
    (changed(MIXING, audit="{}/header.csv"), "no row|empty|no data"),
    (changed(MIXING, audit="{}/absent.csv"), "absent.csv"),
    (changed(MIXING, audit="{}/good.csv", label_noise=0.1), "drop the other flags"),
    (changed(COLLAPSE, audit="{}/good.csv"), "give one of them"),
    # output
    (changed(MIXING, out="{}/run"), "holds other files"),
    (changed(MIXING, out="{}/real.csv"), "is a file"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bad")
    for name, text in FILES.items():
        (place / name).write_text(text)
    np.save(place / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    write(place / "real.csv", draw(60, 1))
    write(place / "made.csv", draw(60, 2))
    write(place / "few.csv", draw(20, 1))
    write(place / "one.csv", {**draw(60, 1), "label": ["x"] * 60})
    write(place / "constant.csv", {**draw(60, 1), "a": [1] * 60, "b": [2] * 60, "kind": ["u"] * 60})
    write(place / "good.csv", {"right": [1, 0, 1], "kept": [1, 0, 1]})
    (place / "run").mkdir()
    (place / "run" / "mine.txt").write_text("years of work")
    return place


@pytest.mark.parametrize(("words", "message"), CASES, ids=[" ".join(words)[:70] for words, _ in CASES])
def test_a_sentence_and_nothing_touched(words: list[str], message: str, folder: Path) -> None:
    before = snapshot(folder)
    ended = synthsift("plan", *(word.replace("{}", str(folder)) for word in words))
    assert ended.code == BAD, (ended.code, ended.out, ended.err)
    assert re.search(message, ended.err), ended.err
    assert ended.err.startswith("synthsift: ") and "Traceback" not in ended.err and ended.out == ""
    assert snapshot(folder) == before


EXTREMES = [
    changed(MIXING, num_real=1, dim=1),
    changed(MIXING, num_real=40, dim=40, ridge=1e-6),  # on the threshold
    changed(MIXING, num_real=1e7, num_synth=1e9),
    changed(MIXING, mean_norm=0),
    changed(MIXING, mean_norm=50),
    changed(MIXING, label_noise=1),
    changed(MIXING, label_noise=0.5, keep_right=0, keep_wrong=0),
    changed(MIXING, label_noise=0.2, keep_right=0, keep_wrong=1),
    changed(MIXING, label_noise=0, keep_right=0.5, keep_wrong=0.5, audited=1),
    changed(MIXING, audit="{}/all_right.csv"),
    changed(MIXING, audit="{}/none_kept.csv"),
    changed(MIXING, audit="{}/all_wrong.csv"),
    changed(MIXING, num_real=0, label_noise=0.3),
    changed(MIXING, ridge=1e9),
    changed(MIXING, synth_weight=0, label_noise=0.1),
    changed(COLLAPSE, num_real=1, num_synth=1),
    changed(COLLAPSE, num_real=40),  # real rows alone on the pole
    changed(COLLAPSE, num_real=1e7, num_synth=1),
    changed(COLLAPSE, num_real=1, num_synth=1e7, mismatch=1e4),
    changed(COLLAPSE, real_noise_variance=0, mismatch=0),
    changed(COLLAPSE, real_noise_variance=0),
    changed(COLLAPSE, dim=1),
    changed(COLLAPSE, mismatch=0, mismatch_error=1),
    changed(COLLAPSE, width=1),
    changed(COLLAPSE, width=600),
    changed(COLLAPSE, width=100000, ridge=1e-9),
    changed(COLLAPSE, audit="{}/all_wrong.csv", mismatch=None),
]


@pytest.mark.parametrize("words", EXTREMES, ids=[" ".join(words)[:90] for words in EXTREMES])
def test_extremes_have_an_answer_of_finite_numbers(words: list[str], tmp_path: Path) -> None:
    write(tmp_path / "all_right.csv", {"right": [1] * 30, "kept": [1] * 20 + [0] * 10})
    write(tmp_path / "none_kept.csv", {"right": [1] * 20 + [0] * 10, "kept": [0] * 30})
    write(tmp_path / "all_wrong.csv", {"right": [0] * 30, "kept": [1] * 30})
    ended = synthsift("plan", *(word.replace("{}", str(tmp_path)) for word in words), "--draws", "20", "--json")
    assert ended.code == 0, ended.err
    plan = json.loads(ended.out)
    assert np.isfinite(numbers_in(plan)).all()
    assert plan["sentences"] and not re.search(r"\b(nan|inf|None)\b", " ".join(plan["sentences"])), plan["sentences"]


def test_an_audit_that_cannot_tell_is_said(tmp_path: Path) -> None:
    for name, columns, words in (
        ("right.csv", {"right": [1] * 30, "kept": [1] * 20 + [0] * 10}, "keep_wrong is unknown"),
        ("kept.csv", {"right": [1] * 20 + [0] * 10, "kept": [1] * 30}, "audit rows before verification"),
        ("none.csv", {"right": [1] * 20 + [0] * 10, "kept": [0] * 30}, "may keep nothing at all"),
    ):
        audit = write(tmp_path / name, columns)
        ended = synthsift("plan", *MIXING, "--audit", audit, "--draws", "20")
        assert ended.code == 0 and words in ended.out, ended.out


@pytest.mark.parametrize(("sizes", "advice"), [((15, 15, 15), "plan from numbers"), ((5, 40, 40), "choose another")])
def test_another_class_is_advised_only_where_one_has_enough_rows(sizes: tuple[int, ...], advice: str) -> None:
    from synthsift.cli.plan_rows import binary_rows

    y = np.repeat(np.arange(3), sizes)
    x = np.random.default_rng(0).standard_normal((len(y), 4))
    with pytest.raises(DataError, match=f"at least 20 are needed to plan from rows: {advice}"):
        binary_rows(x, y, x[:0], y[:0], ("a", "b", "c"), "a")
