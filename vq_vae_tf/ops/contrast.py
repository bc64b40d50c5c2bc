"""How much neighbouring pixels differ, wherever exactly they do."""

from __future__ import annotations

from typing import Any

from keras import ops

_FLAT = 1e-4  # of gradient energy, that of noise of two grey levels: what is flatter counts as this flat


def gradient_energy(u: Any, window: int = 7, stride: int = 3) -> Any:
    """e = mean over a window of (du/dx)^2 + (du/dy)^2, of each channel.

    Args:
        u: float `[batch, height, width, channels]`, each side larger than the window.
        window: pixels on a side.
        stride: pixels between windows.

    Returns:
        float32 `[batch, rows, columns, channels]`.

    Raises:
        ValueError: the picture is smaller than a window and its neighbours.
    """
    if any(side is not None and side <= window for side in u.shape[1:3]):
        raise ValueError(f"gradient_energy received {tuple(u.shape)}; expected more than {window} pixels on a side.")
    u = ops.cast(u, "float32")
    corner = u[:, :-1, :-1]
    steps = ops.square(u[:, :-1, 1:] - corner) + ops.square(u[:, 1:, :-1] - corner)
    return ops.average_pool(steps, window, stride)


def contrast_error(made: Any, real: Any) -> Any:
    """How far the contrast of pictures is from that of real ones, `[batch]`, on the scale of a squared error of pixels.

    Equation: mean over windows and channels of (e - f)^2 / 4 (sg(max(f, e / 4)) + flat), e and f the `gradient_energy`
    of the real and the made picture. Near e it is (sqrt(e) - sqrt(f))^2; but where several real pictures are possible,
    its gradient is zero at the mean of their energies, not below it, as that of roots would be. e / 4 bounds it.

    Args:
        made, real: float `[batch, height, width, channels]`; the gradient goes to `made`.
    """
    found, wanted = gradient_energy(made), ops.stop_gradient(gradient_energy(real))
    scale = ops.maximum(ops.stop_gradient(found), 0.25 * wanted) + _FLAT
    error = ops.square(wanted - found) / (4.0 * scale)
    return ops.mean(error, axis=(1, 2, 3))
