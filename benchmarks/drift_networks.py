"""Two small generators that `benchmarks.drift` retrains: a variational autoencoder of pictures, a model of characters.

References
----------
Kingma, Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, linear, silu

from benchmarks.theory_characters import Reader
from synthsift.seeds import Seeds
from synthsift.training.adamw import AdamW

Draw = Callable[[int, np.random.Generator], np.ndarray]
BATCH, RATE = 128, 2e-3
PIECES, READER_RATE = 16, 4e-3


def train_autoencoder(rows: np.ndarray, seeds: Seeds, *, width: int, latent: int, steps: int) -> Draw:
    """Fit a variational autoencoder to pictures (n, d) in [0, 1]; it draws the decoder's mean pictures."""
    sizes = {"in": (rows.shape[1], width), "code": (width, 2 * latent), "out": (latent, width), "pixel": (width, rows.shape[1])}  # fmt: skip
    generator, layers = seeds.torch("layers"), {}
    for name, (inputs, outputs) in sizes.items():
        layers[f"{name}.weight"] = inputs**-0.5 * torch.randn((outputs, inputs), generator=generator)
        layers[f"{name}.bias"] = torch.zeros(outputs)
    for value in layers.values():
        value.requires_grad_()

    def layer(x: torch.Tensor, name: str) -> torch.Tensor:
        return linear(x, layers[f"{name}.weight"], layers[f"{name}.bias"])

    optimizer, rng = AdamW(layers.values(), RATE, steps, decay=0.0), seeds.numpy("rows")
    data = torch.from_numpy(rows)
    for _ in range(steps):
        x = data[torch.from_numpy(rng.integers(len(rows), size=min(BATCH, len(rows))))]
        mean, log_spread = layer(silu(layer(x, "in")), "code").chunk(2, dim=1)
        code = mean + log_spread.exp() * torch.randn(mean.shape, generator=generator)
        pixels = layer(silu(layer(code, "out")), "pixel")
        divergence = (mean**2 + (2 * log_spread).exp() - 1 - 2 * log_spread).sum() / 2
        loss = (binary_cross_entropy_with_logits(pixels, x, reduction="sum") + divergence) / len(x)
        loss.backward()
        optimizer.step()

    def draw(num: int, rng: np.random.Generator) -> np.ndarray:
        with torch.no_grad():
            code = torch.from_numpy(rng.standard_normal((num, latent)).astype(np.float32))
            return np.asarray(torch.sigmoid(layer(silu(layer(code, "out")), "pixel")).numpy())

    return draw


def train_characters(rows: np.ndarray, seeds: Seeds, *, width: int, steps: int) -> Draw:
    """Fit an LSTM to texts (n,) of one length; it writes texts of that length, begun with a first character of theirs."""
    letters, codes = np.unique([list(text) for text in rows], return_inverse=True)
    codes = torch.from_numpy(codes.reshape(len(rows), -1))
    model, generator = Reader(len(letters), width), seeds.torch("weights")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.shape[-1] ** -0.5 * (2 * torch.rand(parameter.shape, generator=generator) - 1))
    optimizer, rng = AdamW(model.parameters(), READER_RATE, steps, decay=0.0), seeds.numpy("rows")
    for _ in range(steps):
        batch = codes[torch.from_numpy(rng.integers(len(rows), size=PIECES))]
        scores, _ = model(batch[:, :-1])
        cross_entropy(scores.flatten(0, 1), batch[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    def draw(num: int, rng: np.random.Generator) -> np.ndarray:
        chance = torch.Generator().manual_seed(int(rng.integers(2**62)))
        written, state = [codes[torch.from_numpy(rng.integers(len(rows), size=num)), :1]], None
        with torch.no_grad():
            for _ in range(codes.shape[1] - 1):
                scores, state = model(written[-1], state)
                written.append(torch.multinomial(scores[:, -1].softmax(dim=1), 1, generator=chance))
        made = letters[torch.cat(written, dim=1).numpy()]
        return np.array(["".join(line) for line in made], dtype=object)

    return draw
