"""One cell of the collapse part: digits learned from real labels and from the outputs of a weaker network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.theory_cases import CollapseCase, RowsCase
from synthsift.seeds import Seeds
from synthsift.studies.idx import read_digits
from synthsift.theory.collapse import predict_error
from synthsift.theory.collapse_rows import predict_row_errors
from synthsift.theory.collapse_simulate import fit_ridge

POOL, TRAIN = 28_000, 20_000  # rows that moments and c^2 are measured on, rows to train on; the rest tests
COMPONENTS = 100
STEPS, BATCH, RATE = 3000, 64, 1e-3


@dataclass(frozen=True)
class Digits:
    """Leading components of the pixels (n, 100) and centered one-hot labels (n, 10) of pool, training and testing rows."""

    pool: tuple[np.ndarray, np.ndarray]
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def run_collapse(case: CollapseCase, seed: int, data: Path) -> list[dict[str, Any]]:
    """One row a width, n and fraction: squared error on real labels, predicted and measured, and the teacher's c^2."""
    seeds = Seeds(seed).child("theory", case.name)
    digits, teacher = _prepare(case, seeds, data)
    run = _features if case.model == "features" else _network
    return [row for width in case.widths for row in run(case, width, digits, teacher, seeds)]


def run_rows(case: RowsCase, seed: int, data: Path) -> list[dict[str, Any]]:
    """One row a width, n and fraction: squared error predicted from the pool's rows, in the world of the case it is of."""
    of = case.of
    seeds = Seeds(seed).child("theory", of.name)
    digits, teacher = _prepare(of, seeds, data)
    made = outputs(teacher, digits.pool[0])
    total = np.array(of.rows)[:, None]
    synth = np.array([[round(fraction * num) for fraction in of.fractions] for num in of.rows])
    found = []
    for width in of.widths:
        pool = _random_features(digits, width, seeds)[0]
        answer = predict_row_errors(pool, digits.pool[1], made, total - synth, synth, ridge=of.ridge)
        for (i, k), value in np.ndenumerate(answer.mean):
            place = {"width": width, "rows": of.rows[i], "fraction": of.fractions[k], "num_synth": int(synth[i, k])}
            found.append(place | {"by_rows": float(value), "evenness": float(answer.terms["evenness"][i, k])})
    return found


def _prepare(case: CollapseCase, seeds: Seeds, data: Path) -> tuple[Digits, torch.nn.Module]:
    """The split of the digits and the network that makes labels."""
    digits = _split(data, seeds.numpy("split"))
    known = slice(TRAIN - case.teacher_rows, TRAIN)  # the teacher's rows are the last of the training rows
    teacher = train_network(*(part[known] for part in digits.train), case.teacher_width, seeds.child("teacher"))
    return digits, teacher


@cache
def _pixels(data: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read_digits(data / "mnist", "train")
    x = images.reshape(len(images), -1).astype(np.float32) / 255
    x -= x.mean(axis=0)
    vectors = np.linalg.eigh(x.T @ x)[1][:, : -COMPONENTS - 1 : -1]  # label-free, 91 % of the variance, 5 times as fast
    return x @ vectors, np.eye(10, dtype=np.float32)[labels] - np.float32(0.1)


def _split(data: Path, rng: np.random.Generator) -> Digits:
    x, y = _pixels(data)
    pool, train, test = np.split(rng.permutation(len(x)), [POOL, POOL + TRAIN])
    return Digits((x[pool], y[pool]), (x[train], y[train]), (x[test], y[test]))


def train_network(x: np.ndarray, y: np.ndarray, width: int, seeds: Seeds) -> torch.nn.Module:
    """Two layers, squared loss on centered one-hot labels, Adam with a rate that falls to zero."""
    generator = seeds.torch("network")
    net = torch.nn.Sequential(torch.nn.Linear(x.shape[1], width), torch.nn.ReLU(), torch.nn.Linear(width, y.shape[1]))
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) / layer.in_features**0.5)
            layer.bias.zero_()
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / STEPS)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(STEPS):
        chosen = torch.randint(len(x), (BATCH,), generator=generator)
        loss = ((net(inputs[chosen]) - targets[chosen]) ** 2).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net


def outputs(net: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """Outputs (n, 10) of a network."""
    with torch.no_grad():
        return np.asarray(net(torch.from_numpy(x)).numpy())


def _mixed(labels: np.ndarray, made: np.ndarray, num: int, fraction: float) -> tuple[np.ndarray, int]:
    """Labels of the first `num` rows, the last of them synthetic, and how many are."""
    synth = round(fraction * num)
    return np.concatenate([labels[: num - synth], made[num - synth : num]]), synth


def _squared(difference: np.ndarray) -> float:
    """Mean over rows of the squared error summed over outputs."""
    return float((difference.astype(float) ** 2).sum(axis=1).mean())


def _features(
    case: CollapseCase, width: int, digits: Digits, teacher: torch.nn.Module, seeds: Seeds
) -> list[dict[str, Any]]:
    """Random ReLU features: the theory with the features' own covariance, the truth and the shift measured on the pool."""
    pool, train, test = _random_features(digits, width, seeds)
    made = outputs(teacher, digits.pool[0])
    moments = _moments(pool, digits.pool[1], made)
    made_train = outputs(teacher, digits.train[0])
    rows = []
    for num in case.rows:
        for fraction in case.fractions:
            labels, synth = _mixed(digits.train[1], made_train, num, fraction)
            w = fit_ridge(train[:num].astype(float), labels.astype(float), case.ridge)
            answer = predict_error(num - synth, synth, width, ridge=case.ridge, **moments)
            predicted = float(answer.mean) + moments["real_noise_variance"]
            rows.append(
                {
                    "width": width,
                    "rows": num,
                    "fraction": fraction,
                    "num_synth": synth,
                    "predicted": predicted,
                    "collapse": float(answer.terms["collapse"]),
                    "measured": _squared(test @ w - digits.test[1]),
                    "accuracy": _accuracy(test @ w, digits.test[1]),
                    "c2": float(np.sum(moments["spectrum"] * moments["shift"])),
                    "teacher_error": _squared(made - digits.pool[1]),
                }
            )
    return rows


def _random_features(digits: Digits, width: int, seeds: Seeds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, width) of pool, training and testing rows, centered and scaled by the pool."""
    rng = seeds.numpy(f"features {width}")
    projection = rng.standard_normal((digits.pool[0].shape[1], width)).astype(np.float32)
    raw = [np.maximum(part[0] @ projection, 0) for part in (digits.pool, digits.train, digits.test)]
    center = raw[0].mean(axis=0)
    scale = float((raw[0] - center).std())
    pool, train, test = ((part - center) / scale for part in raw)
    return pool, train, test


def _moments(pool: np.ndarray, y: np.ndarray, made: np.ndarray) -> dict[str, Any]:
    """Spectrum, truth, shift, their product and both noises, summed over the ten outputs, from pool rows."""
    num, width = pool.shape
    values, vectors = np.linalg.eigh((pool.T @ pool / num).astype(float))
    values = np.maximum(values, 1e-12)
    rotated = vectors / values  # U s^-1
    truth, learned = (rotated.T @ (pool.T @ labels / num).astype(float) for labels in (y, made))
    freedom = num / (num - width)
    noises = [
        freedom * (_squared(labels) - float((values[:, None] * w**2).sum()))
        for labels, w in ((y, truth), (made, learned))
    ]
    shift = learned - truth
    return {
        "spectrum": values,
        "signal": (truth**2).sum(axis=1),
        "shift": (shift**2).sum(axis=1),
        "cross": (shift * truth).sum(axis=1),
        "real_noise_variance": noises[0],
        "synth_noise_variance": noises[1],
    }


def _accuracy(scores: np.ndarray, y: np.ndarray) -> float:
    """Percent of rows whose largest output is the right one."""
    return 100 * float((scores.argmax(axis=1) == y.argmax(axis=1)).mean())


def _network(
    case: CollapseCase, width: int, digits: Digits, teacher: torch.nn.Module, seeds: Seeds
) -> list[dict[str, Any]]:
    """A trained network: real-only error at the same n (measured) plus p_2^2 c^2, c^2 the teacher's audited error."""
    made, c2 = outputs(teacher, digits.train[0]), _squared(outputs(teacher, digits.pool[0]) - digits.pool[1])
    rows = []
    for num in case.rows:
        real_only = np.nan
        for fraction in case.fractions:
            labels, synth = _mixed(digits.train[1], made, num, fraction)
            net = train_network(digits.train[0][:num], labels, width, seeds.child("student", width, num))
            scores = outputs(net, digits.test[0])
            measured = _squared(scores - digits.test[1])
            real_only = measured if fraction == 0 else real_only
            rows.append(
                {
                    "width": width,
                    "rows": num,
                    "fraction": fraction,
                    "num_synth": synth,
                    "predicted": real_only + (synth / num) ** 2 * c2,
                    "collapse": (synth / num) ** 2 * c2,
                    "measured": measured,
                    "accuracy": _accuracy(scores, digits.test[1]),
                    "c2": c2,
                    "teacher_error": c2,
                }
            )
    return rows
