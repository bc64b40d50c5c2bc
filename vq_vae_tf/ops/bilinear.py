"""Pictures read between their pixels."""

from __future__ import annotations

from typing import Any

from keras import ops


def bilinear(pictures: Any, rows: Any, columns: Any) -> Any:
    """Pictures read at any places: `[batch, h, w, c]` at `[batch, *places]` -> `[batch, *places, c]`.

    Equation: sum_{i, j} max(0, 1 - |row - i|) max(0, 1 - |column - j|) pictures[i, j]; a place outside is read at the
    border next to it. Four rows of a table are gathered for a place; the places have gradients, but none at a pixel.

    Args:
        pictures: float.
        rows, columns: float32, in pixels from the first one; of one shape.
    """
    height, width, channels = pictures.shape[1:]
    top, down = _cell(rows, height)
    left, right = _cell(columns, width)
    flat = ops.reshape(pictures, (-1, channels))
    first = ops.arange(ops.shape(pictures)[0], dtype="int32") * (height * width)
    corner = top * width + left + ops.reshape(first, (-1, *(1 for _ in rows.shape[1:])))
    # A picture of one row or column has no next one; its weight is zero there.
    below, beside = (width if height > 1 else 0), (1 if width > 1 else 0)

    def read(offset: int) -> Any:
        return ops.take(flat, corner + offset, axis=0)

    down, right = ops.cast(down, pictures.dtype)[..., None], ops.cast(right, pictures.dtype)[..., None]
    above = read(0) * (1.0 - right) + read(beside) * right
    under = read(below) * (1.0 - right) + read(below + beside) * right
    return above * (1.0 - down) + under * down


def _cell(place: Any, size: int) -> tuple[Any, Any]:
    """The pixel before a place, one that has a next one, and how far the place is behind it: int32, 0..1."""
    place = ops.clip(place, 0.0, float(size - 1))
    before = ops.stop_gradient(ops.clip(ops.floor(place), 0.0, float(max(size - 2, 0))))
    return ops.cast(before, "int32"), place - before
