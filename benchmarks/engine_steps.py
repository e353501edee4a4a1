"""The kinds of step that `benchmarks.engine` times: learners, data, and a closure for each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import engine_reference
from synthsift.bilevel.backends import JVP, FiniteDifference, LastLayer, ScoreBackend
from synthsift.bilevel.ghost import Ghost
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.schedule import Schedule

CLASSES, FEATURES = 10, 22
MODELS = ("mlp", "conv", "resnet50", "resnet50-frozen")  # frozen: statistics of its batch norms, as in fine-tuning


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
        self.x = torch.empty(2 * rows, *shape, device=self.device, dtype=dtype)
        for part in self.x.split(256):  # all rows in float32 at once would take gigabytes at 224 pixels
            part.copy_(torch.randn(part.shape, generator=generator))
        self.x = self.x.to(memory_format=self._layout)
        self.y = torch.randint(CLASSES, (2 * rows,), generator=generator).to(self.device)
        self.features = torch.randn(2 * rows, FEATURES, generator=generator)
        self.trusted = (self.x[:trusted].flip(0).clone(), self.y[:trusted].flip(0).clone())
        self.own, self.fresh = torch.arange(rows), torch.arange(rows, 2 * rows)

    @property
    def _layout(self) -> torch.memory_format:
        """Of pictures on an accelerator: the one that its convolutions are made for."""
        is_plain = self.kind == "mlp" or self.device.type == "cpu"
        return torch.contiguous_format if is_plain else torch.channels_last

    def learner(self) -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        if self.kind.startswith("resnet50"):
            import torchvision

            model: nn.Module = torchvision.models.resnet50(num_classes=CLASSES)
        else:
            model = mlp(784, 512) if self.kind == "mlp" else conv(16)
        model.to(self.device, self.dtype, memory_format=self._layout).train()
        if self.kind == "resnet50-frozen":
            norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
            for layer in norms:
                layer.momentum = 1.0
            with torch.no_grad():
                model(self.x[:64])  # statistics that fit the network, as a trained one has them
            for layer in norms:
                layer.train = lambda mode=True, layer=layer: layer  # type: ignore[method-assign,misc]
                layer.training = False
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
