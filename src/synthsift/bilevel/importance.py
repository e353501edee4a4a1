"""Which inputs the meta-network goes by: shuffle one among the synthetic rows and see how far the weights move.

For log-weights z = f(x) and z' = f(x with input j shuffled over the rows),

    share_j = E (z - z')^2 / (2 Var z)

is the total-effect index of input j: the part of the variance of z that would go if j were the same for all rows, alone
and together with others. It is 0 for an input that is not used, and the shares of an additive network with independent
inputs sum to 1. Inputs that say the same hide one another: z = x + x' with x' = x has two shares of 1/4, since the
other one still tells what was shuffled. Inputs that act only together, or against each other, each get the credit for
both. So the sum may lie on either side of 1; read a share as "goes by", not as "causes".

References
----------
Jansen 1999, Analysis of variance designs for model output, Comput. Phys. Commun. 117 (the estimator); Breiman 2001,
Random forests, Mach. Learn. 45 (shuffling); Gregorutti, Michel, Saint-Pierre 2017, Stat. Comput. 27 (correlation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from synthsift.bilevel.inputs import NetworkInputs, source_names
from synthsift.bilevel.metanet import restored_council
from synthsift.records import Features, Mixture
from synthsift.seeds import Seeds

MAX_ROWS = 4000  # synthetic rows that are shuffled; the index of more rows differs in the third digit
NUM_SHUFFLES = 5
PLACE = "place"  # the encoded row itself, as far as the network is told
FLAT = 1e-6  # standard deviation of log-weights below which the network says the same of every row

LogWeights = Callable[[Mixture, Features], np.ndarray]


@dataclass(frozen=True)
class Importance:
    """How much the weights go by one input.

    Parameters
    ----------
    name : str
        A feature, or "place" (the encoded row), "class" or "source".
    share, low, high : float
        Total-effect index and its 95 % interval over the shuffles.
    direction : float or None
        Rank correlation of the input with the weight, in [-1, 1]; above 0, higher values get more weight. None for
        place, class and source, and for an input that does not vary.
    """

    name: str
    share: float
    low: float
    high: float
    direction: float | None


def log_weights_of(state: Mapping[str, np.ndarray], mixture: Mixture) -> LogWeights:
    """Return the networks that `LearnedWeights` left in `state` as a function; their power (temper) is left out.

    Parameters
    ----------
    state : mapping
        ``Weights.state``.
    mixture : Mixture
        The rows they were trained on, which name the classes and sources.
    """
    constants = {name.removeprefix("inputs."): value for name, value in state.items() if name.startswith("inputs.")}
    arrays = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    inputs = NetworkInputs.restore(constants, mixture.num_classes, source_names(mixture))
    width = len(inputs.center) + inputs.num_classes + inputs.num_sources
    council = restored_council(arrays, width, inputs.num_classes, inputs.num_sources)

    def log_weights(mixture: Mixture, features: Features) -> np.ndarray:
        told = inputs(features.values, features.embedding, mixture.y, mixture.source)
        with torch.no_grad():
            return council(torch.as_tensor(told)).double().numpy()

    return log_weights


def weigh_inputs(log_weights: LogWeights, mixture: Mixture, features: Features, seeds: Seeds) -> tuple[Importance, ...]:
    """Return the importance of every feature, of place, class and source, highest first.

    Parameters
    ----------
    log_weights : callable
        ``log_weights(mixture, features) -> (n,)``.
    mixture, features : Mixture, Features
        All rows; only synthetic ones are shuffled and looked at.
    seeds : Seeds
        Streams "rows" and one a shuffled input.

    Returns
    -------
    tuple of Importance
        Empty where there are fewer than two synthetic rows or the network says the same of all.
    """
    mixture, features = _synthetic(mixture, features, seeds)
    if len(mixture.ids) < 2:
        return ()
    z = log_weights(mixture, features)
    spread = float(z.std())
    if spread < FLAT:
        return ()
    found = []
    for name, shuffled in _shuffles(mixture, features):
        rng = seeds.numpy(f"shuffle {name}")
        moved = [
            float(np.mean((z - log_weights(*shuffled(rng.permutation(len(z))))) ** 2)) for _ in range(NUM_SHUFFLES)
        ]
        if name == PLACE and not any(moved):  # this network is not told where a row lies
            continue
        share = np.array(moved) / (2 * spread**2)
        half = 2.776 * float(share.std(ddof=1)) / np.sqrt(NUM_SHUFFLES)  # Student t, 4 degrees of freedom
        mean = float(share.mean())
        column = features.column(name) if name in features.names else None
        found.append(Importance(name, mean, max(mean - half, 0.0), mean + half, _direction(column, z)))
    return tuple(sorted(found, key=lambda one: -one.share))


def _synthetic(mixture: Mixture, features: Features, seeds: Seeds) -> tuple[Mixture, Features]:
    """The synthetic rows alone, at most `MAX_ROWS` drawn ones and one of each source."""
    place = np.flatnonzero(mixture.is_synth)
    rows = np.arange(len(place))
    if len(rows) > MAX_ROWS:
        first = np.unique(mixture.synth.source, return_index=True)[1]
        rows = np.union1d(first, seeds.numpy("rows").choice(rows, MAX_ROWS, replace=False))
    alone = replace(mixture, real=mixture.real[:0], valid=mixture.valid[:0], synth=mixture.synth[rows])
    at = place[rows]
    return alone, replace(features, values=features.values[at], ids=features.ids[at], embedding=features.embedding[at])


def _shuffles(
    mixture: Mixture, features: Features
) -> Iterator[tuple[str, Callable[[np.ndarray], tuple[Mixture, Features]]]]:
    """Every input's name with a function that exchanges it between the rows."""
    for k, name in enumerate(features.names):

        def feature(order: np.ndarray, k: int = k) -> tuple[Mixture, Features]:
            values = features.values.copy()
            values[:, k] = values[order, k]
            return mixture, replace(features, values=values)

        yield name, feature
    synth = mixture.synth
    yield PLACE, lambda order: (mixture, replace(features, embedding=features.embedding[order]))
    yield "class", lambda order: (replace(mixture, synth=replace(synth, y=synth.y[order])), features)
    if len(np.unique(synth.source)) > 1:
        yield "source", lambda order: (replace(mixture, synth=replace(synth, source=synth.source[order])), features)


def _direction(column: np.ndarray | None, z: np.ndarray) -> float | None:
    """Rank correlation of an input with the log-weights."""
    if column is None or np.ptp(column) == 0:
        return None
    return float(np.corrcoef(_ranks(column), _ranks(z))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks (n,); equal values share the mean of theirs, so that the order of rows says nothing."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
