from __future__ import annotations

import numpy as np
import pytest

from synthsift.report.tally import count_kept, count_weights
from synthsift.seeds import Seeds


def make_rows(n: int = 500, *, with_learned: bool = True) -> dict[str, np.ndarray]:
    rng = Seeds(1).numpy("rows")
    weight = rng.gamma(1.0, 1.0, size=n) * (rng.random(n) < 0.7)
    rows = {
        "source": np.array(["real", "b", "a"], dtype=object)[rng.integers(3, size=n)],
        "label": np.array(["x", "y", "z" * 50], dtype=object)[rng.integers(3, size=n)],
        "weight": weight,
        "keep": weight > 0.3,
    }
    if with_learned:
        rows["learned_weight"] = np.where(rng.random(n) < 0.1, np.nan, rng.random(n))
    return rows


def kept_by_loops(rows: dict[str, np.ndarray], source: str | None, label: str | None) -> tuple[int, int]:
    """Slow twin: rows and kept rows of a source and a class (None = all)."""
    num = kept = 0
    for s, c, k in zip(rows["source"], rows["label"], rows["keep"], strict=True):
        if s != "real" and source in (None, s) and label in (None, c):
            num += 1
            kept += int(k)
    return num, kept


def test_counts_equal_those_of_a_loop() -> None:
    rows = make_rows()
    kept = count_kept(rows, ["z" * 50, "x"])
    assert [row["label"] for row in kept["classes"]] == ["z" * 50, "x", "y"]
    for row in kept["sources"]:
        assert (row["rows"], row["kept"]) == kept_by_loops(rows, row["name"], None)
        mine = rows["source"] == row["name"]
        assert row["weight_share"] == pytest.approx(rows["weight"][mine].sum() / rows["weight"].sum())
        assert row["mean_learned_weight"] == pytest.approx(np.nanmean(rows["learned_weight"][mine]))
    for row in kept["classes"]:
        assert (row["rows"], row["kept"]) == kept_by_loops(rows, None, row["label"])
        assert row["real"] == int(((rows["source"] == "real") & (rows["label"] == row["label"])).sum())
    for cell in kept["cells"]:
        assert (cell["rows"], cell["kept"]) == kept_by_loops(rows, cell["source"], cell["label"])
    assert sum(row["weight_share"] for row in [kept["real"], *kept["sources"]]) == pytest.approx(1.0)
    shares = [row["weight_share"] for row in kept["sources"]]
    assert shares == sorted(shares, reverse=True)


def test_no_synthetic_row_and_no_learned_weight() -> None:
    rows = {name: column[make_rows()["source"] == "real"] for name, column in make_rows(with_learned=False).items()}
    kept = count_kept(rows)
    assert kept["sources"] == [] and kept["cells"] == []
    assert kept["real"]["weight_share"] == pytest.approx(1.0)
    assert list(count_weights(rows)) == ["weight"]


def test_histograms_count_every_row_once() -> None:
    rows = make_rows()
    rows["weight"][:3] = 1000.0
    weights = count_weights(rows)
    assert list(weights) == ["weight", "learned_weight"]
    histogram = weights["weight"]
    assert [row["name"] for row in histogram["sources"]] == ["real", "a", "b"]
    for row in histogram["sources"]:
        mine = rows["weight"][rows["source"] == row["name"]]
        assert row["rows"] == len(mine)
        assert row["zero"] == int((mine == 0).sum())
        assert sum(row["counts"]) == int((mine > 0).sum())
        edges = histogram["edges"]
        for low, high, seen in list(zip(edges, edges[1:], row["counts"], strict=False))[:-1]:
            assert seen == sum(1 for value in mine if value > 0 and low <= value < high)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_weights_have_a_histogram(value: float) -> None:
    rows = make_rows(with_learned=False)
    rows["weight"] = np.where(rows["source"] == "real", 2.0, value)
    histogram = count_weights(rows)["weight"]
    assert histogram["edges"][-1] > (value or 2.0)
    assert all(sum(row["counts"]) + row["zero"] == row["rows"] for row in histogram["sources"])
