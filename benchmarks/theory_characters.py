"""One cell of the text part: a character model that reads real text mixed with text of an earlier model."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.theory_cases import TextCase
from synthsift.seeds import Seeds
from synthsift.training.characters import Reader, mean_loss, new_reader, write_characters

LENGTH, BATCH, RATE = 64, 16, 4e-3
TRAINING = 0.9  # share of the file, by position; the last 5 % test
CHECKPOINTS = (50_000, 100_000, 200_000, 400_000, 800_000)
TEST_PIECES = 400


def run_text(case: TextCase, seed: int, data: Path) -> list[dict[str, Any]]:
    """One row a fraction and checkpoint: loss on real test text (nats a character), and the generator's own."""
    seeds = Seeds(seed).child("theory", case.name)
    codes, size = _codes(data)
    own, rest = codes[: case.generator_chars], codes[case.generator_chars : int(TRAINING * len(codes))]
    test = _pieces(codes[int(0.95 * len(codes)) :])[:TEST_PIECES]
    generator = new_reader(size, case.generator_width, seeds.child("generator"))
    order = seeds.numpy("generator order")
    pieces = _pieces(own)
    _read(generator, pieces[order.integers(len(pieces), size=(case.generator_steps, BATCH))], case.generator_steps, {})
    made = _sample(generator, own, case.tokens // LENGTH + 1, seeds.torch("samples"))
    generator_loss = mean_loss(generator, test)
    real, rows = _pieces(rest), []
    for fraction in case.fractions:
        rng = seeds.numpy("order")  # the same real pieces in the same places for every fraction
        num = case.tokens // LENGTH
        chosen = real[rng.permutation(len(real))[:num]]
        is_made = rng.permutation(num) < round(fraction * num)
        mixed = np.where(is_made[:, None], made[:num], chosen)
        steps = num // BATCH
        student = new_reader(size, case.width, seeds.child("student"))
        losses = _read(student, mixed[: steps * BATCH].reshape(steps, BATCH, -1), steps, {c: test for c in CHECKPOINTS})
        common = {"width": case.width, "fraction": fraction, "generator_loss": generator_loss}
        rows += [common | {"tokens": tokens, "measured": loss} for tokens, loss in losses.items()]
    clean = {row["tokens"]: row["measured"] for row in rows if row["fraction"] == 0}
    c2 = max(generator_loss - clean[max(clean)], 0.0)
    return [row | {"predicted": clean[row["tokens"]] + row["fraction"] ** 2 * c2, "c2": c2} for row in rows]


@cache
def _codes(data: Path) -> tuple[np.ndarray, int]:
    text = (data / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    letters, codes = np.unique(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), return_inverse=True)
    return codes, len(letters)


def _pieces(codes: np.ndarray) -> np.ndarray:
    """Consecutive pieces (n, LENGTH + 1): a piece holds the characters read and, one later, the ones to foretell."""
    num = (len(codes) - 1) // LENGTH
    return codes[np.arange(num)[:, None] * LENGTH + np.arange(LENGTH + 1)]


def _read(model: Reader, batches: np.ndarray, steps: int, tests: dict[int, np.ndarray]) -> dict[int, float]:
    """Read batches (steps, BATCH, LENGTH + 1) once; the loss on `tests` when that many characters have been read."""
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    losses, seen = {}, 0
    for step, batch in enumerate(torch.from_numpy(batches)):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 20)
        scores, _ = model(batch[:, :-1])
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        before, seen = seen, seen + BATCH * LENGTH
        last = step == steps - 1
        for tokens, test in tests.items():
            if before < tokens <= seen or (last and tokens > seen and tokens - seen < BATCH * LENGTH):
                losses[tokens] = mean_loss(model, test)
    return losses


def _sample(model: Reader, start: np.ndarray, num: int, generator: torch.Generator) -> np.ndarray:
    """Pieces (num, LENGTH + 1) written by the model, each begun with a character of `start`."""
    first = torch.randint(len(start), (num, 1), generator=generator)
    return write_characters(model, torch.from_numpy(start)[first], LENGTH, generator)
