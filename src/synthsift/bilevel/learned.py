"""Learned weights: a small meta-network, trained on trusted rows, decides how much every row counts.

One step of the meta-training
    1. a batch of training rows gets weights from the network, normalized to shares p, and the learner takes one step
       on the p-weighted loss;
    2. the gradient of the loss on trusted rows (at its best temperature) at the new parameters gives each row of
       another, larger batch (the selector's) a score;
    3. the network takes one step on ``objective.meta_loss`` of these scores.
Only the scores cross from the learner to the network, so the meta-gradient is exact and nothing is unrolled. The
selector's batch is worked off in chunks: a first pass collects log-weights and scores, which are normalized over the
whole batch, and a second one adds up the network's gradient, so that memory does not grow with the batch.

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
from torch import Tensor

from synthsift.bilevel.diagnostics import MAX_ROWS, Movement, describe_step
from synthsift.bilevel.evidence import predict_themselves
from synthsift.bilevel.history import History
from synthsift.bilevel.inner import InnerLearner, make_learner
from synthsift.bilevel.inputs import PLACE_INPUTS, NetworkInputs
from synthsift.bilevel.live import spread_out
from synthsift.bilevel.metanet import Council
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
        x, inner = self._begin(mixture, features, training, generator)
        history, outcome, differed = History(), Outcome.converged, False
        moved = Movement(network, f[training[spread_out(len(training), MAX_ROWS)]])
        for step in range(self.steps):
            rows = torch.as_tensor(draw(training, self.batch, rng))
            judged = torch.as_tensor(draw(training, self.selector_batch, rng))
            judges = torch.as_tensor(draw(trusted, self.trusted_batch, rng))
            with torch.no_grad():
                p = shares(network(f[rows]))
            inner.step(x[rows], y[rows], p)
            direction = inner.trusted_gradient(x[judges], y[judges], calibrated=True)
            chunks = [Chunk(hidden_source(f[part]), x[part], y[part]) for part in judged.split(CHUNK)]
            log_weights, scores = collect(network, inner, direction, chunks)
            if not torch.isfinite(scores).all():
                outcome = Outcome.nonfinite
                break
            differed = differed or bool((scores != scores[0]).any())
            if self.diagnose and len(judges) > 1 and (step % 10 == 0 or step == self.steps - 1):
                some = spread_out(len(judged), MAX_ROWS)
                halves = judges[torch.randperm(len(judges), generator=splits)].tensor_split(2)
                gammas = [inner.trusted_gradient(x[half], y[half], calibrated=True) for half in halves]
                by_half = [inner.scores(gamma, x[judged[some]], y[judged[some]]) for gamma in gammas]
                told_all = f[judged]  # no source is hidden
                there = (len(training), len(trusted))
                numbers = describe_step(network, told_all, scores, some, by_half, len(judges), self.strength, there)
                history.append(step, numbers | {"moved": moved()})
            if not differed:  # AdamW would blow up the rounding of a gradient that is zero
                continue
            accumulate(network, chunks, torch.stack([meta_gradient(z, scores, self.strength) for z in log_weights]))
            optimizer.step()
        with torch.no_grad():
            final = torch.cat([network(part) for part in f.split(16 * CHUNK)]).double().numpy()
        if outcome == Outcome.converged and not differed:
            outcome = Outcome.alike  # the meta-gradient was zero in every step
        return final, network, history, outcome

    def _begin(
        self, mixture: Mixture, features: Features, training: np.ndarray, generator: torch.Generator
    ) -> tuple[Tensor | Pictures, InnerLearner]:
        """Return what the learner sees of all rows, and a fresh one."""
        if self.learner == "cnn":
            pictures = Pictures.of(mixture)
            return pictures, pictures.learner(mixture.num_classes, generator)
        x = torch.as_tensor(features.embedding, dtype=torch.float32)
        return x, make_learner(self.learner, x[torch.as_tensor(training)], mixture.num_classes, generator)

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
class Chunk:
    """Rows of the selector's batch: the network's inputs (n, k), the learner's (n, d), and labels (n,)."""

    told: Tensor
    x: Tensor
    y: Tensor


def collect(
    network: Council, inner: InnerLearner, direction: dict[str, Tensor], chunks: list[Chunk]
) -> tuple[Tensor, Tensor]:
    """First pass: log-weights (members, N) and scores (N,) of all chunks, without a graph."""
    with torch.no_grad():
        log_weights = torch.cat([network.each(chunk.told) for chunk in chunks], dim=1)
    return log_weights, torch.cat([inner.scores(direction, chunk.x, chunk.y) for chunk in chunks])


def accumulate(network: Council, chunks: list[Chunk], gradient: Tensor) -> None:
    """Second pass: add the derivative by the networks' parameters, given that by all log-weights (members, N)."""
    for chunk, part in zip(chunks, gradient.split([len(chunk.y) for chunk in chunks], dim=1), strict=True):
        # a sum instead of backward(gradient): the latter imports a computer-algebra system on first use
        (network.each(chunk.told) * part).sum().backward()


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
