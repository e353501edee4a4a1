"""New rows weighed from what a run left behind: the same rows get the same weights, and bad input is told."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_data import columns_of, draw, write
from cli_runner import Ended, synthsift

from synthsift.cli.score_words import about_sources
from synthsift.cli.whole_folder import begun_name
from synthsift.data import jsonlines

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> Path:
    """A finished run on tables, and the files it was made from."""
    folder = tmp_path_factory.mktemp("score")
    files = {
        name: write(folder / f"{name}.csv", draw(n, seed, flipped=0.9 if name == "bad" else 0.05))
        for seed, (name, n) in enumerate({"real": 100, "good": 60, "bad": 50}.items())
    }
    words = ["run", "--real", files["real"], "--synthetic", files["good"], "--synthetic", f"wrong={files['bad']}"]
    words += ["--label", "label", "--out", folder / "run", "--seeds", "1", "--policies", "LearnedWeights"]
    ended = synthsift(*words)
    assert ended.code == 0, ended.err
    assert "Learned weights: " in ended.err and "meta-gradient" not in ended.err
    return folder


def score(folder: Path, out: Path, *files: object, run: str = "run", more: tuple[object, ...] = ()) -> Ended:
    words: list[object] = ["score", "--run", folder / run, "--out", out, *more]
    for file in files:
        words += ["--synthetic", file]
    return synthsift(*words)


def test_training_rows_get_the_weights_of_the_run(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights.parquet"
    ended = score(folder, out, folder / "good.csv", f"wrong={folder / 'bad.csv'}")
    assert ended.code == 0 and "110 rows" in ended.out and ended.err == ""
    found, run = columns_of(out), columns_of(folder / "run" / "weights.parquet")
    assert list(found) == ["id", "source", "row", "learned_weight"]
    of_run = dict(zip(run["id"], run["learned_weight"], strict=True))
    right = [of_run[name] for name in found["id"]]
    np.testing.assert_allclose(found["learned_weight"], right, rtol=1e-6)  # single precision in batches of another size
    assert found["row"] == [*range(60), *range(50)] and set(found["source"]) == {"good", "wrong"}


def test_texts_of_several_sources_get_the_weights_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, words = np.random.default_rng(0), np.array([f"{a}{b}" for a in "bdfgklmn" for b in ("ar", "el", "ion", "os")])
    for name, n in (("real", 60), ("one", 50), ("two", 40)):
        y = np.arange(n) % 2
        stories = [" ".join(rng.choice(words[8 * k : 8 * k + 24], 9)) for k in y]
        write(tmp_path / f"{name}.csv", {"story": stories, "label": [("no", "yes")[k] for k in y]})
    made = [tmp_path / "one.csv", tmp_path / "two.csv"]
    ended = synthsift(
        *("run", "--real", tmp_path / "real.csv", "--synthetic", made[0], "--synthetic", made[1], "--text", "story"),
        *("--label", "label", "--out", tmp_path / "run", "--seeds", "1", "--policies", "LearnedWeights"),
    )
    assert ended.code == 0, ended.err
    assert score(tmp_path, tmp_path / "w.parquet", *made).code == 0
    found, run = columns_of(tmp_path / "w.parquet"), columns_of(tmp_path / "run" / "weights.parquet")
    of_run = dict(zip(run["id"], run["learned_weight"], strict=True))
    assert len(set(found["id"])) == 90 and set(found["id"]) <= set(of_run)
    np.testing.assert_allclose(found["learned_weight"], [of_run[name] for name in found["id"]], rtol=1e-6)
    missing_texts_are_told(tmp_path, monkeypatch)


def missing_texts_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a run tells them, over all pieces of a file; a file without any text is refused."""
    monkeypatch.setattr(jsonlines, "BATCH_LINES", 3)

    def lines(name: str, *stories: object) -> Path:
        rows = [{"story": story, "label": ("no", "yes")[k % 2]} for k, story in enumerate(stories)]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder / name

    odd = lines("odd.jsonl", "", "bar", None, 12.5, ["a"], {"a": 1}, True, " ", "barel")
    ended = score(folder, folder / "odd.parquet", f"one={odd}", f"two={odd}", f"three={folder / 'one.csv'}")
    assert ended.code == 0 and "SS114 warning: Rows without text. 14 of 68 rows have no text in 'story'" in ended.err
    ended = score(folder, folder / "single.parquet", f"one={lines('single.jsonl', 'bar', '')}")
    assert ended.code == 0 and "1 of 2 rows has no text in 'story'" in ended.err
    for file in (lines("empty.jsonl", *[""] * 7), lines("numbers.jsonl", *range(7)), lines("none.jsonl", *[None] * 2)):
        ended = score(folder, folder / "no.parquet", f"two={folder / 'one.csv'}", f"one={file}")
        assert ended.code == 2 and f"no row of {file} has text in 'story'" in ended.err, ended.err
        assert not list(folder.glob("*no.parquet*"))
    huge = lines("huge.jsonl", "bar " * 2_500_000, "bar")  # 10 MB in one cell
    assert score(folder, folder / "huge.parquet", f"one={huge}").code == 0
    weight = columns_of(folder / "huge.parquet")["learned_weight"]
    assert len(weight) == 2 and np.isfinite(weight).all()


def test_rows_that_repeat_one_another_get_the_weight_of_one_of_them(tmp_path: Path) -> None:
    """`run` describes each without itself, so their features differ a little; `score` cannot tell them apart."""
    made = draw(60, 2)
    made = {name: [*column[:12], *column[:12], *column[12:]] for name, column in made.items()}
    files = [write(tmp_path / "real.csv", draw(60, 1)), write(tmp_path / "made.csv", made)]
    words = ["run", "--real", files[0], "--synthetic", files[1], "--label", "label", "--out", tmp_path / "run"]
    assert synthsift(*words, "--seeds", "1", "--policies", "LearnedWeights").code == 0
    assert score(tmp_path, tmp_path / "w.parquet", files[1]).code == 0
    found = np.array(columns_of(tmp_path / "w.parquet")["learned_weight"])
    run = np.array(columns_of(tmp_path / "run" / "weights.parquet")["learned_weight"][60:])
    np.testing.assert_allclose(found[24:], run[24:], rtol=1e-6)
    np.testing.assert_allclose(found[:12], found[12:24], rtol=1e-6)
    is_one = np.isclose(found[:12], run[:12], rtol=1e-6) | np.isclose(found[:12], run[12:24], rtol=1e-6)
    assert is_one.all()


def test_what_a_killed_score_left_is_removed_by_the_next(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.parquet"
    kill = "import os; os.replace = lambda *names: os._exit(9)\n"
    code = kill + "from synthsift.cli.score import NewRows, execute_score\nfrom pathlib import Path\n"
    code += (
        f"execute_score(Path({str(folder / 'run')!r}), NewRows(({str(folder / 'good.csv')!r},)), Path({str(out)!r}))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 9 and ended.stderr == ""
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".w.parquet.") and left.suffix == ".part"
    own = begun_name(out)  # a container may give every process the same number
    others = [
        own.with_name(own.name.replace(f"-{os.getpid()}.", f"-{os.getppid()}.")),
        tmp_path / ".w.parquet.part",
        left.with_name(left.name.replace(".w.", ".v.")),
        left.with_name(left.name.replace("-", "0-")),  # of another computer that shares the disk
    ]
    for file in (*others, own):
        file.write_text("begun")
    assert score(folder, out, folder / "good.csv").code == 0
    assert sorted(tmp_path.iterdir()) == sorted([*others, out]), (
        "what a running process, or another file, has begun stays"
    )


def test_new_rows_and_an_unknown_source(folder: Path, tmp_path: Path) -> None:
    new = {name: write(tmp_path / f"{name}.csv", draw(80, 7, flipped=f)) for name, f in (("new", 0.0), ("flip", 1.0))}
    ended = score(folder, tmp_path / "w.parquet", new["new"], new["flip"])
    assert ended.code == 0 and "flip, new are no sources of the run (good, wrong)" in ended.err
    found = columns_of(tmp_path / "w.parquet")
    weight = np.array(found["learned_weight"])
    assert np.isfinite(weight).all() and (weight > 0).all()
    assert weight[:80].mean() > weight[80:].mean(), "right labels weigh more than wrong ones"
    write(tmp_path / "named.csv", {**draw(80, 7), "who": ["good", "elsewhere"] * 40})
    more = ("--source-column", "who")
    ended = score(folder, tmp_path / "n.parquet", tmp_path / "named.csv", more=more)
    assert "elsewhere is no source of the run (good, wrong): its rows" in ended.err
    assert set(columns_of(tmp_path / "n.parquet")["source"]) == {"good", "elsewhere"}


def test_sources_that_the_network_does_not_know_take_a_line_each_kind() -> None:
    of_run = {f"s{k:02}": 1 for k in range(30)}
    lines = about_sources({"s03", "s07", *(f"id{k}" for k in range(1_000_000))}, sorted(of_run)[:5], of_run)
    ids = "id0, id1, id10, id100, id1000, id10000, id100000, id100001, id100002, id100003 and 999,990 more"
    run = "s00, s01, s02, s03, s04, s05, s06, s07, s08, s09 and 20 more"
    assert lines == [
        "s07 is none of the 20 largest sources of the run: its rows were weighed as of an unknown source.",
        f"{ids} are no sources of the run ({run}): their rows were weighed as of an unknown source.",
    ]
    assert about_sources({"s03"}, ["s03"], of_run) == []


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv.gz"])
def test_formats_and_pieces_do_not_matter(
    folder: Path, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthsift.data import delimited, stream

    monkeypatch.setattr(stream, "CHUNK_ROWS", 17)
    monkeypatch.setattr(jsonlines, "BATCH_LINES", 17)
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 700)
    columns = draw(60, 9)
    plain = write(tmp_path / "plain.csv", columns)
    other = tmp_path / f"plain2.{ending}"
    if ending == "jsonl":
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif ending == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), other)
    else:
        other.write_bytes(gzip.compress(Path(plain).read_bytes()))
    assert score(folder, tmp_path / "w.parquet", f"a={plain}", f"b={other}").code == 0
    found = columns_of(tmp_path / "w.parquet")
    np.testing.assert_allclose(found["learned_weight"][:60], found["learned_weight"][60:], rtol=1e-5)
    assert found["row"][60:] == list(range(60))


def missing_column(tmp_path: Path) -> Path:
    columns = draw(20, 3)
    del columns["a"]
    return Path(write(tmp_path / "new.csv", columns))


def no_number(tmp_path: Path) -> Path:
    return Path(write(tmp_path / "new.csv", {**draw(20, 3), "a": ["many"] * 20}))


def strange_label(tmp_path: Path) -> Path:
    return Path(write(tmp_path / "new.csv", draw(20, 3, labels=("no", "maybe"))))


def no_label(tmp_path: Path) -> Path:
    return Path(write(tmp_path / "new.csv", {**draw(20, 3), "label": [""] * 20}))


def header_only(tmp_path: Path) -> Path:
    return Path(write(tmp_path / "new.csv", {name: [] for name in draw(2, 3)}))


def arrays(tmp_path: Path) -> Path:
    np.savez(tmp_path / "new.npz", x=np.zeros((4, 3)), y=np.zeros(4, int), label=np.array(["no"] * 4))
    return tmp_path / "new.npz"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing_column, "has no column 'a'"),
        (no_number, "'a' held numbers in the run"),
        (strange_label, "the label 'maybe', which is no class of the run: no, yes"),
        (no_label, "has no label"),
        (header_only, "rows"),
        (arrays, "holds arrays, but the run learned from tables"),
    ],
)
def test_bad_rows_are_told_and_nothing_is_written(folder: Path, tmp_path: Path, make: object, words: str) -> None:
    ended = score(folder, tmp_path / "w.parquet", make(tmp_path))  # type: ignore
    assert ended.code == 2 and words in ended.err, ended.err
    assert not list(tmp_path.glob("*.parquet*")) and not list(tmp_path.glob(".*"))


def test_a_file_that_is_there_is_kept(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.parquet"
    out.write_text("mine")
    assert "is there already" in score(folder, out, folder / "good.csv").err and out.read_text() == "mine"
    assert score(folder, out, folder / "good.csv", more=("--overwrite",)).code == 0
    assert "folder that exists" in score(folder, tmp_path / "no" / "w.parquet", folder / "good.csv").err


@pytest.mark.parametrize("change", ["arrays", "settings", "version", "gone", "cut", "json"])
def test_a_changed_model_is_refused(folder: Path, tmp_path: Path, change: str) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    settings, arrays_file = tmp_path / "run" / "model" / "model.json", tmp_path / "run" / "model" / "model.safetensors"
    record = json.loads(settings.read_text())
    words = "not the ones that the run wrote"
    if change == "arrays":
        data = bytearray(arrays_file.read_bytes())
        data[-1] ^= 1
        arrays_file.write_bytes(bytes(data))
    elif change == "settings":
        settings.write_text(json.dumps({**record, "classes": record["classes"][::-1]}))
    elif change == "version":
        settings.write_text(json.dumps({**record, "schema": 1}))
        words = "of version 1"
    elif change == "gone":
        arrays_file.unlink()
        words = "cannot be read"
    elif change == "cut":
        arrays_file.write_bytes(arrays_file.read_bytes()[:1000])
    else:
        settings.write_text("[]")
        words = "does not hold the settings"
    ended = score(tmp_path, tmp_path / "w.parquet", folder / "good.csv")
    assert ended.code == 2 and words in ended.err, ended.err


@pytest.mark.parametrize("data", [None, [], {"label": "label"}])
def test_settings_that_do_not_say_how_to_read_are_refused(folder: Path, tmp_path: Path, data: object) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    file = tmp_path / "run" / "settings.json"
    record = json.loads(file.read_text())
    record["settings"]["data"] = data
    file.write_text(json.dumps(record))
    ended = score(tmp_path, tmp_path / "w.parquet", folder / "good.csv")
    assert ended.code == 2 and "damaged" in ended.err, ended.err


def test_hostile_names_and_a_circle_of_links(folder: Path, tmp_path: Path) -> None:
    ended = score(folder, tmp_path / "w.parquet", f"\x1b[31mz={folder / 'good.csv'}")
    assert ended.code == 0 and "[31mz is no source" in ended.err and "\x1b" not in ended.err + ended.out
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    ended = score(folder, tmp_path / "a" / "w.parquet", folder / "good.csv")
    assert ended.code == 2 and "cannot be written" in ended.err, ended.err


def test_only_parquet_is_written(folder: Path, tmp_path: Path) -> None:
    for name in ("w.csv", "w", "w.parquet.gz"):
        ended = score(folder, tmp_path / name, folder / "good.csv", run="nothing")  # refused before the run is read
        assert ended.code == 2 and "does not end in .parquet" in ended.err, ended.err
    assert not list(tmp_path.iterdir())


def test_weights_that_say_nothing_and_harmful_sources_are_told(folder: Path, tmp_path: Path) -> None:
    from synthsift.cli.model import load_model, save_model

    for start, name in ((False, "power"), (True, "start")):
        shutil.copytree(folder / "run", tmp_path / name)
        arrays, settings = load_model(folder / "run" / "model")
        blank = [key for key in arrays if key.endswith(".last.weight")] if start else ["metanet.temper"]
        assert blank
        save_model(tmp_path / name / "model", arrays | {key: 0 * arrays[key] for key in blank}, settings)
        ended = score(tmp_path, tmp_path / f"{name}.parquet", f"good={folder / 'good.csv'}", run=name)
        assert ended.code == 0 and ended.err.splitlines() == [
            "The run's meta-network found nothing to go by: all rows get the same weight."
        ]
        assert np.ptp(columns_of(tmp_path / f"{name}.parquet")["learned_weight"]) < 1e-12
    file = tmp_path / "power" / "summary.json"
    record = json.loads(file.read_text())
    for reason, words in (
        ("harmful", "advises against using"),
        ("seen", "fitted on the rows that judged them (SS154)"),
    ):
        file.write_text(json.dumps({**record, "verdict": {**record["verdict"], "reason": reason}}))
        ended = score(tmp_path, tmp_path / f"{reason}.parquet", f"good={folder / 'good.csv'}", run="power")
        assert ended.code == 0 and len(ended.err.splitlines()) == 2 and words in ended.err, ended.err
    file.write_text(json.dumps({**record, "balanced_training": True}))
    ended = score(tmp_path, tmp_path / "b.parquet", f"good={folder / 'good.csv'}", run="power")
    assert ended.code == 0 and len(ended.err.splitlines()) == 2 and "every class at the same total weight" in ended.err


def test_a_run_without_learned_weights_cannot_weigh(folder: Path, tmp_path: Path) -> None:
    words = ["run", "--real", folder / "real.csv", "--synthetic", folder / "good.csv", "--label", "label"]
    assert synthsift(*words, "--out", tmp_path / "run", "--seeds", "1", "--policies", "RealOnly").code == 0
    ended = score(tmp_path, tmp_path / "w.parquet", folder / "good.csv")
    assert ended.code == 2 and "has no meta-network" in ended.err
    assert score(tmp_path, tmp_path / "w.parquet", folder / "good.csv", run="nothing").code == 2


def test_arrays_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, n in (("real", 60), ("made", 40)):
        y = np.arange(n) % 2
        np.savez(tmp_path / f"{name}.npz", x=rng.standard_normal((n, 2, 3)) + y[:, None, None], y=y)
    words = ["run", "--real", tmp_path / "real.npz", "--synthetic", tmp_path / "made.npz", "--out", tmp_path / "run"]
    assert synthsift(*words, "--seeds", "1", "--policies", "LearnedWeights").code == 0
    assert score(tmp_path, tmp_path / "w.parquet", tmp_path / "made.npz").code == 0
    run = columns_of(tmp_path / "run" / "weights.parquet")
    found = columns_of(tmp_path / "w.parquet")
    np.testing.assert_allclose(found["learned_weight"], run["learned_weight"][60:], rtol=1e-5)
    np.savez(tmp_path / "wide.npz", x=np.zeros((4, 7)), y=np.zeros(4, int))
    assert "6 columns" in score(tmp_path, tmp_path / "v.parquet", tmp_path / "wide.npz").err
    np.savez(tmp_path / "nan.npz", x=np.full((4, 6), np.nan), y=np.zeros(4, int))
    assert "NaN" in score(tmp_path, tmp_path / "v.parquet", tmp_path / "nan.npz").err


def test_own_vectors_of_several_files(tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(0), {"real": 60, "one": 40, "two": 40}
    for seed, (name, n) in enumerate(rows.items()):
        write(tmp_path / f"{name}.csv", draw(n, seed))
        half = np.float16 if name == "two" else np.float64
        np.save(tmp_path / f"{name}.npy", (rng.standard_normal((n, 5)) + (np.arange(n) % 2)[:, None]).astype(half))
    own = {name: ("--embeddings", f"{tmp_path}/{name}.csv={tmp_path}/{name}.npy") for name in rows}
    words = ["run", "--real", tmp_path / "real.csv", "--label", "label", "--out", tmp_path / "run", "--seeds", "1"]
    made = ["--synthetic", tmp_path / "one.csv", "--synthetic", tmp_path / "two.csv"]
    ended = synthsift(*words, *made, "--policies", "LearnedWeights", *own["real"], *own["one"], *own["two"])
    assert ended.code == 0, ended.err
    files, out = (tmp_path / "one.csv", tmp_path / "two.csv"), tmp_path / "w.parquet"
    assert score(tmp_path, out, *files, more=own["one"] + own["two"]).code == 0
    run = columns_of(tmp_path / "run" / "weights.parquet")["learned_weight"][60:]
    np.testing.assert_allclose(columns_of(out)["learned_weight"], run, rtol=1e-6)
    out.unlink()
    for more, words in (
        (own["one"], "two.csv has no vectors; the run had own ones"),
        (("--embeddings", tmp_path / "one.npy"), "does not say which of 2 data files it belongs to"),
        ((*own["one"], *own["one"], *own["two"]), "one.csv has two files of vectors"),
        ((*own["one"], *own["real"], *own["two"]), "real.npy' names no data file before '='"),
        ((), "the run used own vectors (--embeddings); give those of the new rows"),
    ):
        ended = score(tmp_path, out, *files, more=more)
        assert ended.code == 2 and words in ended.err and not out.exists(), ended.err
