"""Learned weights inside the Trainer of Hugging Face transformers (extra ``train``).

    ReweightingTrainer = reweighting_trainer(features, trusted=trusted_dataset)
    trainer = ReweightingTrainer(model=model, args=arguments, train_dataset=rows)   # each row has a column "row"
    trainer.train()
    weights = trainer.reweighter.weights()

Checkpoints of the trainer hold the reweighter's state, too (``reweighter.safetensors``, or one file for each of several
processes, whose waiting rows differ), and ``train(resume_from_checkpoint=...)`` goes on from it.

Rows carry their place in `features` as ``row``; set ``remove_unused_columns=False`` so that it is not dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synthsift.bilevel.checkpoint import load, save
from synthsift.bilevel.processes import Processes
from synthsift.bilevel.reweighter import Reweighter
from synthsift.bilevel.schedule import RowSource
from synthsift.records import DataError

ROW, IGNORED = "row", -100


def label_losses(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the cross-entropy of each row (n,): of its label, or the mean over its next tokens.

    Parameters
    ----------
    model : nn.Module
        Called as ``model(**batch)`` without the labels; its output has ``logits`` (n, c) or (n, tokens, c).
    batch : mapping
        With ``labels`` (n,) or (n, tokens); tokens labelled -100 do not count.
    """
    inputs = {name: value for name, value in batch.items() if name not in ("labels", ROW)}
    labels, logits = batch["labels"], model(**inputs).logits
    if logits.ndim == 2:
        return nn.functional.cross_entropy(logits, labels, reduction="none")
    logits, labels = logits[:, :-1].transpose(1, 2), labels[:, 1:]
    losses = nn.functional.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORED)  # (n, tokens - 1)
    return losses.sum(dim=1) / (labels != IGNORED).sum(dim=1).clamp(min=1)


def reweighting_trainer(features: Any, trusted: Any, *, trainer: type | None = None, **settings: Any) -> type:
    """Return a Trainer class that weighs its training rows by a `Reweighter`.

    Parameters
    ----------
    features : ndarray or Tensor (rows, k), or Selector
        What is known about each training row.
    trusted : Dataset, or what `Reweighter` takes
        Rows that judge; a dataset is put together by the trainer's own collator.
    trainer : type, optional
        The class to extend; by default ``transformers.Trainer``.
    **settings
        Of the `Reweighter`; ``loss`` is `label_losses` unless given.

    Raises
    ------
    DataError
        If transformers is not there, or, from the trainer, if rows do not say their place, gradients are accumulated,
        or a checkpoint to resume from holds no state of a reweighter.
    """
    base = trainer if trainer is not None else _transformers_trainer()

    class ReweightingTrainer(base):  # type: ignore[misc,valid-type]
        """A Trainer whose training loss is weighted; evaluation is left alone."""

        reweighter: Reweighter | None = None
        _state_to_load: Path | None = None

        def compute_loss(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            """Return the weighted loss of a training batch."""
            inputs = dict(inputs)
            rows = inputs.pop(ROW, None)
            if not model.training:
                return super().compute_loss(model, inputs, *args, **kwargs)
            if rows is None:
                raise DataError(
                    f"the batch has no {ROW!r}; give every training row its place in features under that name, and set "
                    "remove_unused_columns=False"
                )
            if getattr(self.args, "gradient_accumulation_steps", 1) != 1:
                raise DataError("weights are normalized over a step; set gradient_accumulation_steps=1")
            if self.reweighter is None:
                self.reweighter = self._make_reweighter(model)
            if self._state_to_load is not None:
                load(self._state_to_load, reweighter=self.reweighter)
                self._state_to_load = None
            loss = self.reweighter.loss(rows, inputs)
            return (loss, {"loss": loss}) if _wants_outputs(args, kwargs) else loss

        def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
            """Save the reweighter's state where the optimizer's is saved."""
            super()._save_optimizer_and_scheduler(output_dir)
            if self.reweighter is not None:
                save(_state_file(output_dir, self.reweighter.processes), reweighter=self.reweighter)

        def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
            """Load the optimizer's state, and remember where the reweighter's is: it is made at the first batch."""
            super()._load_optimizer_and_scheduler(checkpoint)
            if checkpoint is None:
                return
            path = _state_file(checkpoint, Processes(settings.get("group")))
            if not path.is_file():
                raise DataError(
                    f"{checkpoint} holds no {path.name}, so the selector would start anew beside a trained learner; "
                    "resume from a checkpoint that this trainer saved, with as many processes and save_only_model=False"
                )
            self._state_to_load = path

        def _make_reweighter(self, model: nn.Module) -> Reweighter:
            device = next(model.parameters()).device
            judges = _as_source(trusted, self.data_collator, device)
            chosen = {"loss": label_losses, **settings}
            made = Reweighter(model, self.optimizer, features, judges, **chosen)
            # after the optimizer's step and only where it is really taken, whatever the version of the trainer
            made.ahead.optimizer.register_step_post_hook(lambda *_: made.step())
            return made

    return ReweightingTrainer


def _state_file(folder: str, processes: Processes) -> Path:
    return Path(folder) / (
        f"reweighter-{processes.rank}.safetensors" if processes.several else "reweighter.safetensors"
    )


def _wants_outputs(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return bool(kwargs.get("return_outputs", args[0] if args else False))


def _as_source(trusted: Any, collate: Any, device: torch.device) -> Any:
    """Fetch rows of a dataset through the trainer's collator; anything else is passed on."""
    if isinstance(trusted, RowSource | Mapping | tuple | list) or not hasattr(trusted, "__getitem__"):
        return trusted

    def fetch(places: Tensor) -> dict[str, Tensor]:
        batch = collate([trusted[int(place)] for place in places])
        return {name: value.to(device) for name, value in batch.items() if name != ROW}

    return RowSource(len(trusted), fetch)


def _transformers_trainer() -> type:
    try:
        from transformers import Trainer  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise DataError(f"transformers cannot be imported ({error}); install synthsift[train]") from error
    return Trainer
