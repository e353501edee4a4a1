"""A small residual network for pictures of 32 or 64 pixels, as a function of its parameters.

The module is a skeleton without storage (torch's "meta" device): parameters are a dict of tensors that is passed in,
so the same network serves a plain training loop and a meta-training that differentiates through its steps. Group
normalization (Wu and He 2018) keeps no running statistics: what a row gives does not depend on the rows beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthsift.records import DataError

GRID = 16  # the first layer sees a picture as 16 x 16 patches, so 64 pixels cost little more than 32
GROUPS = 8
CENTER, SCALE = 127.5, 64.0  # of bytes 0-255; fixed numbers, so that no picture depends on another one
CHUNK = 256  # pictures that are predicted together, to bound memory

Parameters = dict[str, Tensor]


class ResidualBlock(nn.Module):
    """Two normalized 3 x 3 convolutions beside a shortcut (He et al. 2016); halves the grid, doubles the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide: dict[str, Any] = {"bias": False, "device": "meta"}
        self.first = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, **wide)
        self.second = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, **wide)
        self.shortcut = nn.Conv2d(channels, 2 * channels, 1, stride=2, **wide)
        self.first_norm = nn.GroupNorm(GROUPS, 2 * channels, device="meta")
        self.second_norm = nn.GroupNorm(GROUPS, 2 * channels, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, 2 channels, side / 2, side / 2) of (n, channels, side, side)."""
        inner = self.second(torch.relu(self.first_norm(self.first(x))))
        return torch.relu(self.second_norm(inner) + self.shortcut(x))


class ResidualNet(nn.Module):
    """Patches, one convolution, two residual blocks, one linear layer on all 4 x 4 places.

    The places are not averaged: where a stroke lies is what tells letters and digits apart, and with some hundred real
    pictures a network must not have to find that out (on letters from photographs the mean over places learned nothing
    in the same number of steps).

    While `logits` runs, the parameters are set into the module: threads must not share a skeleton.

    Parameters
    ----------
    pixels : int
        Side of the square pictures, a multiple of 16.
    num_classes : int
    width : int
        Channels of the first layer, a multiple of 8; the blocks have twice and four times as many.
    """

    def __init__(self, pixels: int, num_classes: int, width: int) -> None:
        super().__init__()
        if pixels % GRID or width % GROUPS:
            raise ValueError(f"pixels must be a multiple of {GRID} and width of {GROUPS}, not {pixels} and {width}")
        self.patch = pixels // GRID
        self.stem = nn.Conv2d(3 * self.patch**2, width, 3, padding=1, bias=False, device="meta")
        self.norm = nn.GroupNorm(GROUPS, width, device="meta")
        self.blocks = nn.Sequential(ResidualBlock(width), ResidualBlock(2 * width))
        self.head = nn.Linear(4 * width * (GRID // 4) ** 2, num_classes, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, c) of pictures (n, 3, pixels, pixels), see `as_inputs`."""
        x = nn.functional.pixel_unshuffle(x, self.patch)  # (n, 3 patch^2, 16, 16)
        x = self.blocks(torch.relu(self.norm(self.stem(x))))  # (n, 4 width, 4, 4)
        return self.head(x.flatten(1))

    def start(self, generator: torch.Generator) -> Parameters:
        """Draw parameters: normal with variance 2 / inputs (He et al. 2015); the last layer starts at zero."""
        values = {}
        for name, skeleton in self.named_parameters():
            if name.startswith("head") or name.endswith("bias"):
                values[name] = torch.zeros(skeleton.shape)
            elif "norm" in name:
                values[name] = torch.ones(skeleton.shape)
            else:
                spread = (2.0 / skeleton[0].numel()) ** 0.5
                values[name] = torch.randn(skeleton.shape, generator=generator) * spread
        return values

    def logits(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return logits (n, c) of pictures under the given parameters; differentiable in both."""
        return torch.func.functional_call(self, dict(parameters), (x,))

    def probabilities(self, parameters: Mapping[str, Tensor], x: Any) -> np.ndarray:
        """Return class probabilities (n, c) of pictures of bytes, in chunks."""
        with torch.inference_mode():
            chunks = [
                torch.softmax(self.logits(parameters, as_inputs(x[start : start + CHUNK])), dim=1).numpy()
                for start in range(0, len(x), CHUNK)
            ]
        return np.concatenate(chunks) if chunks else np.zeros((0, self.head.out_features), np.float32)


def picture_side(x: Any) -> int:
    """Return the side in pixels of square color pictures of bytes.

    Raises
    ------
    DataError
        If the inputs are no such pictures.
    """
    some = np.asarray(x[:1])
    if some.dtype != np.uint8 or some.ndim != 4 or some.shape[1] != some.shape[2] or some.shape[3] != 3:
        raise DataError(
            f"the cnn learner was given inputs of shape {some.shape[1:]} and dtype {some.dtype}, and pictures are "
            "needed. Give folders of images, one folder a class, or choose --learner logistic or mlp."
        )
    return int(some.shape[1])


def as_inputs(x: Any) -> Tensor:
    """Return pictures of bytes (n, p, p, 3) as float32 (n, 3, p, p) around zero."""
    return centered(torch.from_numpy(np.ascontiguousarray(np.asarray(x))))


def centered(pixels: Tensor) -> Tensor:
    """Return the same of a tensor of bytes (n, p, p, 3)."""
    return (pixels.permute(0, 3, 1, 2).to(torch.float32) - CENTER) / SCALE


def shifted(x: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return pictures (n, p, p, 3), each moved by at most `most` pixels down and right; the border is repeated."""
    side = x.shape[1]
    move = rng.integers(-most, most + 1, (len(x), 2))
    down = (np.arange(side) + move[:, :1]).clip(0, side - 1)  # (n, p)
    right = (np.arange(side) + move[:, 1:]).clip(0, side - 1)
    return x[np.arange(len(x))[:, None, None], down[:, :, None], right[:, None, :]]
