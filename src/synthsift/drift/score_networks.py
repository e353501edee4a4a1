"""The two networks that predict noise: layers for rows of numbers, a small U-Net for pictures.

Both are functions of a dict of tensors and of the time's phase, 0 at t0 and 1 at the horizon, in log time.

References
----------
Ronneberger, Fischer, Brox, "U-Net", 2015; Ho, Jain, Abbeel, NeurIPS 2020 (residual blocks with group norm and time).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from synthsift.records import DataError

if TYPE_CHECKING:
    import torch

    Layers = dict[str, torch.Tensor]

FREQUENCIES = 6  # sines and cosines of the phase that tell a network the time
GROUPS = 8
LARGE = 16  # pictures of a longer side are seen as patches of 2 x 2 pixels
Shapes = dict[str, tuple[int, ...]]


def time_waves(phase: torch.Tensor) -> torch.Tensor:
    """The phase (n,), its sines and its cosines (n, 1 + 2 FREQUENCIES)."""
    import torch

    column = phase[:, None]
    waves = math.pi * column * torch.arange(1, FREQUENCIES + 1, device=phase.device)
    return torch.cat([column, waves.sin(), waves.cos()], dim=1)


def layers_shapes(dim: int, width: int, depth: int) -> Shapes:
    """Shape of every array of the network for rows (n, dim)."""
    inputs = dim + 1 + 2 * FREQUENCIES
    shapes: Shapes = {}
    for k in range(depth + 1):
        outputs = width if k < depth else dim
        shapes |= {f"{k}.weight": (outputs, inputs), f"{k}.bias": (outputs,)}
        inputs = outputs
    return shapes


def layers_noise(x: torch.Tensor, phase: torch.Tensor, layers: Layers, depth: int) -> torch.Tensor:
    """Predicted noise (n, d) of noised rows x (n, d) at phases (n,)."""
    import torch
    from torch.nn.functional import linear, silu

    h = torch.cat([x, time_waves(phase)], dim=1)
    for k in range(depth):
        wide = linear(h, layers[f"{k}.weight"], layers[f"{k}.bias"])
        h = silu(wide) + h if k else silu(wide)  # hidden layers pass their input on
    return linear(h, layers[f"{depth}.weight"], layers[f"{depth}.bias"])


def check_side(side: int) -> int:
    """Return the side of a square picture, if a U-Net can halve it.

    Raises
    ------
    DataError
        If it is below 4, odd, or above 16 and no multiple of 4.
    """
    if side < 4 or side % (4 if side > LARGE else 2):
        raise DataError(
            f"pictures of {side} x {side} pixels cannot be halved: an even side from 4 to {LARGE}, or a multiple of 4 "
            "above it, is needed. Scale or pad them"
        )
    return side


def unet_shapes(side: int, width: int) -> Shapes:
    """Shape of every array of the U-Net for rows (n, side * side); `width` channels, twice as many at half the side."""
    check_side(side)
    ends = 4 if side > LARGE else 1
    told = 4 * width
    shapes: Shapes = {"time.weight": (told, 1 + 2 * FREQUENCIES), "time.bias": (told,)}

    def conv(name: str, inputs: int, outputs: int, size: int = 3) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs, size, size), f"{name}.bias": (outputs,)})

    def norm(name: str, channels: int) -> None:
        shapes.update({f"{name}.gain": (channels,), f"{name}.bias": (channels,)})

    def block(name: str, inputs: int, outputs: int) -> None:
        norm(f"{name}.norm1", inputs)
        conv(f"{name}.conv1", inputs, outputs)
        shapes.update({f"{name}.time.weight": (2 * outputs, told), f"{name}.time.bias": (2 * outputs,)})
        norm(f"{name}.norm2", outputs)
        conv(f"{name}.conv2", outputs, outputs)
        if inputs != outputs:
            conv(f"{name}.pass", inputs, outputs, 1)

    conv("stem", ends, width)
    block("fine", width, width)
    conv("down", width, 2 * width)
    block("coarse1", 2 * width, 2 * width)
    block("coarse2", 2 * width, 2 * width)
    conv("up", 2 * width, width)
    block("join", 2 * width, width)
    norm("last", width)
    shapes |= {"gain.weight": (1, told), "gain.bias": (1,)}
    conv("end", width, ends)
    return shapes


def unet_noise(x: torch.Tensor, phase: torch.Tensor, sigma: torch.Tensor, layers: Layers, side: int) -> torch.Tensor:
    """Predicted noise (n, side * side) of noised pictures x (n, side * side).

    The U-Net adds to sigma x, the best guess for pixels of variance 1 that know nothing of each other, and to a share
    of x that depends on the time: its normalizations hide how strong a picture is as a whole, which matters where
    there are few pixels (as the preconditioning of Karras et al., NeurIPS 2022, does).

    Parameters
    ----------
    x : Tensor (n, side * side)
    phase, sigma : Tensor (n,)
        Time, and the standard deviation of its noise.
    layers : dict of str to Tensor
        See `unet_shapes`.
    side : int
    """
    import torch
    from torch.nn.functional import conv2d, interpolate, linear, pixel_shuffle, pixel_unshuffle, silu

    patch = 2 if side > LARGE else 1
    told = silu(linear(time_waves(phase), layers["time.weight"], layers["time.bias"]))
    h = pixel_unshuffle(x.view(-1, 1, side, side), patch)

    def conv(name: str, h: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = layers[f"{name}.weight"]
        return conv2d(h, weight, layers[f"{name}.bias"], stride=stride, padding=weight.shape[-1] // 2)

    h = conv("stem", h)
    fine = residual_block("fine", h, told, layers)
    h = conv("down", fine, stride=2)
    h = residual_block("coarse1", h, told, layers)
    h = residual_block("coarse2", h, told, layers)
    h = conv("up", interpolate(h, scale_factor=2, mode="nearest"))
    h = residual_block("join", torch.cat([h, fine], dim=1), told, layers)
    h = conv("end", silu(_norm("last", h, layers)))
    sigma, keep = sigma[:, None], (1 - sigma[:, None] ** 2).sqrt()
    gain = linear(told, layers["gain.weight"], layers["gain.bias"])
    return (sigma + keep * gain) * x + keep * pixel_shuffle(h, patch).reshape(len(x), side * side)


def residual_block(name: str, h: torch.Tensor, told: torch.Tensor, layers: Layers) -> torch.Tensor:
    """Two normalized convolutions beside a shortcut; the time scales and shifts the second normalization."""
    from torch.nn.functional import conv2d, linear, silu

    inner = conv2d(
        silu(_norm(f"{name}.norm1", h, layers)), layers[f"{name}.conv1.weight"], layers[f"{name}.conv1.bias"], padding=1
    )
    scale, shift = linear(told, layers[f"{name}.time.weight"], layers[f"{name}.time.bias"])[:, :, None, None].chunk(
        2, dim=1
    )
    inner = silu(_norm(f"{name}.norm2", inner, layers) * (1 + scale) + shift)
    inner = conv2d(inner, layers[f"{name}.conv2.weight"], layers[f"{name}.conv2.bias"], padding=1)
    if f"{name}.pass.weight" in layers:
        h = conv2d(h, layers[f"{name}.pass.weight"], layers[f"{name}.pass.bias"])
    return h + inner


def _norm(name: str, h: torch.Tensor, layers: Layers) -> torch.Tensor:
    """Group normalization; it knows no other row of the batch."""
    from torch.nn.functional import group_norm

    groups = math.gcd(GROUPS, h.shape[1])
    return group_norm(h, groups, layers[f"{name}.gain"], layers[f"{name}.bias"])


def new_layers(shapes: Shapes, generator: torch.Generator) -> Layers:
    """He's initialization; gains at 1, biases and what is added last at 0."""
    import torch

    last = list(shapes)[-2]
    layers = {}
    for name, shape in shapes.items():
        is_last = name in (last, "gain.weight")
        scale = 0.0 if len(shape) == 1 or is_last else math.sqrt(2 / math.prod(shape[1:]))
        value = scale * torch.randn(shape, generator=generator)
        layers[name] = value + 1 if name.endswith(".gain") else value  # of a normalization
    return layers
