"""What a training step with selection costs, in plain training steps, and whether the engine keeps its promises.

    python -m benchmarks.engine --all                             # all of it, then the page
    python -m benchmarks.engine                                   # timing: MLP and conv on this machine
    python -m benchmarks.engine --device cuda --model resnet50 resnet50-frozen --pixels 224 --dtype bf16 --rounds 5
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
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks import engine_checks, engine_page, engine_weak
from benchmarks.engine_steps import CLASSES, FEATURES, MODELS, Bench, mlp
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.schedule import RowSource, Schedule

BENCHES = ("checks", "timing", "memory", "weak-features")
DTYPES = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16}


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


def timing(
    bench: Bench, rounds: int, only: list[str] | None, keep: Callable[[list[dict[str, Any]]], None]
) -> list[dict[str, Any]]:
    """Time all variants in turn; `keep` is called with the rows so far after each round, since some models are slow."""
    variants = {name: v for name, v in bench.variants().items() if not only or name == "plain" or name in only}
    peaks = {}
    for name, (step, count) in variants.items():
        began = time.perf_counter()
        peaks[name] = warm_up(step, count, bench.device.type)
        print(f"{bench.kind}: first steps of {name!r} took {time.perf_counter() - began:.1f} s", file=sys.stderr)
    ratios: dict[str, list[float]] = {name: [] for name in peaks if peaks[name] != float("inf")}
    rows: list[dict[str, Any]] = []
    for _ in range(rounds):
        took = {name: seconds(*variants[name], bench.device) for name in ratios}
        for name, value in took.items():
            ratios[name].append(value / took["plain"])
        rows = []
        for name, peak_gib in peaks.items():
            found = ratios.get(name, [float("inf")])  # it did not fit into the memory
            quartiles = statistics.quantiles(found, n=4) if len(found) > 1 else [found[0]] * 3
            row = {"model": bench.kind, "variant": name, "ratio": statistics.median(found), "low": quartiles[0]}
            row |= {"high": quartiles[2], "rounds": len(ratios["plain"]), "GiB": peak_gib}
            rows.append(row | {"notices": "; ".join(getattr(variants[name][0], "notices", []))})
        keep(rows)
    return rows


def warm_up(step: Callable[[], None], count: int, device: str) -> float:
    """Take first steps (caches, compilation, the self-check of ghost products); return the peak of the rest in GiB.

    Beyond what was held before, parameters for instance; infinite if the memory is too small, and not measured on a CPU.
    """

    def others() -> None:
        for _ in range(max(count - 1, 1)):
            step()

    try:
        step()
        if device == "cuda":
            return peak(others, device) / 1024
        others()
        return float("nan")
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return float("inf")


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
        settings["card"] = torch.cuda.get_device_name() if a.device == "cuda" else ""
        settings["pixels"] = 0 if kind == "mlp" else a.pixels
        before = list(rows)

        def keep(found: list[dict[str, Any]], before: list[Any] = before, settings: dict[str, Any] = settings) -> None:
            told = before + [row | settings for row in found]
            (a.out / "timing.json").write_text(json.dumps(told, indent=1))

        rows += [row | settings for row in timing(one, a.rounds, a.only, keep)]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", choices=BENCHES, default="timing")
    parser.add_argument("--all", action="store_true", help="every bench, then the page")
    parser.add_argument("--table", action="store_true", help="write the page from what is stored")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", nargs="+", choices=MODELS, default=["mlp", "conv"])
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
