"""How the codes of both levels lie in one array: a site of the top grid holds its own code and those beneath it.

`codes[b, y, x, 0]` is the top code at (y, x); `codes[b, y, x, 1 + i * factor + j]` is the bottom code at
(y * factor + i, x * factor + j). So two levels are to everything else (files, histograms, masks, endpoints) what
codes of 1 + factor^2 codebooks are.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any
TWO_LEVEL = "two_level"
"""The name of this layout, on disk too."""


def pack(top: Tensor, bottom: Tensor) -> Tensor:
    """Top `[batch, h, w]` and bottom `[batch, h * factor, w * factor]` -> `[batch, h, w, 1 + factor^2]`."""
    return ops.concatenate([top[..., None], depth_from_space(bottom[..., None], bottom.shape[1] // top.shape[1])], -1)


def unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `pack`."""
    factor = factor_of(packed.shape[-1])
    return packed[..., 0], space_from_depth(packed[..., 1:], factor)[..., 0]


def factor_of(channels: int) -> int:
    """How much finer the bottom grid is, from 1 + factor^2."""
    return round((channels - 1) ** 0.5)


def space_from_depth(x: Tensor, factor: int) -> Tensor:
    """`[batch, h, w, factor * factor * dim]` -> `[batch, h * factor, w * factor, dim]`, blocks in raster order."""
    height, width, dim = x.shape[1], x.shape[2], x.shape[3] // factor**2
    x = ops.reshape(x, (-1, height, width, factor, factor, dim))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height * factor, width * factor, dim))


def depth_from_space(x: Tensor, factor: int) -> Tensor:
    """The inverse of `space_from_depth`."""
    height, width, dim = x.shape[1] // factor, x.shape[2] // factor, x.shape[3]
    x = ops.reshape(x, (-1, height, factor, width, factor, dim))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height, width, factor**2 * dim))
