"""How much neighbouring pixels differ, wherever exactly they do."""

from __future__ import annotations

from typing import Any

from keras import ops

WINDOW = 7  # pixels on a side
_FLAT = 1e-4  # of gradient energy, that of noise of two grey levels: what is flatter counts as this flat


def local_energies(u: Any, window: int = WINDOW, stride: int = 3) -> Any:
    """Mean over a window of (du/dx)^2, of (du/dy)^2 and of (d^2u/dxdy)^2, of each channel.

    The third, what changes both ways, tells texture from a chequered pattern, which has the most of the other two for
    the least error.

    Args:
        u: float `[batch, height, width, channels]`, each side larger than the window.
        window: pixels on a side.
        stride: pixels between windows.

    Returns:
        float32 `[batch, rows, columns, 3 channels]`.

    Raises:
        ValueError: the picture is smaller than a window and its neighbours.
    """
    if any(side is not None and side <= window for side in u.shape[1:3]):
        raise ValueError(f"local_energies received {tuple(u.shape)}; expected more than {window} pixels on a side.")
    u = ops.cast(u, "float32")
    across, down = u[:, :, 1:] - u[:, :, :-1], u[:, 1:] - u[:, :-1]
    both = across[:, 1:] - across[:, :-1]
    steps = ops.concatenate([across[:, :-1], down[:, :, :-1], both], axis=-1)
    return ops.average_pool(ops.square(steps), window, stride)


def contrast_error(made: Any, real: Any) -> Any:
    """How far the contrast of pictures is from that of real ones, `[batch]`, on the scale of a squared error of pixels.

    Equation: mean over windows and channels of (e - f)^2 / 4 (sg(max(f, e / 4)) + flat), e and f the `local_energies`
    of the real and the made picture. Near e it is (sqrt(e) - sqrt(f))^2; but where several real pictures are possible,
    its gradient is zero at the mean of their energies, not below it, as that of roots would be. e / 4 bounds it.

    Args:
        made, real: float `[batch, height, width, channels]`; the gradient goes to `made`.
    """
    found, wanted = local_energies(made), ops.stop_gradient(local_energies(real))
    scale = ops.maximum(ops.stop_gradient(found), 0.25 * wanted) + _FLAT
    error = ops.square(wanted - found) / (4.0 * scale)
    return ops.mean(error, axis=(1, 2, 3))


def gradient_energies(pictures: Any) -> Any:
    """How sharp pictures are: a blur has less of it. float32 `[batch]`, on the scale 0..1.

    Equation: mean (dI/dx)^2 + mean (dI/dy)^2, each over the pairs of neighbours along it and over channels.

    Args:
        pictures: `[batch, height, width, channels]`, 0..255.
    """
    across, down = squared_steps(ops.cast(pictures, "float32") / 255.0)
    return ops.mean(across, axis=(1, 2)) + ops.mean(down, axis=(1, 2))


def squared_steps(u: Any) -> tuple[Any, Any]:
    """Squared differences of neighbours in a row, and in a column, mean over channels."""
    steps = (u[:, :, 1:] - u[:, :, :-1], u[:, 1:] - u[:, :-1])
    across, down = (ops.mean(ops.square(step), axis=-1) for step in steps)
    return across, down
