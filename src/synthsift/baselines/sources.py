"""Keeping whole sources: the right choice when one generator is good and the others are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthsift.numerics.metrics import row_losses
from synthsift.records import REAL, Features, Mixture, Weights
from synthsift.seeds import Seeds
from synthsift.training.choosing import fit_chosen


@dataclass(frozen=True)
class BestSources:
    """Sources whose rows improve the prediction of held-out real rows.

    Each source is added alone to the real rows of the training part and judged by the log-loss of real rows that the
    model did not see. The regularization is chosen each time: one that suits a broken source would make sound ones look
    useless. Sources are then joined from the best down, as long as the loss keeps falling. With no source that helps,
    the least harmful one is kept: leaving all out is `RealOnly`'s part.
    """

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return weight 1 for real rows and for the rows of the kept sources."""
        is_real = ~mixture.is_synth
        names = [name for name in np.unique(mixture.source) if name != REAL]

        def loss(kept: list[str]) -> float:
            """Log-loss of held-out real rows."""
            rows = is_real | np.isin(mixture.source, kept)
            x, y, ones = features.embedding[rows], mixture.y[rows], np.ones(int(rows.sum()))
            stream, family = seeds.child("sources"), mixture.family[rows]
            fit = fit_chosen(x, y, ones, is_real[rows], mixture.num_classes, stream, family=family)
            return float(row_losses(fit.out_of_fold, y[is_real[rows]]).mean())

        alone = {name: loss([name]) for name in names}
        ranked = sorted(names, key=alone.__getitem__)
        kept, lowest = ranked[:1], alone[ranked[0]] if ranked else 0.0
        for name in ranked[1:]:
            joined = loss([*kept, name])
            if joined < lowest:
                kept, lowest = [*kept, name], joined
        values = (is_real | np.isin(mixture.source, kept)).astype(float)
        return Weights(values, mixture.ids, "BestSources")
