"""Learned weights: a small meta-network, trained on trusted rows, decides how much every row counts.

One step of the meta-training
    1. a batch of training rows gets weights from the network, normalized to shares p, and two learners, the one asked
       for and one of neighborhoods (`synthsift.bilevel.local`), each take one step on the p-weighted loss;
    2. the gradient of a learner's loss on trusted rows (at its best temperature) at the new parameters gives each row
       of another, larger batch (the selector's) a score; the learners' scores are added up, and one that explains
       more of the trusted rows has more of a say;
    3. the network takes one step on ``objective.meta_loss`` of these scores.
Only the scores cross from the learners to the network, so the meta-gradient is exact and nothing is unrolled. The
selector's batch is worked off in chunks: a first pass collects log-weights and scores, which are normalized over the
whole batch, and a second one adds up the network's gradient, so that memory does not grow with the batch.

The learned log-weights are the mean over several moments of the training: scores follow the weights, which swing around
what they settle at. They are then tempered: their strength is chosen by the loss of real rows that never served as
trusted rows, with strength 0 (all rows alike) among the choices.

References
----------
Ren et al. 2018 (arXiv 1803.09050); Shu et al. 2019 (arXiv 1902.07379); Du, Zhao, Li 2026 (arXiv 2606.00571).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from synthsift.bilevel.diagnostics import MAX_ROWS, Movement, describe_step
from synthsift.bilevel.evidence import predict_themselves
from synthsift.bilevel.history import History
from synthsift.bilevel.inner import InnerLearner, make_learner
from synthsift.bilevel.inputs import PLACE_INPUTS, NetworkInputs
from synthsift.bilevel.live import spread_out
from synthsift.bilevel.local import say_of, waves
from synthsift.bilevel.metanet import Council, joined, restored_council
from synthsift.bilevel.objective import meta_gradient, shares
from synthsift.bilevel.pictures import Pictures
from synthsift.bilevel.temper import choose_temper
from synthsift.bilevel.trust import draw, training_rows, trusted_rows
from synthsift.records import Features, Mixture, Outcome, Weights
from synthsift.seeds import Seeds
from synthsift.training.adamw import AdamW

TEMPER_ROWS = 20_000  # training rows that the tempers are compared on
EVIDENCE_ROWS = 2000  # real rows that are asked whether they predict one another
CHUNK = 4096  # rows of the selector's batch that are in memory at once
SNAPSHOTS = 10  # states of the networks, evenly over the steps, that the weights are the mean of


@dataclass(frozen=True)
class LearnedWeights:
    """Weights from a meta-network trained with the exact one-step meta-gradient and held by a KL term.

    Parameters
    ----------
    learner : {"linear", "mlp", "cnn"}
        The model inside the meta-training: of the encoded rows, or of the pictures that they were encoded from.
    steps : int
        Meta-steps.
    batch : int
        Rows of a learner's step; all rows if there are fewer.
    selector_batch : int
        Rows that are scored in a step; all rows if there are fewer.
    trusted_batch : int
        Trusted rows a step; all if there are fewer.
    strength : float
        Weight of KL(p || uniform) against standardized scores.
    rate : float
        Learning rate of the meta-network (AdamW, cosine).
    hidden : int
        Width of the meta-network.
    place_inputs : int
        Leading directions of the encoded rows that the network is told beside the features.
    source_dropout : float
        Share of the synthetic rows of a step whose source is hidden, so that an unknown source has a meaning.
    diagnose : bool
        Record concentration, GSNR with the noise of the trusted rows in it, and the rows wanted, at every tenth step
        (costs per-row gradients of the meta-network); the weights do not change.
    """

    learner: Literal["linear", "mlp", "cnn"] = "linear"
    steps: int = 60
    batch: int = 2048
    selector_batch: int = 8192
    trusted_batch: int = 1024
    strength: float = 0.25
    rate: float = 2e-2
    hidden: int = 32
    members: int = 4
    place_inputs: int = PLACE_INPUTS
    source_dropout: float = 0.1
    diagnose: bool = False

    def __call__(self, mixture: Mixture, features: Features, seeds: Seeds) -> Weights:
        """Return one weight for every row; trusted rows get the mean weight of the other real rows.

        Raises
        ------
        DataError
            If there are fewer than 10 real rows, or the learner needs pictures and the rows are none.
        """
        trusted = trusted_rows(mixture, seeds)
        training = training_rows(mixture, trusted)
        told = NetworkInputs.fit(mixture, features, self.place_inputs)
        inputs = torch.as_tensor(told(features.values, features.embedding, mixture.y, mixture.source))
        log_weights, network, history, outcome = self._meta_train(
            mixture, features, inputs, told, training, trusted, seeds
        )
        temper = self._choose_temper(mixture, features, log_weights, training, seeds)
        highest = log_weights[training].max()
        values = np.exp(temper * (log_weights - highest))
        values[trusted] = values[training[~mixture.is_synth[training]]].mean()
        recorded = {**history.arrays(), "temper": np.array([temper])}
        state = {f"network.{name}": value.numpy() for name, value in network.state_dict().items()}
        state |= {f"inputs.{name}": value for name, value in told.arrays().items()}
        # log of a weight whose mean over the rows is 1 = temper * log-weight - shift
        state |= {"temper": np.array([temper]), "shift": np.array([temper * highest + np.log(values.mean())])}
        return Weights(values, mixture.ids, "LearnedWeights", outcome, recorded, state)

    def _meta_train(
        self,
        mixture: Mixture,
        features: Features,
        f: Tensor,
        told: NetworkInputs,
        training: np.ndarray,
        trusted: np.ndarray,
        seeds: Seeds,
    ) -> tuple[np.ndarray, Council, History, Outcome]:
        """Run the meta-steps; return log-weights of all rows (n,), the network, the history, and how it ended."""
        rng, generator, splits = seeds.numpy("batches"), seeds.torch("network"), seeds.torch("halves")
        y = torch.as_tensor(mixture.y)
        hidden_source = HiddenSource(told, self.source_dropout, seeds.torch("hide"))
        network = Council(self.members, f.shape[1], self.hidden, generator, told.num_classes, told.num_sources)
        optimizer = AdamW(network.parameters(), self.rate, self.steps, decay=1e-4)
        learners = self._begin(mixture, features, training, generator, seeds)
        history, outcome, differed, kept = History(), Outcome.converged, False, list[dict[str, Tensor]]()
        moved = Movement(network, f[training[spread_out(len(training), MAX_ROWS)]])
        for step in range(self.steps):
            rows = torch.as_tensor(draw(training, self.batch, rng))
            judged = torch.as_tensor(draw(training, self.selector_batch, rng))
            judges = torch.as_tensor(draw(trusted, self.trusted_batch, rng))
            with torch.no_grad():
                p = shares(network(f[rows]))
            for one in learners:
                one.inner.step(one.x[rows], y[rows], p)
            parts = judged.split(CHUNK)
            chunks = [hidden_source(f[part]) for part in parts]
            log_weights = collect(network, chunks)
            scores = torch.stack([one.scores(judges, parts, y) for one in learners])  # (learners, N)
            if not torch.isfinite(scores).all():
                outcome = Outcome.nonfinite
                break
            differed = differed or bool((scores != scores[:, :1]).any())
            explained = torch.tensor([one.explained(judges, y) for one in learners])
            say = say_of(explained, scores.std(dim=1))
            agreed = say @ scores
            if self.diagnose and len(judges) > 1 and (step % 10 == 0 or step == self.steps - 1):
                some = spread_out(len(judged), MAX_ROWS)
                halves = judges[torch.randperm(len(judges), generator=splits)].tensor_split(2)
                by_half = [
                    say @ torch.stack([one.scores(half, (judged[some],), y) for one in learners]) for half in halves
                ]
                told_all = f[judged]  # no source is hidden
                there = (len(training), len(trusted))
                numbers = describe_step(network, told_all, agreed, some, by_half, len(judges), self.strength, there)
                history.append(step, numbers | {"moved": moved()})
            if not differed:  # AdamW would blow up the rounding of a gradient that is zero
                continue
            accumulate(network, chunks, torch.stack([meta_gradient(z, agreed, self.strength) for z in log_weights]))
            optimizer.step()
            if (step + 1) * SNAPSHOTS // self.steps > step * SNAPSHOTS // self.steps:
                kept.append({name: value.clone() for name, value in network.state_dict().items()})
        if kept:
            network = restored_council(joined(kept), f.shape[1], told.num_classes, told.num_sources)
        with torch.no_grad():
            final = torch.cat([network(part) for part in f.split(16 * CHUNK)]).double().numpy()
        if outcome == Outcome.converged and not differed:
            outcome = Outcome.alike  # the meta-gradient was zero in every step
        return final, network, history, outcome

    def _begin(
        self, mixture: Mixture, features: Features, training: np.ndarray, generator: torch.Generator, seeds: Seeds
    ) -> list[Learning]:
        """Return fresh learners with what they see of all rows."""
        if self.learner == "cnn":
            pictures = Pictures.of(mixture)
            return [Learning(pictures, pictures.learner(mixture.num_classes, generator))]
        x, rows = torch.as_tensor(features.embedding, dtype=torch.float32), torch.as_tensor(training)
        z = waves(x, rows, seeds.torch("waves"))
        asked_for = Learning(x, make_learner(self.learner, x[rows], mixture.num_classes, generator))
        return [asked_for, Learning(z, make_learner("linear", z[rows], mixture.num_classes, generator))]

    def _choose_temper(
        self, mixture: Mixture, features: Features, log_weights: np.ndarray, training: np.ndarray, seeds: Seeds
    ) -> float:
        """Return the power of the weights with the lowest loss on real rows outside the trusted set."""
        if len(training) > TEMPER_ROWS:
            real, made = (training[mixture.is_synth[training] == kind] for kind in (False, True))
            left = max(TEMPER_ROWS - len(real), TEMPER_ROWS // 2)
            training = np.concatenate([real, draw(made, left, seeds.numpy("temper rows"))])
        rows = (features.embedding[training], mixture.y[training], log_weights[training])
        who = (~mixture.is_synth[training], mixture.family[training])

        def is_told() -> bool:
            real = draw(np.flatnonzero(~mixture.is_synth), EVIDENCE_ROWS, seeds.numpy("evidence rows"))
            labeled = (features.embedding[real], mixture.y[real], mixture.family[real])
            return predict_themselves(*labeled, mixture.num_classes, seeds)

        return choose_temper(*rows, *who, mixture.num_classes, seeds, is_told)


@dataclass(frozen=True)
class Learning:
    """A learner inside the meta-training and what it sees of all rows (n, ...)."""

    x: Tensor | Pictures
    inner: InnerLearner

    def scores(self, judges: Tensor, parts: Sequence[Tensor], y: Tensor) -> Tensor:
        """Return the scores (N,) of the rows of all parts, given trusted rows that judge them; y (n,) of all rows."""
        direction = self.inner.trusted_gradient(self.x[judges], y[judges], calibrated=True)
        return torch.cat([self.inner.scores(direction, self.x[part], y[part]) for part in parts])

    def explained(self, judges: Tensor, y: Tensor) -> float:
        """Return the share of the trusted rows' log-loss under their class frequencies that the learner explains."""
        counts = torch.bincount(y[judges]).double()
        blind = -(counts[y[judges]] / len(judges)).log().mean()
        return float(1 - self.inner.losses(self.x[judges], y[judges]).mean() / blind) if blind > 0 else 0.0


def collect(network: Council, chunks: Sequence[Tensor]) -> Tensor:
    """First pass: log-weights (members, N) of all chunks of inputs (m, k), without a graph."""
    with torch.no_grad():
        return torch.cat([network.each(told) for told in chunks], dim=1)


def accumulate(network: Council, chunks: Sequence[Tensor], gradient: Tensor) -> None:
    """Second pass: add the derivative by the networks' parameters, given that by all log-weights (members, N)."""
    for told, part in zip(chunks, gradient.split([len(told) for told in chunks], dim=1), strict=True):
        # a sum instead of backward(gradient): the latter imports a computer-algebra system on first use
        (network.each(told) * part).sum().backward()


@dataclass
class HiddenSource:
    """Hides the source of a random part of the synthetic rows, so that the code of an unknown one is trained."""

    told: NetworkInputs
    share: float
    generator: torch.Generator

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the inputs (n, k), changed in a copy where a source is hidden."""
        if self.share <= 0:
            return inputs
        inputs = inputs.clone()
        source = inputs[:, -self.told.num_sources :]
        hide = (source[:, 1] == 0) & (torch.rand(len(inputs), generator=self.generator) < self.share)
        source[hide] = torch.eye(self.told.num_sources)[0]
        return inputs
