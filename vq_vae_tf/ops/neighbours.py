"""The pixels before a pixel in raster order: which they are, and what they say of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

Tensor = Any
LEFT, ABOVE, CORNER = 0.75, 0.75, -0.5
"""A pixel is guessed half-way from the mean of its neighbours to the plane through the three."""
BOUND = 6.0
UNKNOWN = 1.0
"""Half of the scale: the typical error where nothing has been seen."""


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

    Equation: guess = `LEFT` left + `ABOVE` above + `CORNER` above left; in the first row and the first column the one
    neighbour that there is, 0 for the first pixel.
    """
    weights = np.zeros((*grid, 3), np.float32)
    weights[1:, 1:] = LEFT, ABOVE, CORNER
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


def guessed_before(offsets: list[tuple[int, int]], steps: int) -> np.ndarray:
    """Which of the neighbours, at most `steps` up, left and right away, have their own three among the offsets.

    int32 `[found, 4]`: where in the list the neighbour is, the one to its left, above it, and above that to the left.
    """
    place = {offset: i for i, offset in enumerate(offsets)}
    near = [(dy, dx) for dy, dx in offsets if abs(dy) + abs(dx) <= steps]
    fours = [((dy, dx), (dy, dx - 1), (dy - 1, dx), (dy - 1, dx - 1)) for dy, dx in near]
    found = [[place[offset] for offset in four] for four in fours if all(offset in place for offset in four)]
    return np.array(found, np.int32).reshape(-1, 4)


def error_weights(grid: tuple[int, ...], offsets: list[tuple[int, int]], fours: np.ndarray) -> np.ndarray:
    """What to add up for how far neighbours were from guesses of theirs: float32 `[height, width, found, 4]`.

    Equation: error = itself - its guess by `plane_weights`; all weights of a neighbour outside the picture are 0.
    """
    height, width = grid
    each = np.concatenate([np.ones((*grid, 1), np.float32), -plane_weights(grid)], axis=-1)
    side = max((max(abs(dy), abs(dx)) for dy, dx in offsets), default=0)
    padded = np.pad(each, ((side, side), (side, side), (0, 0)))
    shifts = [offsets[own] for own in fours[:, 0]]
    return np.stack([padded[side + dy :, side + dx :][:height, :width] for dy, dx in shifts], axis=-2)


def errors_of(values: Tensor, weights: Tensor, fours: np.ndarray) -> Tensor:
    """Errors `[..., found, dim]` from the values of all neighbours `[..., offsets, dim]`; see `error_weights`."""
    return sum(weights[..., i : i + 1] * ops.take(values, fours[:, i], axis=-2) for i in range(4))


def typical(errors: Tensor, weights: Tensor, least: float) -> Tensor:
    """Mean size of the errors of neighbours in the picture, and `least`: `[..., found, dim]` -> `[..., 1]`.

    `UNKNOWN` for the first pixel: measured in levels its value would be beyond all that a mixture expects, and stay so.
    """
    count = ops.sum(weights[..., 0], axis=-1, keepdims=True)
    summed = ops.sum(ops.mean(ops.abs(errors), axis=-1), axis=-1, keepdims=True)
    return ops.where(count > 0.0, summed / ops.maximum(count, 1.0) + least, UNKNOWN)


def bounded(u: Tensor) -> Tensor:
    """`u / sqrt(1 + (u / BOUND)^2)`: about u, but never beyond `BOUND`."""
    return u * ops.rsqrt(1.0 + ops.square(u / BOUND))
