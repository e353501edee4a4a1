"""A small model of characters: one LSTM layer that reads pieces of text and writes new ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from synthsift.records import DataError
from synthsift.seeds import Seeds
from synthsift.training.adamw import AdamW

RATE, LONGEST = 4e-3, 1.0  # learning rate, and the length that a gradient is cut to


class Reader(torch.nn.Module):
    """One LSTM layer between an embedding and the next character's scores.

    Parameters
    ----------
    size : int
        Different characters.
    width : int
        Units of the layer.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(size, 32)
        self.lstm = torch.nn.LSTM(32, width, batch_first=True)
        self.head = torch.nn.Linear(width, size)

    def forward(self, codes: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Scores (b, t, size) of the next characters, and the state after them."""
        hidden, state = self.lstm(self.embedding(codes), state)
        return self.head(hidden), state


def new_reader(size: int, width: int, seeds: Seeds) -> Reader:
    """A fresh model whose first weights depend on the seed alone."""
    reader, generator = Reader(size, width), seeds.torch("weights")
    with torch.no_grad():
        for parameter in reader.parameters():
            spread = 0.1 if parameter.ndim == 1 or parameter.shape[0] == size else parameter.shape[1] ** -0.5
            parameter.copy_(spread * (2 * torch.rand(parameter.shape, generator=generator) - 1))
    return reader


def fit_reader(
    draw: Callable[[int, np.random.Generator], np.ndarray],
    size: int,
    seeds: Seeds,
    *,
    width: int,
    steps: int,
    batch: int = 16,
) -> Reader:
    """Train a new model on pieces of text.

    Parameters
    ----------
    draw : callable (n, rng) -> (n, t + 1) of int64
        Draws pieces as codes of characters; of each, the first t are read and the last t foretold.
    size : int
        Different characters.
    seeds : Seeds
        Randomness of the start and of the pieces.
    width, steps, batch : int
        Units, optimizer steps and pieces of each.

    Raises
    ------
    DataError
        If the loss stops being finite.
    """
    model, rng = new_reader(size, width, seeds), seeds.numpy("pieces")
    optimizer = AdamW(model.parameters(), RATE, steps, decay=0.0)
    for step in range(steps):
        codes = torch.from_numpy(draw(batch, rng))
        loss = cross_entropy(model(codes[:, :-1])[0].flatten(0, 1), codes[:, 1:].flatten())
        if not torch.isfinite(loss):
            raise DataError(
                f"the loss of the character model is {float(loss.detach())} at step {step}; it cannot go on"
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), LONGEST)
        optimizer.step()
    return model


def mean_loss(model: Reader, pieces: np.ndarray) -> float:
    """Mean loss over pieces (n, t + 1), nats a character; lower is better."""
    with torch.no_grad():
        codes = torch.from_numpy(pieces)
        return float(cross_entropy(model(codes[:, :-1])[0].flatten(0, 1), codes[:, 1:].flatten()))


def write_characters(model: Reader, first: torch.Tensor, length: int, generator: torch.Generator) -> np.ndarray:
    """Texts (n, length + 1) written by the model at temperature 1, each begun with a character of `first` (n, 1)."""
    written, state = [first], None
    with torch.no_grad():
        for _ in range(length):
            scores, state = model(written[-1], state)
            written.append(torch.multinomial(scores[:, -1].softmax(dim=1), 1, generator=generator))
    return np.asarray(torch.cat(written, dim=1).numpy())
