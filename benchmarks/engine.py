"""What a training step with selection costs, in plain training steps, and whether the engine keeps its promises.

    python -m benchmarks.engine --all                             # all of it, then the page
    python -m benchmarks.engine                                   # timing: MLP and conv on this machine
    python -m benchmarks.engine --device cuda --model resnet50 --pixels 224 --dtype bf16
    python -m benchmarks.engine --bench checks                    # exactness, splits, the reported GSNR
    python -m benchmarks.engine --bench memory                    # peak memory of the meta part against N
    python -m benchmarks.engine --bench weak-features --seeds 10
    python -m benchmarks.engine --table                           # docs/results/engine.md from what is stored

Ratios only, within one run: rounds go through all variants in turn, so a busy machine slows them alike, and the medians
of a round's ratio to its own plain step are reported with quartiles. The plain step is the same eager loop without
hooks. Results are stored as docs/results/engine-BENCH.parquet (a device other than the CPU: engine-timing-DEVICE) and
as JSON in --out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks import engine_checks, engine_page, engine_reference, engine_weak
from synthsift.bilevel.backends import JVP, FiniteDifference, LastLayer, ScoreBackend
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.schedule import RowSource, Schedule

CLASSES, FEATURES = 10, 22
BENCHES = ("checks", "timing", "memory", "weak-features")
DTYPES = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16}


def conv(width: int) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
        layers += [nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(8, b), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, CLASSES))


def mlp(inputs: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES)
    )


class Bench:
    """One model with data, and a closure for each kind of step."""

    def __init__(self, kind: str, pixels: int, rows: int, trusted: int, device: str, dtype: torch.dtype) -> None:
        self.kind, self.pixels, self.rows, self.num_trusted = kind, pixels, rows, trusted
        self.device, self.dtype = torch.device(device), dtype
        generator = torch.Generator().manual_seed(0)
        shape = (784,) if kind == "mlp" else (3, pixels, pixels)
        self.x = torch.randn(2 * rows, *shape, generator=generator).to(self.device, dtype)
        self.y = torch.randint(CLASSES, (2 * rows,), generator=generator).to(self.device)
        self.features = torch.randn(2 * rows, FEATURES, generator=generator)
        self.trusted = (self.x[:trusted].flip(0).clone(), self.y[:trusted].flip(0).clone())
        self.own, self.fresh = torch.arange(rows), torch.arange(rows, 2 * rows)

    def learner(self) -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        if self.kind == "resnet50":
            import torchvision

            model: nn.Module = torchvision.models.resnet50(num_classes=CLASSES)
        else:
            model = mlp(784, 512) if self.kind == "mlp" else conv(16)
        model.to(self.device, self.dtype).train()
        return model, torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self.x[rows.to(self.device)], self.y[rows.to(self.device)]

    def plain(self) -> Callable[[], None]:
        model, optimizer = self.learner()

        def step() -> None:
            optimizer.zero_grad()
            engine_reference.row_losses(model, self.batch(self.own)).mean().backward()
            optimizer.step()

        return step

    def engine(self, scores: ScoreBackend, **settings: Any) -> Callable[[], None]:
        model, optimizer = self.learner()
        settings = {
            "trusted_rows": self.num_trusted,
            "fresh_rows": self.rows,
            "diagnose": 0,
            "least_rows": 1,
        } | settings
        reweighter = Reweighter(
            model,
            optimizer,
            self.features,
            self.trusted,
            scores=scores,
            schedule=Schedule(**settings),
            pool=(self.x, self.y),
        )

        def step() -> None:
            optimizer.zero_grad()
            reweighter.loss(self.own, self.batch(self.own)).backward()
            optimizer.step()
            reweighter.step()

        step.notices = reweighter.notices.said  # type: ignore[attr-defined]
        return step

    def floor(self) -> Callable[[], None]:
        """A plain step, Gamma, and two bare forwards of a fresh batch: what no difference of losses can do without."""
        plain, (model, _) = self.plain(), self.learner()

        def step() -> None:
            plain()
            loss = engine_reference.row_losses(model, self.trusted).mean()
            torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for _ in range(2):
                    for rows in self.fresh.split(256):
                        engine_reference.row_losses(model, self.batch(rows))

        return step

    def reference(self, shared: bool, unrolled: bool = False) -> Callable[[], None]:
        model, optimizer = self.learner()
        net = nn.Sequential(nn.Linear(FEATURES, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 1))
        net.to(self.device, self.dtype)
        meta = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-4)
        features = self.features.to(self.device, self.dtype)
        fresh = self.own if shared else self.fresh

        def step() -> None:
            own = (self.batch(self.own), features[: self.rows])
            if unrolled:
                engine_reference.unrolled_step(model, optimizer, net, meta, *own, self.trusted)
            else:
                other = (self.batch(fresh), features[fresh.to(self.device)])
                engine_reference.reference_step(model, optimizer, net, meta, *own, *other, self.trusted)

        return step

    def variants(self) -> dict[str, tuple[Callable[[], None], int]]:
        """Name -> (step, steps a round): amortized ones are timed over whole periods."""
        fresh = {"batch": "fresh", "chunk": 256}
        return {
            "plain": (self.plain(), 1),
            "own, ghost": (self.engine(Ghost()), 1),
            "own, stale ghost (approximate)": (self.engine(Ghost(stale=True)), 1),
            "own, jvp": (self.engine(JVP()), 1),
            "own, one-sided difference": (self.engine(FiniteDifference(1e-3, two_sided=False)), 1),
            "own, last layer": (self.engine(LastLayer()), 1),
            "own, ghost, every 4th": (self.engine(Ghost(), every=4), 4),
            "fresh, ghost": (self.engine(Ghost(), **fresh), 1),
            "fresh, jvp": (self.engine(JVP(), **fresh), 1),
            "fresh, differences": (self.engine(FiniteDifference(1e-3), **fresh), 1),
            "fresh, differences, one chunk": (
                self.engine(FiniteDifference(1e-3), **{**fresh, "chunk": self.rows}),
                1,
            ),
            "two forwards of N and Gamma": (self.floor(), 1),
            "fresh, ghost, every 4th": (self.engine(Ghost(), every=4, **fresh), 4),
            "reference, fresh batch": (self.reference(shared=False), 1),
            "reference, shared batch": (self.reference(shared=True), 1),
            "full unroll": (self.reference(shared=True, unrolled=True), 1),
        }


def seconds(step: Callable[[], None], count: int, device: torch.device) -> float:
    """Processor time a step on a CPU (others' load does not count), wall time on an accelerator."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = clock()
    for _ in range(count):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (clock() - start) / count


def timing(bench: Bench, rounds: int, only: list[str] | None) -> list[dict[str, Any]]:
    variants = {name: v for name, v in bench.variants().items() if not only or name == "plain" or name in only}
    for step, count in variants.values():  # caches, first-use compilation, the self-check of ghost products
        for _ in range(max(count, 2)):
            step()
    ratios: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        took = {name: seconds(step, count, bench.device) for name, (step, count) in variants.items()}
        for name, value in took.items():
            ratios[name].append(value / took["plain"])
    rows = []
    for name, found in ratios.items():
        quartiles = statistics.quantiles(found, n=4) if len(found) > 1 else [found[0]] * 3
        row = {"model": bench.kind, "variant": name, "ratio": statistics.median(found), "low": quartiles[0]}
        row |= {"high": quartiles[2], "rounds": rounds}
        rows.append(row | {"notices": "; ".join(getattr(variants[name][0], "notices", []))})
    return rows


def memory(device: str) -> list[dict[str, Any]]:
    """Peak extra memory of the meta part (MiB) at several N: allocations beyond those of the plain step.

    The MLP of the timing, fresh rows in chunks of 1,024; rows are made when they are fetched, as decoded images are.
    """
    x, y = torch.randn(4096, 784, device=device), torch.randint(CLASSES, (4096,), device=device)
    known, rows, scores = torch.randn(65_536, FEATURES), [], Ghost()
    for size in (1024, 1024, 8192, 65_536):  # the first one is for the self-check of ghost products
        torch.manual_seed(0)
        model = mlp(784, 512).to(device)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        schedule = Schedule(batch="fresh", fresh_rows=size, chunk=1024, diagnose=0, trusted_rows=128)
        pool = RowSource(65_536, lambda places: (x[places % 4096], y[places % 4096]))
        reweighter = Reweighter(
            model, optimizer, known, (x[:128], y[:128]), schedule=schedule, pool=pool, scores=scores
        )
        reweighter.loss(torch.arange(256), (x[:256], y[:256])).backward()
        optimizer.step()
        rows.append({"N": size, "MiB": peak(reweighter.step, device)})
    return rows[1:]


def peak(call: Callable[[], None], device: str) -> float:
    """Largest sum of live tensor memory during `call` beyond its start, in MiB."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - start) / 2**20
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        call()
    total = top = 0
    for event in sorted(
        (e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"), key=lambda e: e.start_ns()
    ):
        total += event.nbytes()
        top = max(top, total)
    return top / 2**20


def run(bench: str, a: argparse.Namespace) -> list[dict[str, Any]]:
    """Run one bench; return its rows."""
    if bench == "checks":
        return engine_checks.exactness() + engine_checks.splits() + engine_checks.noise()
    if bench == "memory":
        return memory(a.device)
    if bench == "weak-features":
        seeds = list(range(1000, 1000 + a.seeds))
        known = a.out / "weak-features.jsonl"
        cells = engine_weak.run(known, seeds, ["default"], engine_weak.SIZES, engine_weak.RATES)
        others = ["rectified", "KL .3", "as specified"]
        return cells + engine_weak.run(known, seeds, others, [2048], engine_weak.RATES, again=False)
    rows = []
    for kind in a.model:
        one = Bench(kind, a.pixels, a.rows, a.trusted, a.device, DTYPES[a.dtype])
        settings = {"device": a.device, "dtype": a.dtype, "rows": a.rows, "trusted": a.trusted}
        settings["pixels"] = 0 if kind == "mlp" else a.pixels
        rows += [row | settings for row in timing(one, a.rounds, a.only)]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", choices=BENCHES, default="timing")
    parser.add_argument("--all", action="store_true", help="every bench, then the page")
    parser.add_argument("--table", action="store_true", help="write the page from what is stored")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", nargs="+", choices=["mlp", "conv", "resnet50"], default=["mlp", "conv"])
    parser.add_argument("--pixels", type=int, default=16)
    parser.add_argument("--dtype", choices=list(DTYPES), default="f32")
    parser.add_argument("--rows", type=int, default=1024, help="n = N")
    parser.add_argument("--trusted", type=int, default=128, help="M")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="+", help="time these variants only, and store nothing")
    parser.add_argument("--seeds", type=int, default=10, help="fresh seeds of weak-features, from 1000")
    parser.add_argument("--out", type=Path, default=Path("runs/engine"))
    a = parser.parse_args()
    if a.table:
        return engine_page.write()
    a.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1 if a.device == "cpu" else torch.get_num_threads())
    for bench in BENCHES if a.all else [a.bench]:
        found = run(bench, a)
        (a.out / f"{bench}.json").write_text(json.dumps(found, indent=1))
        name = bench if a.device == "cpu" else f"{bench}-{a.device}"
        if not a.only:
            pd.DataFrame(found).to_parquet(engine_page.RESULTS / f"engine-{name}.parquet", index=False)
        print("\n".join(map(str, found)), flush=True)
    if a.all:
        engine_page.write()


if __name__ == "__main__":
    main()
