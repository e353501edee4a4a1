"""Rows become finite vectors, new rows by the same rule as the fitted ones, also after saving and loading."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from synthsift.records import DataError, Table
from synthsift.represent.encoders import (
    MAX_CATEGORIES,
    ArrayEncoder,
    Encoder,
    TableEncoder,
    TextEncoder,
    fit_encoder,
    restore,
)
from synthsift.seeds import Seeds
from synthsift.training.learners import Logistic, Rows, fit_weighted

NAN = float("nan")


def numeric(*columns: Any) -> Table:
    values = tuple(np.asarray(column, dtype=np.float64) for column in columns)
    return Table(tuple(f"c{k}" for k in range(len(values))), values, (None,) * len(values))


def categorical(cells: list[str | None], names: list[str] | None = None) -> Table:
    known = tuple(sorted({c for c in cells if c is not None}) if names is None else names)
    codes = np.array([-1 if c is None else known.index(c) for c in cells], dtype=np.int32)
    return Table(("kind",), (codes,), (known,))


def mixed(n: int = 80, seed: int = 0) -> Table:
    """A symmetric column, one with gaps, a heavy-tailed one, a constant, and a category with gaps."""
    rng = np.random.default_rng(seed)
    gaps = np.where(rng.random(n) < 0.2, NAN, rng.normal(5, 2, n))
    codes = rng.integers(-1, 4, n).astype(np.int32)
    values = (rng.standard_normal(n), gaps, np.exp(2 * rng.standard_normal(n)), np.full(n, 7.0), codes)
    return Table(("a", "gaps", "money", "same", "kind"), values, (None, None, None, None, ("x", "y", "z", "w")))


def saved_and_restored(encoder: Encoder) -> Encoder:
    """Pass the state through what a file keeps: copies of arrays, and JSON."""
    arrays, settings = encoder.state()
    return restore({name: value.copy() for name, value in arrays.items()}, json.loads(json.dumps(settings)))


def skewness(values: np.ndarray) -> float:
    return float(np.mean(((values - values.mean()) / values.std()) ** 3))


class TestTable:
    def test_numbers_are_centered_at_the_median_and_divided_by_the_spread(self) -> None:
        table = numeric([0.0, 1.0, 2.0, 3.0, 9.0])
        spread = np.std([0.0, 1.0, 2.0, 3.0, 9.0])
        np.testing.assert_allclose(
            TableEncoder.fit(table).transform(table)[:, 0], np.array([-2, -1, 0, 1, 7]) / spread, rtol=1e-12
        )

    def test_a_missing_number_becomes_the_median_and_a_flag(self) -> None:
        encoder = TableEncoder.fit(numeric([1.0, NAN, 3.0, 5.0]))
        x = encoder.transform(numeric([NAN, 3.0, 5.0]))
        assert x.shape == (3, 2) and x[:, 1].tolist() == [1.0, 0.0, 0.0]
        assert x[0, 0] == x[1, 0] == 0.0 < x[2, 0]

    def test_a_number_missing_for_the_first_time_is_the_median_too(self) -> None:
        x = TableEncoder.fit(numeric([1.0, 3.0, 5.0])).transform(numeric([NAN, 5.0]))
        assert x.shape == (2, 1) and x[0, 0] == 0.0

    def test_a_column_without_any_number_is_only_a_flag(self) -> None:
        table = numeric([NAN, NAN, NAN], [1.0, 2.0, 4.0])
        assert TableEncoder.fit(table).transform(table)[:, :2].tolist() == [[0.0, 1.0]] * 3

    def test_a_constant_column_is_zero_and_a_new_value_in_it_is_bounded(self) -> None:
        encoder = TableEncoder.fit(numeric([7.0] * 5))
        assert encoder.transform(numeric([7.0, 7.5, 1e9]))[:, 0].tolist() == [0.0, 0.5, 10.0]

    def test_a_heavy_tail_is_folded_in_and_the_order_kept(self) -> None:
        rng = np.random.default_rng(0)
        money, plain = np.exp(2 * rng.standard_normal(500)), rng.standard_normal(500)
        encoder = TableEncoder.fit(numeric(money, -money, plain))
        assert encoder.squeezed.tolist() == [True, True, False]
        x = encoder.transform(numeric(money, -money, plain))
        assert abs(skewness(x[:, 0])) < 1.5 < 5 < skewness(money)
        assert np.array_equal(np.argsort(x[:, 0]), np.argsort(money))
        np.testing.assert_allclose(x[:, 1], -x[:, 0], atol=1e-12)

    def test_a_missing_number_in_a_heavy_tail_is_the_median(self) -> None:
        money = np.exp(2 * np.random.default_rng(0).standard_normal(501))
        encoder = TableEncoder.fit(numeric(np.r_[money, NAN]))
        x = encoder.transform(numeric([NAN, np.median(money)]))
        assert x[0, 0] == 0.0 and x[1, 0] == pytest.approx(0.0, abs=1e-12)

    def test_every_common_category_has_a_column_and_rare_ones_share_one(self) -> None:
        table = categorical(["a"] * 4 + ["b"] * 3 + ["rare"] * 2 + [None])
        x = TableEncoder.fit(table).transform(table)
        assert x[[0, 4, 7, 9]].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]

    def test_a_category_seen_for_the_first_time_counts_as_rare_wherever_its_code_is(self) -> None:
        encoder = TableEncoder.fit(categorical(["a"] * 4 + ["b"] * 3))
        new = categorical(["b", "new", "a", None], names=["new", "b", "a"])
        assert encoder.transform(new).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]]

    def test_the_width_does_not_follow_the_number_of_categories(self) -> None:
        names = [f"k{i:03}" for i in range(MAX_CATEGORIES + 30)]
        table = categorical([name for i, name in enumerate(names) for _ in range(3 + (i % 2))])
        x = TableEncoder.fit(table).transform(table)
        assert x.shape[1] == MAX_CATEGORIES + 1 and np.all(x.sum(axis=1) == 1)
        assert len(TableEncoder.fit(table).categories[0] or ()) == MAX_CATEGORIES

    def test_a_category_column_without_a_value_is_zero(self) -> None:
        table = categorical([None, None], names=[])
        assert TableEncoder.fit(table).transform(table).tolist() == [[0.0], [0.0]]

    def test_principal_directions_keep_distances_when_all_are_kept_and_the_largest_part_otherwise(self) -> None:
        table = mixed()
        plain = TableEncoder.fit(table).transform(table)
        full = TableEncoder.fit(table, pca=plain.shape[1]).transform(table)
        np.testing.assert_allclose(full @ full.T, (c := plain - plain.mean(axis=0)) @ c.T, atol=1e-9)
        two = TableEncoder.fit(table, pca=2).transform(table)
        np.testing.assert_allclose(two, full[:, :2], atol=1e-12)
        eigenvalues = np.linalg.eigvalsh(np.cov(plain.T, bias=True))[::-1]
        np.testing.assert_allclose(two.var(axis=0), eigenvalues[:2], rtol=1e-9)

    def test_another_table_is_refused_with_both_lists_of_columns(self) -> None:
        with pytest.raises(DataError, match=r"knows the columns \['c0'\] but the table has \['kind'\]"):
            TableEncoder.fit(numeric([1.0, 2.0])).transform(categorical(["a"]))

    @pytest.mark.parametrize("pca", [None, 3])
    def test_a_restored_encoder_gives_the_same_numbers(self, pca: int | None) -> None:
        encoder, new = TableEncoder.fit(mixed(), pca), mixed(seed=1)
        x = encoder.transform(new)
        assert np.isfinite(x).all() and np.abs(encoder.transform(mixed(seed=2))).max() <= 10 * np.sqrt(12)
        assert np.abs(saved_and_restored(encoder).transform(new) - x).max() == 0


FILMS = np.array(
    [
        f"{praise} {thing} tonight {k}"
        for k in range(4)
        for praise in ("wonderful lovely", "boring awful")
        for thing in ("film", "book", "concert")
    ],
    dtype=object,
)


class TestText:
    def test_texts_of_like_words_are_near_one_another(self) -> None:
        x = TextEncoder.fit(FILMS).transform(np.array(["lovely book", "wonderful film", "awful film"], dtype=object))
        gaps = np.linalg.norm(x[:, None] - x[None], axis=2)
        assert x.dtype == np.float32 and gaps[0, 1] < gaps[0, 2] and np.isfinite(x).all()

    def test_an_empty_text_and_unknown_words_are_the_same_place(self) -> None:
        x = TextEncoder.fit(FILMS).transform(np.array(["", "zebra crossing", "!?"], dtype=object))
        assert np.isfinite(x).all() and np.array_equal(x[0], x[1]) and np.array_equal(x[0], x[2])

    def test_a_text_unlike_all_fitted_ones_is_not_thrown_far_away(self) -> None:
        # six distinct texts: beyond their rank, a decomposition returns directions of rounding noise
        fitted = np.array(
            ["good film", "bad film", "good book", "bad book", "good play", "bad play"] * 10, dtype=object
        )
        encoder = TextEncoder.fit(fitted)
        size = np.linalg.norm(encoder.transform(fitted), axis=1).max()
        new = encoder.transform(np.array(["", "film", "film book play", "good", "bad good"], dtype=object))
        assert np.linalg.norm(new, axis=1).max() < 3 * size
        assert encoder.components.shape[1] <= 6

    def test_the_fit_is_repeatable(self) -> None:
        assert np.array_equal(TextEncoder.fit(FILMS).components, TextEncoder.fit(FILMS).components)

    def test_fitted_rows_are_centered(self) -> None:
        np.testing.assert_allclose(TextEncoder.fit(FILMS).transform(FILMS).mean(axis=0), 0.0, atol=1e-6)  # float32

    @pytest.mark.parametrize("texts", [["one", "two", "three"], ["", "", ""], ["the same words"] * 5])
    def test_texts_that_teach_nothing_are_refused(self, texts: list[str]) -> None:
        with pytest.raises(DataError, match=r"\d texts"):
            TextEncoder.fit(np.array(texts, dtype=object))

    def test_a_restored_encoder_gives_the_same_numbers(self) -> None:
        encoder = TextEncoder.fit(FILMS)
        new = np.array(["a lovely film tonight", "", "nothing known"], dtype=object)
        assert np.abs(saved_and_restored(encoder).transform(new) - encoder.transform(new)).max() == 0


class TestArray:
    def test_one_scale_keeps_the_geometry(self) -> None:
        x = np.random.default_rng(0).standard_normal((50, 4)) * [1, 2, 3, 4] + 5
        z = ArrayEncoder.fit(x).transform(x)
        ratio = np.linalg.norm(z[1:] - z[:-1], axis=1) / np.linalg.norm(x[1:] - x[:-1], axis=1)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
        np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
        assert np.mean(z.var(axis=0)) == pytest.approx(1.0)

    def test_columns_on_very_different_scales_are_standardized_one_by_one(self) -> None:
        x = np.random.default_rng(0).standard_normal((50, 3)) * [1, 1, 1000]
        np.testing.assert_allclose(ArrayEncoder.fit(x).transform(x).std(axis=0), 1.0, rtol=1e-12)

    @pytest.mark.parametrize("scale", [1.0, 1000.0])
    def test_a_constant_column_is_zero(self, scale: float) -> None:
        x = np.random.default_rng(0).standard_normal((20, 3)) * [1, 1, scale]
        x[:, 0] = 3.0
        z = ArrayEncoder.fit(x).transform(x)
        assert np.all(z[:, 0] == 0) and np.isfinite(z).all()

    def test_constant_columns_alone_are_refused(self) -> None:
        with pytest.raises(DataError, match="all 2 columns of the array are constant"):
            ArrayEncoder.fit(np.ones((5, 2)))

    @pytest.mark.parametrize("shape", [(5, 2), (5, 4), (3,)])
    def test_another_width_is_refused(self, shape: tuple[int, ...]) -> None:
        encoder = ArrayEncoder.fit(np.random.default_rng(0).standard_normal((5, 3)))
        with pytest.raises(DataError, match=r"knows 3 columns but the array has shape"):
            encoder.transform(np.zeros(shape))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_a_restored_encoder_gives_the_same_numbers_in_the_same_precision(self, dtype: type) -> None:
        x = np.random.default_rng(0).standard_normal((30, 3)).astype(dtype)
        encoder = ArrayEncoder.fit(x)
        z = saved_and_restored(encoder).transform(x)
        assert z.dtype == dtype and np.abs(z - encoder.transform(x)).max() == 0


def test_the_encoder_follows_the_kind_of_the_rows() -> None:
    assert isinstance(fit_encoder(mixed()), TableEncoder)
    assert isinstance(fit_encoder(FILMS), TextEncoder)
    assert isinstance(fit_encoder(np.random.default_rng(0).random((9, 2))), ArrayEncoder)
    assert fit_encoder(mixed(), pca=2).transform(mixed()).shape == (80, 2)
    with pytest.raises(DataError, match="no encoder for inputs of type list"):
        fit_encoder([1, 2])
    with pytest.raises(DataError, match="give a table, texts, images or a float array"):
        fit_encoder(np.arange(6).reshape(3, 2))


def test_an_unknown_kind_of_saved_encoder_is_refused() -> None:
    with pytest.raises(DataError, match="of kind 'sound', which this version does not know"):
        restore({}, {"kind": "sound"})


def hits(x: np.ndarray, y: np.ndarray, judged: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Whether a model of the rows (x, y) is right about judged ones."""
    rows = Rows(x, y, np.ones(len(y)), np.ones(len(y), dtype=bool), np.full(len(y), -1))
    return fit_weighted(Logistic(), rows, 4, Seeds(0)).predict_proba(judged).argmax(axis=1) == right


def test_few_texts_are_judged_by_folds_about_as_fresh_ones_are() -> None:
    """Four topics of 150 words each in 2,000; 300 texts of 12 words. With 200 directions folds are 7 points too low."""
    rng, found, words = np.random.default_rng(0), [], np.array([f"w{k}" for k in range(2000)])
    for _ in range(3):
        y = rng.integers(4, size=1800)
        of_topic = 150 * y[:, None] + rng.integers(150, size=(1800, 12))
        place = np.where(rng.random((1800, 12)) < 0.35, of_topic, rng.integers(2000, size=(1800, 12)))
        texts = np.array([" ".join(row) for row in words[place]], dtype=object)
        encoder = TextEncoder.fit(texts[:300])
        x, fresh, fold = encoder.transform(texts[:300]), encoder.transform(texts[300:]), np.arange(300) % 5
        by_fold = [hits(x[fold != k], y[:300][fold != k], x[fold == k], y[:300][fold == k]).mean() for k in range(5)]
        found.append(np.mean(by_fold) - hits(x, y[:300], fresh, y[300:]).mean())
    assert -0.035 < np.mean(found) < 0.07  # an error of .014 by the rows; the encoder has seen the words of the folds
