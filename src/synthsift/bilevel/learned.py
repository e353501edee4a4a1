"""Learned weights: a small meta-network, trained on trusted rows, decides how much every row counts.

One step of the meta-training
    1. a batch of training rows gets weights from the network, normalized to shares p;
    2. the learner takes one step on the p-weighted loss;
    3. the gradient of the loss on trusted rows at the new parameters gives each row of the batch a score;
    4. the network takes one step on ``objective.meta_loss`` of these scores.
Only the scores cross between 2 and 4, so the meta-gradient is exact and nothing is unrolled.

The learned log-weights are then tempered: their strength is chosen by the loss of real rows that never served as
trusted rows, with strength 0 (all rows alike) among the choices.

References
----------
Ren et al. 2018 (arXiv 1803.09050); Shu et al. 2019 (arXiv 1902.07379); Du, Zhao, Li 2026 (arXiv 2606.00571).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from synthsift.bilevel.diagnostics import History, step_diagnostics
from synthsift.bilevel.inner import InnerLearner, LinearLearner, NetworkLearner
from synthsift.bilevel.metanet import MetaNet, standardize
from synthsift.bilevel.objective import meta_gradient, meta_loss, shares
from synthsift.numerics.metrics import row_losses
from synthsift.records import REAL, DataError, Features, Mixture, Outcome, Weights
from synthsift.seeds import Seeds
from synthsift.training.adamw import AdamW
from synthsift.training.logistic import fit_chosen

MAX_SOURCES = 20  # that get an input of their own
TEMPERS = (1.0, 0.0, 0.5, 2.0)  # the first also chooses the strength of the judging model


@dataclass(frozen=True)
class LearnedWeights:
    """Weights from a meta-network trained with the exact one-step meta-gradient and held by a KL term.

    Parameters
    ----------
    learner : {"linear", "mlp"}
        The model inside the meta-training.
    steps : int
        Meta-steps.
    batch : int
        Rows a step; all rows if there are fewer.
    trusted_batch : int
        Trusted rows a step; all if there are fewer.
    strength : float
        Weight of KL(p || uniform) against standardized scores.
    rate : float
        Learning rate of the meta-network (AdamW, cosine).
    hidden : int
        Width of the meta-network.
    diagnose : bool
        Record GSNR and concentration at every tenth step (costs per-row gradients of the meta-network).
    """

    learner: Literal["linear", "mlp"] = "linear"
    steps: int = 100
    batch: int = 2048
    trusted_batch: int = 1024
    strength: float = 0.5
    rate: float = 2e-2
    hidden: int = 32
    diagnose: bool = False

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return one weight for every row; trusted rows get the mean weight of the other real rows.

        Raises
        ------
        DataError
            If there are fewer than 10 real rows.
        """
        trusted = trusted_rows(mixture, seeds)
        training = training_rows(mixture, trusted)
        inputs, center, scale = standardize(network_inputs(mixture, features))
        log_weights, network, history, outcome = self._meta_train(mixture, features, inputs, training, trusted, seeds)
        temper = self._choose_temper(mixture, features, log_weights, training, seeds)
        values = np.exp(temper * (log_weights - log_weights[training].max()))
        values[trusted] = values[training[~mixture.is_synth[training]]].mean()
        recorded = {**history.arrays(), "temper": np.array([temper])}
        state = {name: value.numpy() for name, value in network.state_dict().items()}
        state |= {"center": center, "scale": scale, "temper": np.array([temper])}
        return Weights(values, mixture.ids, "LearnedWeights", outcome, recorded, state)

    def _meta_train(
        self,
        mixture: Mixture,
        features: Features,
        inputs: np.ndarray,
        training: np.ndarray,
        trusted: np.ndarray,
        seeds: Seeds,
    ) -> tuple[np.ndarray, MetaNet, History, Outcome]:
        """Run the meta-steps; return log-weights of all rows (n,), the network, the history, and how it ended."""
        rng, generator = seeds.numpy("batches"), seeds.torch("network")
        x = torch.as_tensor(features.embedding, dtype=torch.float32)
        y = torch.as_tensor(mixture.y)
        f = torch.as_tensor(inputs, dtype=torch.float32)
        network = MetaNet(f.shape[1], self.hidden, generator)
        optimizer = AdamW(network.parameters(), self.rate, self.steps, decay=1e-4)
        inner = self._inner(x[torch.as_tensor(training)], mixture.num_classes, generator)
        history, outcome = History(), Outcome.converged
        for step in range(self.steps):
            rows = torch.as_tensor(_draw(training, self.batch, rng))
            judges = torch.as_tensor(_draw(trusted, self.trusted_batch, rng))
            log_weights = network(f[rows])
            inner.step(x[rows], y[rows], shares(log_weights).detach())
            scores = inner.scores(inner.trusted_gradient(x[judges], y[judges]))
            if not torch.isfinite(scores).all():
                outcome = Outcome.nonfinite
                break
            if self.diagnose and (step % 10 == 0 or step == self.steps - 1):
                loss = float(meta_loss(log_weights.detach(), scores, self.strength))
                history.append(step, step_diagnostics(network, f[rows], scores, loss))
            # a sum instead of backward(gradient): the latter imports a computer-algebra system on first use
            (log_weights * meta_gradient(log_weights.detach(), scores, self.strength)).sum().backward()
            optimizer.step()
        with torch.no_grad():
            final = network(f).double().numpy()
        return final, network, history, outcome

    def _inner(self, x: torch.Tensor, num_classes: int, generator: torch.Generator) -> InnerLearner:
        decay = 1e-2
        if self.learner == "linear":
            return LinearLearner.create(x, num_classes, decay)
        return NetworkLearner.create(x, num_classes, decay, 64, generator)

    def _choose_temper(
        self, mixture: Mixture, features: Features, log_weights: np.ndarray, training: np.ndarray, seeds: Seeds
    ) -> float:
        """Return the power of the weights with the lowest loss on real rows outside the trusted set."""
        is_real = ~mixture.is_synth[training]
        x, y, family = features.embedding[training], mixture.y[training], mixture.family[training]
        strength = None

        def loss(temper: float) -> float:
            nonlocal strength
            weight = np.exp(temper * (log_weights[training] - log_weights[training].max()))
            weight[is_real] = 1.0 if temper == 0 else weight[is_real].mean()
            weight = np.maximum(weight / weight.mean(), 1e-6)
            fit = fit_chosen(x, y, weight, is_real, mixture.num_classes, seeds.child("temper"), strength, family)
            strength = fit.model.strength  # chosen once: the tempers differ in weights, not in regularization
            return float(row_losses(fit.out_of_fold, y[is_real]).mean())

        return min(TEMPERS, key=loss)


def trusted_rows(mixture: Mixture, seeds: Seeds) -> np.ndarray:
    """Choose the rows that steer the meta-network: the user's validation rows first, then real training rows.

    About half of the real rows are trusted, evenly over the classes; at least two real rows stay in training. A family
    is trusted whole or not at all, unless all real rows are one.

    Returns
    -------
    ndarray
        Places in the order of `Mixture.ids`.

    Raises
    ------
    DataError
        If there are fewer than 10 real rows.
    """
    num_real, total = len(mixture.real), len(mixture.real) + len(mixture.valid)
    if total < 10:
        raise DataError(
            f"LearnedWeights saw {total} real rows; it needs at least 10, half to train on and half to trust. Leave it "
            "out with --policies, or add real rows"
        )
    family = mixture.family[:total]
    trusted = np.isin(family, family[num_real:])
    if np.count_nonzero(~trusted) < 2:  # the validation rows would leave nothing to train on
        trusted[:] = False
    wanted = total // 2
    if trusted.sum() < 0.8 * wanted:
        rest = np.flatnonzero(~trusted)
        share = min((wanted - trusted.sum()) / len(rest), 0.5)
        trusted[rest] = _evenly(mixture.y[rest], family[rest], share, seeds.numpy("trusted"))
    return np.flatnonzero(trusted)


def _evenly(y: np.ndarray, family: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a share of the rows (n,), walking through the classes and taking families whenever they are due."""
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    names, first, size = np.unique(family[order], return_index=True, return_counts=True)
    if len(names) == 1:
        names, first, size = order, np.arange(len(order)), np.ones(len(order), dtype=np.int64)
        family = np.arange(len(y))
    chosen, seen, taken = [], 0, 0
    for k in np.argsort(first):
        seen += size[k]
        if taken + size[k] <= share * seen + 0.5:
            chosen.append(names[k])
            taken += size[k]
    return np.isin(family, chosen or names[[np.argmin(size)]])


def training_rows(mixture: Mixture, trusted: np.ndarray) -> np.ndarray:
    """Return the rows that train: neither trusted nor, unless all real rows are one family, related to trusted rows."""
    free = np.setdiff1d(np.arange(len(mixture.ids)), relatives(mixture, trusted))
    return free if not mixture.is_synth[free].all() else np.setdiff1d(np.arange(len(mixture.ids)), trusted)


def relatives(mixture: Mixture, trusted: np.ndarray) -> np.ndarray:
    """Return the trusted rows and all rows of their families: a row must not be rewarded for resembling its judge."""
    of_trusted = np.unique(mixture.family[trusted])
    return np.flatnonzero(np.isin(mixture.family, of_trusted[of_trusted >= 0]))


def network_inputs(mixture: Mixture, features: Features) -> np.ndarray:
    """Join the features with the class and the source of each row, one-hot: (n, k + c + sources + 1)."""
    label = np.eye(mixture.num_classes)[mixture.y]
    names = [name for name in np.unique(mixture.source) if name != REAL]
    blocks = [features.values, label, mixture.is_synth[:, None].astype(float)]
    if 1 < len(names) <= MAX_SOURCES:
        blocks.append((mixture.source[:, None] == np.array(names)).astype(float))
    return np.concatenate(blocks, axis=1)


def _draw(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """A batch without replacement, or all rows where the batch would hold them."""
    return rows if len(rows) <= count else rng.choice(rows, count, replace=False)
