"""Texts, arrays and the user's own embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_files import one_table, rows, two_files, write, write_npz

from synthsift.data.load import DataSpec, load
from synthsift.records import DataError, Table


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_texts_are_an_object_array_and_other_columns_are_noted(tmp_path: Path, form: str) -> None:
    real = write(tmp_path / f"real.{form}", rows(20, words=lambda i: f" text {i} "))
    made = write(tmp_path / "made.jsonl", rows(30, words="made up"))
    loaded = load(DataSpec((real,), synthetic=(made,), label="label", text="words"))
    assert loaded.mixture.real.x.dtype == object and loaded.mixture.real.x[3] == "text 3"
    assert loaded.mixture.synth.x.tolist() == ["made up"] * 30
    assert [finding.code for finding in loaded.findings] == ["SS115"] and "'a', 'b'" in loaded.findings[0].seen


def test_missing_texts_and_other_types_are_empty_and_counted(tmp_path: Path) -> None:
    odd = [None, 7, True, ["nested"], "", "fine"]
    table = [{"t": odd[i] if i < 6 else "fine", "label": i % 2} for i in range(20)]
    spec = DataSpec(
        real=(write(tmp_path / "real.jsonl", table),),
        synthetic=(write(tmp_path / "made.csv", [{"t": "made", "label": 1}] * 5),),
        label="label",
        text="t",
    )
    loaded = load(spec)
    assert loaded.mixture.real.x[:6].tolist() == ["", "", "", "", "", "fine"]
    (told,) = loaded.findings
    assert told.code == "SS114" and "5 of 25 rows have no text in 't'" in told.seen


def test_arrays_are_flattened_and_bytes_scaled(tmp_path: Path) -> None:
    real = write_npz(tmp_path / "real.npz", shape=(2, 3), dtype=np.uint8)
    made = write_npz(tmp_path / "made.npz", 30, shape=(2, 3), dtype=np.uint8)
    loaded = load(DataSpec((real,), synthetic=(made,), max_rows_per_source=8))
    x = loaded.mixture.real.x
    assert x.shape == (20, 6) and x.dtype == np.float32
    np.testing.assert_allclose(x[1], np.arange(6, 12) / 255, rtol=np.finfo(np.float32).eps)
    assert len(loaded.mixture.synth) == 8 and loaded.findings == ()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_other_numbers_are_taken_as_they_are(tmp_path: Path, dtype: type) -> None:
    files = [write_npz(tmp_path / f"{name}.npz", dtype=dtype) for name in ("real", "made")]
    x = load(DataSpec((files[0],), synthetic=(files[1],))).mixture.real.x
    assert x.dtype == np.float32 and x[0].tolist() == [0, 1, 2]


def test_bytes_beside_other_numbers_are_a_finding(tmp_path: Path) -> None:
    real, made = write_npz(tmp_path / "real.npz", dtype=np.uint8), write_npz(tmp_path / "made.npz")
    assert [f.code for f in load(DataSpec((real,), synthetic=(made,))).findings] == ["SS116"]


def test_an_array_that_would_need_pickle_does_no_harm_when_it_is_not_asked_for(tmp_path: Path) -> None:
    real = write_npz(tmp_path / "real.npz", names=np.array([{}, None], dtype=object))
    assert len(load(DataSpec((real,), synthetic=(write_npz(tmp_path / "made.npz"),))).mixture.real) == 20


def vectors(count: int, width: int = 4, start: int = 0) -> np.ndarray:
    return (start + np.arange(count * width)).reshape(count, width).astype(np.float64)


def test_embeddings_row_by_row_follow_the_rows_that_were_drawn(tmp_path: Path) -> None:
    spec = two_files(tmp_path, synthetic=rows(30, label=lambda i: "new" if i == 4 else "no"), max_real=12)
    spec = replace(spec, test=write(tmp_path / "test.csv", rows(9)))
    for name, count, start in (("real", 20, 0), ("made", 30, 1000), ("test", 9, 5000)):
        np.save(tmp_path / f"{name}.npy", vectors(count, start=start))
    np.savez(tmp_path / "made.npz", x=vectors(30, start=1000))
    entries = (
        f"{tmp_path}/real.csv={tmp_path}/real.npy",
        f"made.csv={tmp_path}/made.npz",
        f"test.csv={tmp_path}/test.npy",
    )
    loaded = load(replace(spec, embeddings=entries))
    assert loaded.embeddings is not None and loaded.test_embeddings is not None and loaded.mixture.real.row is not None
    assert loaded.embeddings.shape == (12 + 29, 4) and loaded.embeddings.dtype == np.float32
    assert loaded.embeddings[:12, 0].tolist() == (4.0 * loaded.mixture.real.row).tolist()
    assert loaded.embeddings[12:, 0].tolist() == [1000 + 4.0 * row for row in range(30) if row != 4]
    assert loaded.test_embeddings[:, 0].tolist() == [5000 + 4.0 * row for row in range(9)]


@pytest.mark.parametrize("names", [("label",), ("label", "a"), ("label", "c")])
def test_files_that_share_no_column_need_none_beside_vectors(tmp_path: Path, names: tuple[str, ...]) -> None:
    """The vectors are the inputs; with a column that all files have, the tables stay the inputs."""
    cells: dict[str, Callable[[int], object]] = {"label": lambda i: "ab"[i % 2], "a": lambda i: i, "c": lambda i: i}
    made = [{name: cells[name](i) for name in names} for i in range(30)]
    real = [{name: cells[name](i) for name in ("label", "a")} for i in range(20)]
    files = {"real": real if len(names) > 1 else [{"label": row["label"]} for row in real], "made": made}
    paths = {name: write(tmp_path / f"{name}.csv", some) for name, some in files.items()}
    for name, some in files.items():
        np.save(tmp_path / f"{name}.npy", vectors(len(some), start=7 * len(some)))
    entries = tuple(f"{paths[name]}={tmp_path}/{name}.npy" for name in files)
    spec = DataSpec((paths["real"],), synthetic=(paths["made"],), label="label")
    loaded = load(replace(spec, embeddings=entries))
    assert loaded.embeddings is not None
    found = [part.x for part in loaded.mixture.parts if len(part)]
    if "a" in names:
        assert all(isinstance(x, Table) and x.names == ("a",) for x in found)
    else:
        np.testing.assert_array_equal(np.concatenate(found), loaded.embeddings)
        with pytest.raises(DataError, match=r"no column beside|shares no feature"):
            load(spec)


@pytest.mark.parametrize("as_list", [False, True])
def test_embeddings_by_id(tmp_path: Path, as_list: bool) -> None:
    ids = [f"real:{i}" for i in range(20)] + [f"made:{i}" for i in range(30)] + ["nobody:0"]
    order = np.random.default_rng(0).permutation(len(ids))
    table = [
        {"id": ids[i]} | ({"v": [float(i), 1.0]} if as_list else {"v0": float(i), "v1": 1.0}) for i in order.tolist()
    ]
    loaded = load(two_files(tmp_path, embeddings=(write(tmp_path / "v.parquet", table),)))
    assert loaded.embeddings is not None and loaded.embeddings[:, 0].tolist() == list(range(50))


def test_a_single_file_of_vectors_belongs_to_the_single_data_file(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", vectors(55))
    loaded = load(one_table(tmp_path, embeddings=(str(tmp_path / "v.npy"),)))
    assert loaded.embeddings is not None and loaded.test_embeddings is not None
    places = np.concatenate([part.row for part in loaded.mixture.parts])  # type: ignore[misc]
    assert loaded.embeddings[:, 0].tolist() == (4.0 * places).tolist()


@pytest.mark.parametrize(
    ("entries", "pattern"),
    [
        (("{0}/short.npy",), "does not say which of 2 data files"),
        (("real.csv={0}/short.npy",), "3 vectors but .*real.csv has 20 rows"),
        (("unreal.csv={0}/good.npy",), "names no data file before '='"),
        (("real.csv={0}/good.npy",), "30 of 30 rows have no embedding, for instance 'made:0'"),
        (("real.csv={0}/absent.npy",), "does not exist"),
        (("real.csv={0}/nan.npy", "made.csv={0}/made.npy"), "1 row hold NaN"),
        (
            ("real.csv={0}/wide.npy", "made.csv={0}/made.npy"),
            r"4 dimensions \(those of .*made.csv\) and 5 \(those of .*real.csv\)",
        ),
        (("real.csv={0}/good.npy", "{0}/real.csv={0}/good.npy"), "real.csv has two files of vectors, the second is"),
        (("real.csv=", "made.csv={0}/made.npy"), "names no file of vectors after '='; .*real.csv needs one"),
        (("real.csv={0}/flat.npy",), "a matrix"),
        (("real.csv={0}/objects.npy",), "pickle"),
        (("real.csv={0}/claims.npy",), "cut off or damaged: its array of shape .* is not whole"),
        (("{0}/twice.parquet",), "'real:0' has several embeddings"),
        (("{0}/nameless.parquet",), "no column 'id'"),
        (("{0}/broken.parquet",), "not sound Parquet"),
        (("{0}/words.parquet",), "columns of numbers"),
        (("real.csv={0}/real.csv",), "no file of vectors"),
    ],
)
def test_bad_embeddings_are_refused(tmp_path: Path, entries: tuple[str, ...], pattern: str) -> None:
    bad = vectors(20)
    bad[3, 1] = np.nan
    matrices = {
        "short": vectors(3),
        "good": vectors(20),
        "made": vectors(30),
        "nan": bad,
        "wide": vectors(20, 5),
        "flat": bad[0],
    }
    for name, matrix in matrices.items():
        np.save(tmp_path / f"{name}.npy", matrix)
    np.save(tmp_path / "objects.npy", np.array([{}] * 20, dtype=object))
    with open(tmp_path / "claims.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**14, 4)})
    write(tmp_path / "twice.parquet", [{"id": "real:0", "v": 1.0}] * 2)
    write(tmp_path / "nameless.parquet", [{"v": 1.0}])
    write(tmp_path / "words.parquet", [{"id": "real:0", "v": "word"}])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=pattern):
        load(two_files(tmp_path, embeddings=tuple(entry.format(tmp_path) for entry in entries)))


def test_vectors_of_one_of_two_files_of_the_same_name_need_its_path(tmp_path: Path) -> None:
    from synthsift.data.vectors import entries_of, load_vectors

    np.save(tmp_path / "v.npy", vectors(3))
    files = {"a/s.csv": 3, "b/s.csv": 3}
    with pytest.raises(DataError, match=r"may mean any of 'a/s.csv', 'b/s.csv'. Write the path"):
        load_vectors((f"s.csv={tmp_path}/v.npy",), files, None)
    entries = (f"b/s.csv={tmp_path}/v.npy", "ids.parquet")
    assert entries_of(entries, "b/s.csv", list(files)) == entries and entries_of((), "a/s.csv", list(files)) == ()
    assert entries_of(entries, "a/s.csv", list(files)) == entries[1:]
    with pytest.raises(DataError, match=r"a/s.csv has no vectors; the run had own ones"):
        entries_of(entries[:1], "a/s.csv", list(files))
