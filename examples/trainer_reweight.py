"""Learned weights in the Trainer of Hugging Face transformers (extra ``train``): the lines marked <- are added.

A small transformer reads sequences of tokens. Of the synthetic ones 40 % have a wrong label; 200 trusted ones do not.

    python examples/trainer_reweight.py
    torchrun --nproc-per-node 2 examples/trainer_reweight.py
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments

from synthsift.bilevel.schedule import Schedule
from synthsift.bilevel.trainer_hook import reweighting_trainer

TOKENS, LENGTH, ROWS, BATCH = 40, 12, 4000, 512  # the batch of all processes together


class Rows(torch.utils.data.Dataset[dict[str, Any]]):
    """Sequences with labels; each says its place."""

    def __init__(self, tokens: np.ndarray, labels: np.ndarray) -> None:
        self.tokens, self.labels = tokens, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, k: int) -> dict[str, Any]:
        return {"input_ids": torch.as_tensor(self.tokens[k]), "labels": int(self.labels[k]), "row": k}  # <- "row"


def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of two kinds, which prefer different halves of the tokens."""
    labels = rng.integers(2, size=n)
    prefers = rng.random((n, LENGTH)) < 0.65
    half = np.where(prefers, labels[:, None], 1 - labels[:, None])
    return half * TOKENS // 2 + rng.integers(TOKENS // 2, size=(n, LENGTH)), labels


def main(seed: int = 0) -> None:
    count = int(os.environ.get("WORLD_SIZE", "1"))  # under torchrun
    rng = np.random.default_rng(seed)
    tokens, labels = draw(ROWS, rng)
    bad = rng.random(ROWS) < 0.4
    features = np.stack([2 * bad + rng.normal(size=ROWS), rng.normal(size=ROWS)], axis=1)  # what is known about a row
    trusted, (held, right) = Rows(*draw(200, rng)), draw(1000, rng)

    torch.manual_seed(seed)
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "hidden_dropout_prob": 0.0,
    }
    config = BertConfig(vocab_size=TOKENS, max_position_embeddings=LENGTH, num_labels=2, **sizes)
    model = BertForSequenceClassification(config)
    ReweightingTrainer = reweighting_trainer(  # <- instead of transformers.Trainer
        features, trusted, schedule=Schedule(trusted_rows=200, least_rows=256)
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=100, per_device_train_batch_size=BATCH // count, learning_rate=3e-3,
            remove_unused_columns=False,  # <- so that "row" stays
            use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = ReweightingTrainer(model=model, args=arguments, train_dataset=Rows(tokens, labels ^ bad))
        trainer.train()
    weights = trainer.reweighter.weights()  # <- one a row, mean 1
    print("\n".join(trainer.reweighter.summary()))  # <-

    model.eval()
    with torch.no_grad():
        hit = float((model(torch.as_tensor(held)).logits.argmax(dim=1).numpy() == right).mean())
    good, wrong = weights[~bad].mean(), weights[bad].mean()
    print(f"test accuracy {hit:.1%}; mean weight of good rows {good:.2f}, of bad ones {wrong:.2f}")
    assert good > wrong


if __name__ == "__main__":
    main()
