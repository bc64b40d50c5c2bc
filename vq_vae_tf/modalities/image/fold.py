"""Squares of pixels as one vector, and back: a change of grid without arithmetic."""

from __future__ import annotations

from typing import Any

from keras import ops


def fold(x: Any, side: int) -> Any:
    """`[batch, h * side, w * side, channels]` -> `[batch, h, w, side * side * channels]`; inverse of `unfold`.

    Output channel (i * side + j) * channels + c holds channel c of the pixel in row i and column j of the square.
    """
    shape = ops.shape(x)
    height, width, channels = shape[1] // side, shape[2] // side, x.shape[-1]
    squares = ops.reshape(x, (shape[0], height, side, width, side, channels))
    return ops.reshape(ops.transpose(squares, (0, 1, 3, 2, 4, 5)), (shape[0], height, width, side * side * channels))


def unfold(x: Any, side: int) -> Any:
    """`[batch, h, w, side * side * channels]` -> `[batch, h * side, w * side, channels]`; inverse of `fold`."""
    shape = ops.shape(x)
    height, width, channels = shape[1], shape[2], x.shape[-1] // (side * side)
    squares = ops.transpose(ops.reshape(x, (shape[0], height, width, side, side, channels)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(squares, (shape[0], height * side, width * side, channels))
