"""How much neighbouring pixels differ, wherever exactly they do."""

from __future__ import annotations

from typing import Any

from keras import ops

_FLAT = 1e-5  # keeps the root's slope finite where a picture is flat; a hundredth of the mean of photographs


def local_contrast(u: Any, window: int = 7, stride: int = 3) -> Any:
    """c = sqrt(mean over a window of (du/dx)^2 + (du/dy)^2), of each channel.

    Args:
        u: float `[batch, height, width, channels]`, each side larger than the window.
        window: pixels on a side.
        stride: pixels between windows.

    Returns:
        float32 `[batch, rows, columns, channels]`; square: the gradient energy of the window.

    Raises:
        ValueError: the picture is smaller than a window and its neighbours.
    """
    if any(side is not None and side <= window for side in u.shape[1:3]):
        raise ValueError(f"local_contrast received {tuple(u.shape)}; expected more than {window} pixels on a side.")
    u = ops.cast(u, "float32")
    corner = u[:, :-1, :-1]
    steps = ops.square(u[:, :-1, 1:] - corner) + ops.square(u[:, 1:, :-1] - corner)
    return ops.sqrt(ops.average_pool(steps, window, stride) + _FLAT)
