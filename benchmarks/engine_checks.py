"""What the engine promises about its numbers, measured in float64: exact, the same for any split, an honest GSNR.

meta-gradient   against automatic differentiation through the written-out step, six kinds of SGD and AdamW
chunks          a fresh batch scored 7 rows at a time, a selector batch of 6,000 rows in three pieces
processes       two processes that share a batch against one
gsnr            what `live.measure` reports, as the mean of repeated readings and one by one, against brute force over
                fresh rows and trusted rows
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthsift.bilevel import selector as selectors
from synthsift.bilevel.backends import JVP, ScoreBackend
from synthsift.bilevel.controls import SelfNormalized
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.live import measure, row_gradients
from synthsift.bilevel.noise import Noise
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.rowlosses import CrossEntropy
from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.selector import Selector

N, M, WIDTH = 60, 30, 5
PARTS = 20  # that a standard error is taken from
# spread and bias of the selector's last layer, and rows of a batch: effective batches from all of it to about 23
CONCENTRATED = (
    (0.1, -3.0, 240),
    (1.0, -3.0, 240),
    (3.0, -3.0, 240),
    (8.0, -6.0, 240),
    (5.0, -8.0, 240),
    (3.0, -3.0, 60),
)
SGD, ADAMW = torch.optim.SGD, torch.optim.AdamW
STEPS: dict[str, tuple[type, dict[str, Any]]] = {
    "SGD": (SGD, {"lr": 0.3}),
    "SGD, weight decay": (SGD, {"lr": 0.3, "weight_decay": 0.05}),
    "SGD, momentum": (SGD, {"lr": 0.3, "momentum": 0.9}),
    "SGD, momentum, dampening": (SGD, {"lr": 0.3, "momentum": 0.9, "dampening": 0.4}),
    "SGD, momentum, weight decay": (SGD, {"lr": 0.3, "momentum": 0.9, "weight_decay": 0.05}),
    "SGD, Nesterov": (SGD, {"lr": 0.3, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    "AdamW": (ADAMW, {"lr": 0.02, "weight_decay": 0.1}),
}


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y, FEATURES = normal(N, WIDTH, seed=1), torch.arange(N) % 3, normal(N, 4, seed=2)
TRUSTED = (normal(M, WIDTH, seed=3), torch.arange(M) % 3)


def make(kind: str) -> tuple[nn.Module, torch.optim.Optimizer, Selector]:
    """A learner some steps into its training, and a selector with unequal weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    optimizer = STEPS[kind][0](model.parameters(), **STEPS[kind][1])
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(X), Y).backward()
        optimizer.step()
    selector = Selector(FEATURES, SelfNormalized(0.0), hidden=6, dtype=torch.float64)
    with torch.no_grad():
        selector.network.last.weight.copy_(normal(1, 6, seed=5))
    return model, optimizer, selector


def unrolled(model: nn.Module, optimizer: torch.optim.Optimizer, selector: Selector) -> Tensor:
    """The selector's gradient of the trusted loss after the coming step, through the graph of that step."""
    names, params = zip(*model.named_parameters(), strict=True)
    p = torch.softmax(selector.network(selector.features), dim=0)
    losses = nn.functional.cross_entropy(model(X), Y, reduction="none")
    grads = torch.autograd.grad((p * losses).sum(), params, create_graph=True)
    o, moved = optimizer.param_groups[0], {}
    for name, w, g in zip(names, params, grads, strict=True):
        state = optimizer.state[w]
        if isinstance(optimizer, ADAMW):
            t, (b1, b2) = float(state["step"]) + 1, o["betas"]
            m, v = b1 * state["exp_avg"] + (1 - b1) * g, b2 * state["exp_avg_sq"] + (1 - b2) * g * g
            step = m / (1 - b1**t) / ((v / (1 - b2**t)).sqrt() + o["eps"])
            moved[name] = w * (1 - o["lr"] * o["weight_decay"]) - o["lr"] * step
            continue
        g = g + o["weight_decay"] * w
        if o["momentum"]:
            buffer = o["momentum"] * state["momentum_buffer"] + (1 - o["dampening"]) * g
            g = g + o["momentum"] * buffer if o["nesterov"] else buffer
        moved[name] = w - o["lr"] * g
    out = torch.func.functional_call(model, moved, (TRUSTED[0],))
    loss = nn.functional.cross_entropy(out, TRUSTED[1])
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(selector.network.parameters()))])


def engine(
    kind: str, scores: ScoreBackend, rows: Tensor, learner: nn.Module | None = None, **schedule: Any
) -> tuple[Tensor, Selector]:
    """The selector's gradient that one step of an own loop leaves, times the standard deviation of the scores."""
    model, optimizer, selector = make(kind)
    if learner is not None:
        model = nn.parallel.DistributedDataParallel(model)
    plan = Schedule(**{"least_rows": 1, "trusted_rows": M, "diagnose": 0, **schedule})
    settings: dict[str, Any] = {"scores": scores, "schedule": plan, "pool": (X, Y)}
    reweighter = Reweighter(model, optimizer, selector, TRUSTED, loss=CrossEntropy(False), **settings)
    found: list[Tensor] = []

    def caught(rows: Tensor, values: Tensor) -> dict[str, float]:
        selector.gradient(rows, values)
        flat = torch.cat([p.grad.reshape(-1) for p in selector.network.parameters()])
        count = len(values) * selector.processes.count
        first, second = selector.processes.sum(torch.stack([values.sum(), (values**2).sum()])).tolist()
        found.append(flat * ((second - first**2 / count) / (count - 1)) ** 0.5)
        return {}

    selector.update = caught  # type: ignore[method-assign,assignment]
    optimizer.zero_grad()
    reweighter.loss(rows, (X[rows], Y[rows])).backward()
    optimizer.step()
    reweighter.step()
    return found[0], selector


def error(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())


def exactness() -> list[dict[str, Any]]:
    """Relative error of the meta-gradient for every optimizer and both exact backends."""
    rows = []
    for kind, (_, options) in STEPS.items():
        right = unrolled(*make(kind))
        for name, backend in (("ghost", Ghost), ("jvp", JVP)):
            found, _ = engine(kind, backend(), torch.arange(N))
            value = error(options["lr"] * found, right)
            rows.append({"check": "meta-gradient", "what": f"{kind}; {name}", "value": value, "reach": 1e-10})
    return rows


def splits() -> list[dict[str, Any]]:
    """Relative change of the meta-gradient with the chunks of a fresh batch, of the selector, and with processes."""
    rows = []
    for name, backend in (("ghost", Ghost), ("jvp", JVP)):
        found = [
            engine("SGD, Nesterov", backend(), torch.arange(N), batch="fresh", fresh_rows=N, chunk=chunk)[0]
            for chunk in (N, 7)
        ]
        rows.append({"check": "chunks", "what": f"scores; {name}", "value": error(*found), "reach": 1e-12})
    many = Selector(normal(6000, 4, seed=6), SelfNormalized(0.3), hidden=6, dtype=torch.float64)
    gradients, whole = [], selectors.ROWS_AT_ONCE
    for size in (6000, 2048):
        selectors.ROWS_AT_ONCE = size
        many.gradient(torch.arange(6000), normal(6000, seed=7))
        gradients.append(torch.cat([p.grad.reshape(-1).clone() for p in many.network.parameters()]))
    selectors.ROWS_AT_ONCE = whole
    rows.append({"check": "chunks", "what": "selector", "value": error(*gradients), "reach": 1e-12})
    with tempfile.TemporaryDirectory() as folder:
        started = [
            subprocess.Popen([sys.executable, "-m", "benchmarks.engine_checks", str(rank), folder]) for rank in (0, 1)
        ]
        if any([process.wait() for process in started]):
            raise RuntimeError("a process of the check failed")
        shared = torch.tensor(np.load(Path(folder) / "0.npy"))
    value = error(shared, engine("SGD, Nesterov", Ghost(), torch.arange(N))[0])
    return [*rows, {"check": "processes", "what": "2 gloo processes; ghost", "value": value, "reach": 1e-12}]


def one_of_two(rank: int, folder: Path) -> None:
    """Leave the meta-gradient of a process that holds every second row."""
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    found, _ = engine("SGD, Nesterov", Ghost(), torch.arange(rank, N, 2), nn.Identity())
    np.save(folder / f"{rank}.npy", found.numpy())
    dist.destroy_process_group()


def by_draws(found: np.ndarray) -> float:
    """|G|^2 / tr Var of meta-gradients (draws, P), without the noise in |G|^2."""
    variance = np.var(found, axis=0, ddof=1).sum()
    return float((np.sum(np.mean(found, axis=0) ** 2) - variance / len(found)) / variance)


def by_readings(seen: Sequence[Noise]) -> float:
    """The ratio of the mean signal to the mean of both noises."""
    signal, v, u = (np.mean([getattr(one, name) for one in seen]) for name in ("signal", "rows", "trusted"))
    return float(signal / (v / seen[0].num_rows + u / seen[0].num_trusted))


def noise(num: int = 1600) -> list[dict[str, Any]]:
    """Reported GSNR over brute force less 1, from small to large concentration, with the effective batch.

    ``value`` is that of the mean of `num` readings (of signal and of both noises), ``error`` its standard error from
    twenty parts of the readings and of the draws; ``low`` and ``high`` are the ends of the middle 80 % of single
    readings over brute force.
    """
    rows = []
    pool, judges, trusted = 900, 400, 20
    ways, tastes = normal(pool, 5, seed=8), normal(5, judges, seed=9)
    features = normal(pool, 4, seed=10)
    scores = (0.8 * features[:, 0] + normal(pool, seed=11))[:, None] + 1.5 * ways @ tastes
    for spread, bias, size in CONCENTRATED:
        selector = Selector(features, SelfNormalized(), hidden=3, dtype=torch.float64)
        with torch.no_grad():
            selector.network.last.weight.copy_(spread * normal(1, 3, seed=12))
            selector.network.last.bias.fill_(bias)
        h, s = row_gradients(selector.network, selector.features).numpy(), scores.numpy()
        w, found, seen, effective = selector.log_weights(torch.arange(pool)).exp().numpy(), [], [], []
        rng = np.random.default_rng(1)
        for k in range(5 * num):
            at, who = rng.integers(pool, size=size), rng.integers(judges, size=trusted)
            p, t = w[at] / w[at].sum(), s[np.ix_(at, who)].mean(axis=1)
            found.append((p * (t - p @ t)) @ (h[at] - p @ h[at]))
            if k < num:
                effective.append(1 / (p @ p))
                halves = [torch.tensor(s[np.ix_(at, half)].mean(axis=1)) for half in np.split(who, 2)]
                seen.append(measure(selector, torch.tensor(at), (halves[0], halves[1]), trusted))
        right, reported = by_draws(np.array(found)), by_readings(seen)
        told = f"B_eff {np.mean(effective):.0f} of {size}; GSNR {right:.2g}"
        parts = [
            np.array([by_readings(part) for part in (seen[k::PARTS] for k in range(PARTS))]) / reported,
            np.array([by_draws(part) for part in np.split(np.array(found), PARTS)]) / right,
        ]
        standard_error = reported / right * sum(float(part.var(ddof=1)) / PARTS for part in parts) ** 0.5
        low, high = np.quantile([one.gsnr / right for one in seen], [0.1, 0.9])
        row = {"check": "gsnr", "what": told, "value": abs(reported / right - 1), "error": standard_error, "reach": 0.2}
        rows.append(row | {"low": float(low), "high": float(high), "readings": num})
    return rows


if __name__ == "__main__":
    one_of_two(int(sys.argv[1]), Path(sys.argv[2]))
