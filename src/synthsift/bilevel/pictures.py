"""Pictures inside the meta-training: the residual network of ``--learner cnn`` as the learner that gives the scores.

The meta-network is still told the features of a row; only its scores come from the pixels. Group normalization keeps no
statistics, so a score does not depend on the rows beside it and nothing has to be frozen. A batch is held as bytes;
pixels become floats a piece at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthsift.bilevel.inner import NetworkLearner
from synthsift.records import Mixture, concat_x
from synthsift.training.convnet import CHUNK, ResidualNet, centered, picture_side

WIDTH = 16
RATE, DECAY = 0.05, 1e-3


@dataclass(frozen=True)
class Pictures:
    """All pictures of a mixture, as tensors on demand.

    Parameters
    ----------
    x : Images or ndarray (n, p, p, 3) of uint8
        In the order of ``Mixture.ids``.
    side : int
        p.
    """

    x: Any
    side: int

    @staticmethod
    def of(mixture: Mixture) -> Pictures:
        """Gather the pictures of a mixture.

        Raises
        ------
        DataError
            If its inputs are no pictures.
        """
        x = concat_x([part.x for part in mixture.parts if len(part)])
        return Pictures(x, picture_side(x))

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the bytes (k, p, p, 3) of some rows (k,)."""
        return torch.from_numpy(np.asarray(self.x[rows.numpy()]))

    def learner(self, num_classes: int, generator: torch.Generator) -> NetworkLearner:
        """Return a fresh network for them, behind the contract of `InnerLearner`."""
        net = ResidualNet(self.side, num_classes, WIDTH)

        def logits(params: Mapping[str, Tensor], x: Tensor) -> Tensor:
            # contiguous: torch's forward-mode rule of group normalization does not take channels last
            return net.logits(params, centered(x).contiguous())

        return NetworkLearner(net.start(generator), RATE, DECAY, logits=logits, piece=CHUNK)
