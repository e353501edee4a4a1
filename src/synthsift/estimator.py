"""The scikit-learn facade: arrays and data frames in, weights and a verdict out, by the road of the command line."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from synthsift.check.findings import check
from synthsift.compare import compare
from synthsift.data.memory import holds_texts, load_arrays
from synthsift.numerics.metrics import TRAINED_BY_CLASS, class_balance
from synthsift.records import Comparison, DataError, Loaded, Verdict, Weights
from synthsift.report.notebook import render_notebook
from synthsift.seeds import Seeds
from synthsift.sentence import keep_mask
from synthsift.splits import fold_count, pooled
from synthsift.studies.arguments import plan_of
from synthsift.studies.gains import plain_interval, policy_frame
from synthsift.studies.road import LEARNED, conclude, prepare


class SyntheticDataSelector(BaseEstimator):
    """Which synthetic rows to train on, with what weight, and whether the model is better for it.

    `fit` compares ways of using the synthetic rows by paired cross-validation on the real rows, chooses one, and weighs
    every row. It selects rows, so it comes before a pipeline, not into it::

        selector = SyntheticDataSelector().fit(X, y, source=source)
        model.fit(X, y, sample_weight=selector.weights_)

    Parameters
    ----------
    learner : str or classifier, default="logistic"
        "logistic", "mlp", "package.module:Factory", or a scikit-learn classifier whose ``fit`` takes ``sample_weight``.
        Text is embedded and tables are encoded before it sees them.
    policies : sequence of str, optional
        Ways to compare; all that make sense by default. RealOnly and Everything always take part.
    metric : str, optional
        "accuracy", "balanced_accuracy", "macro_f1", "auc" or "log_loss"; by default accuracy, or balanced accuracy
        where the largest real class is over three times the smallest.
    num_seeds : int, default=5
        Repetitions of the 5 folds (fewer where there are fewer groups).
    budget_minutes : float, default=5.0
        Fewer policies and fewer repetitions keep to it; reading and encoding the rows count, too.
    pca : int, optional
        Project a table to so many directions: the rows of a data frame.
    generator_saw : {"unknown", "none", "train", "all"}, default="unknown"
        Which real rows the generators were fitted on, as far as you know. "none": means that are too close to those of
        the real rows are told in `findings_`, and do not overrule the verdict.
    random_state : int, RandomState instance or None, default=0
        The first repetition's number; None counts as 0, so that the same call gives the same answer.

    Attributes
    ----------
    weights_ : ndarray (n,)
        Weight of every row of `X` under the best bet, mean 1; 0 leaves a row out. For ``sample_weight``. Where the
        metric is balanced accuracy, models are trained with every class of the same total weight, as these weights
        have it.
    support_ : ndarray (n,) of bool
        Rows to keep: real ones, and synthetic ones with more than a tenth of the mean positive synthetic weight.
    learned_weights_ : ndarray (n,)
        The meta-network's weight, whatever the verdict, as a run writes it into ``weights.parquet``: the mean is 1 over
        all rows that took part, those of `X_valid` too; rows that were left out have 0. NaN without learned weights.
    verdict_ : Verdict
        Policy, evidence, gains in points with intervals, and the sentence. ``verdict_.use`` says whether the synthetic
        rows are recommended; if not, `weights_` are still those of the best bet.
    policies_ : pandas.DataFrame
        A row for each policy: gain over RealOnly with its interval, log-loss, splits; best gain first.
    comparison_ : Comparison
        Out-of-fold predictions of all policies.
    findings_ : tuple of Finding
        What was odd in the rows.
    classes_ : ndarray
        Labels that real rows have: numbers, booleans or texts, as in `y`.
    n_features_in_, feature_names_in_ : int, ndarray
        As everywhere in scikit-learn; not for texts.

    Examples
    --------
    >>> import numpy as np
    >>> from synthsift import SyntheticDataSelector
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(120) % 2
    >>> X = rng.normal(size=(120, 2)) + 2 * y[:, None]
    >>> source = np.where(np.arange(120) < 60, "real", "gan")
    >>> selector = SyntheticDataSelector(policies=["RealTimes3"], num_seeds=1).fit(X, y, source=source)
    >>> selector.weights_.shape, bool(selector.support_[:60].all())
    ((120,), True)
    """

    def __init__(
        self,
        learner: Any = "logistic",
        *,
        policies: Any = None,
        metric: str | None = None,
        num_seeds: int = 5,
        budget_minutes: float = 5.0,
        pca: int | None = None,
        generator_saw: str = "unknown",
        random_state: Any = 0,
    ) -> None:
        self.learner = learner
        self.policies = policies
        self.metric = metric
        self.num_seeds = num_seeds
        self.budget_minutes = budget_minutes
        self.pca = pca
        self.generator_saw = generator_saw
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        source: Any = None,
        X_valid: Any = None,
        y_valid: Any = None,
        parent: Any = None,
        group: Any = None,
    ) -> SyntheticDataSelector:
        """Compare, decide, and weigh every row of `X`.

        Parameters
        ----------
        X : array-like of numbers (n, ...), sequence of str (n,), or pandas.DataFrame
            Real and synthetic rows together, in any order.
        y : array-like (n,)
            Class labels.
        source : array-like of str (n,)
            "real" for real rows, the name of the generator for others.
        X_valid, y_valid : optional
            Real rows that validate; they are pooled with the real rows and never get a weight of their own here.
        parent : array-like of int (n,), optional
            Place in `X` of the real row that a synthetic row was made from, negative where unknown: it is not trained
            on while its parent is judged.
        group : array-like (n,), optional
            Rows of one group never straddle a split.

        Returns
        -------
        SyntheticDataSelector
            Itself.

        Raises
        ------
        DataError
            A ValueError that says what was seen, what was needed and what to do next.
        """
        import torch
        from threadpoolctl import threadpool_limits

        started, plan = time.perf_counter(), plan_of(**self.get_params(deep=False))
        loaded = self._load(X, y, source, X_valid, y_valid, parent, group)
        fold_count(pooled(loaded.mixture))  # refuses a single group before the work begins
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with threadpool_limits(1):
                encoded, study = prepare(loaded, plan)
                left = max(plan.budget_seconds - (time.perf_counter() - started), 0.2 * plan.budget_seconds)
                study = replace(study, budget_seconds=left)
                comparison = compare(study)
                found = conclude(study, loaded, comparison, None)
        finally:
            torch.set_num_threads(threads)
        self.classes_ = np.array(loaded.mixture.classes)
        self.verdict_: Verdict = found.verdict
        self.comparison_: Comparison = comparison
        self.findings_ = check(
            loaded,
            Seeds(plan.first_seed).child("check"),
            saw=self.generator_saw,
            encoded=encoded,
            compare_means=lambda *_: found.means,
        )
        self._take_weights(loaded, found.weights[found.verdict.policy], found.weights.get(LEARNED))
        self.policies_ = policy_frame(comparison, found.verdict.metric)
        return self

    def _load(self, X: Any, y: Any, source: Any, X_valid: Any, y_valid: Any, parent: Any, group: Any) -> Loaded:
        """Check the arguments as scikit-learn does and bring them to the form that files are brought to."""
        if y is None:
            raise DataError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if source is None:
            raise DataError(
                "source is missing: pass an array with 'real' for every real row of X and the generator's name for "
                "every synthetic one, as in fit(X, y, source=source)"
            )
        X = self._checked(X, reset=True)
        y = column_or_1d(y, warn=True)
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise DataError("Input y contains NaN or infinity. Every row needs a label.")
        check_classification_targets(y)
        if X_valid is not None:
            X_valid = self._checked(X_valid, reset=False)
            y_valid = None if y_valid is None else column_or_1d(y_valid)
        return load_arrays(X, y, source, x_valid=X_valid, y_valid=y_valid, parent=parent, group=group)

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Check numbers as scikit-learn does; note width and names of a data frame; let texts and pictures pass."""
        if hasattr(X, "iloc") and getattr(X, "ndim", 2) == 2:
            validate_data(self, X=X, reset=reset, skip_check_array=True)
            return X
        if holds_texts("X" if reset else "X_valid", X) or getattr(X, "ndim", 2) > 2:
            return X
        return validate_data(self, X=X, reset=reset, ensure_min_samples=2 if reset else 1)

    def _take_weights(self, loaded: Loaded, weights: Weights, learned: Weights | None) -> None:
        """Bring the weights of all rows into the order of `X`; rows that could not take part get 0."""
        mixture = loaded.mixture
        left_out = 0 if loaded.left_out is None else len(loaded.left_out)
        num_rows = len(mixture.real) + len(mixture.synth) + left_out
        values, support, told = np.zeros(num_rows), np.zeros(num_rows, dtype=bool), np.zeros(num_rows)
        y = np.full(num_rows, mixture.num_classes)  # rows that are left out have no class, and no weight
        first = len(mixture.real) + len(mixture.valid)
        keep = weights.values > 0
        keep[mixture.is_synth] = keep_mask(weights.values[mixture.is_synth])
        for part, start in ((mixture.real, 0), (mixture.synth, first)):
            assert part.row is not None
            mine = slice(start, start + len(part))
            values[part.row], support[part.row], y[part.row] = weights.values[mine], keep[mine], part.y
            told[part.row] = np.nan if learned is None else learned.values[mine] / learned.values.mean()
        if self.verdict_.metric in TRAINED_BY_CLASS:
            values = class_balance(y, values)  # by codes: "a" and "a " are one class
        self.weights_ = values / values.mean()
        self.support_ = support
        self.learned_weights_ = told

    def _repr_html_inner(self) -> str:
        return self._html()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._html()}

    def _html(self) -> str:
        """The verdict as a small page of its own; before `fit`, scikit-learn's own box."""
        if not hasattr(self, "verdict_"):
            from sklearn.utils import estimator_html_repr

            return estimator_html_repr(self)
        return render_notebook(_summary(self), repr(self))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "verdict_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.string = True
        return tags

    def get_support(self, indices: bool = False) -> np.ndarray:
        """Return `support_`, or with `indices` the places of the rows to keep, as scikit-learn's selectors do."""
        check_is_fitted(self)
        return np.flatnonzero(self.support_) if indices else self.support_


def _summary(selector: SyntheticDataSelector) -> dict[str, Any]:
    """What the notebook shows."""
    verdict = selector.verdict_
    return {
        "verdict": {
            "policy": verdict.policy,
            "use": verdict.use,
            "evidence": verdict.evidence,
            "sentence": verdict.sentence,
            "keep_fraction": verdict.keep_fraction,
            "effective_fraction": verdict.effective_fraction,
            "gain": {
                "over_real_only": plain_interval(verdict.gain),
                "over_everything": plain_interval(verdict.gain_over_everything),
            },
        },
        "metric": verdict.metric,
        "splits": verdict.num_splits,
        "policies": [{"name": name, **row} for name, row in selector.policies_.to_dict("index").items()],
        "findings": [finding.title for finding in selector.findings_],
    }
