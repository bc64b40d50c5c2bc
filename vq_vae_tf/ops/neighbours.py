"""The pixels before a pixel in raster order: which they are, and what they say of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

Tensor = Any
GAIN = 8.0
"""Of differences on the scale -1..1: sixteen of 256 levels are one."""


def offsets_before(reach: int) -> list[tuple[int, int]]:
    """(rows, columns) from a pixel to those before it, in raster order, at most `reach` up, left and right."""
    above = [(-dy, dx) for dy in range(reach, 0, -1) for dx in range(-reach, reach + 1)]
    return above + [(0, -dx) for dx in range(reach, 0, -1)]


def is_inside(grid: tuple[int, ...], offsets: list[tuple[int, int]]) -> np.ndarray:
    """Which of the neighbours lie in the picture: float32 `[height, width, offsets]`, 0 or 1."""
    y, x = np.mgrid[: grid[0], : grid[1]]
    found = [(y + dy >= 0) & (y + dy < grid[0]) & (x + dx >= 0) & (x + dx < grid[1]) for dy, dx in offsets]
    return np.stack(found, axis=-1).astype(np.float32)


def plane_weights(grid: tuple[int, ...]) -> np.ndarray:
    """Weights of the pixels to the left, above, and above to the left: float32 `[height, width, 3]`.

    Equation: guess = 3/4 left + 3/4 above - 1/2 above left, half-way from their mean to the plane through the three;
    the one neighbour that there is in the first row and the first column, 0 for the first pixel.
    """
    weights = np.zeros((*grid, 3), np.float32)
    weights[1:, 1:] = 0.75, 0.75, -0.5
    weights[0, 1:, 0] = 1.0
    weights[1:, 0, 1] = 1.0
    return weights


def around(x: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
    """`[batch, height, width, dim]` -> `[batch, height, width, offsets, dim]`: neighbours, 0 outside the picture."""
    height, width = x.shape[1:3]
    up, left = -min(dy for dy, _ in offsets), -min(dx for _, dx in offsets)
    down, right = max(dy for dy, _ in offsets), max(dx for _, dx in offsets)
    padded = ops.pad(x, ((0, 0), (up, max(down, 0)), (left, max(right, 0)), (0, 0)))
    moved = [padded[:, up + dy : up + dy + height, left + dx : left + dx + width] for dy, dx in offsets]
    return ops.stack(moved, axis=-2)


def compressed(difference: Tensor) -> Tensor:
    """`d / sqrt(1 + d^2)`, d = GAIN times the difference: small ones count, large ones only by their sign."""
    d = GAIN * difference
    return d * ops.rsqrt(1.0 + ops.square(d))
