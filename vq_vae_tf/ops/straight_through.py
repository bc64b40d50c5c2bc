"""Gradients through a step that has none: copied unchanged, or rotated."""

from __future__ import annotations

from typing import Any

from keras import ops


def straight_through(z: Any, z_q: Any) -> Any:
    """The value of `z_q` with the gradient of `z`: sg(z_q) + (z - sg(z)). Paper section 3.2.

    The bracket is exactly zero, so the value is `z_q` to the last bit; `z + sg(z_q - z)` would round.

    Args:
        z: `[..., dim]`, what the gradient goes to.
        z_q: `[..., dim]`, the value.

    Returns:
        `[..., dim]`, equal to `z_q`; d(output)/d(z) is the identity, d(output)/d(z_q) is zero.
    """
    return ops.stop_gradient(z_q) + (z - ops.stop_gradient(z))


def rotation_trick(z: Any, z_q: Any, epsilon: float = 1e-12) -> Any:
    """The value of `z_q` with the gradient of the rotation and scaling that carry `z` there.

    Fifty et al. 2024, arXiv 2410.06424, section 4. Equation: output = sg(|z_q| / |z| R) z, where R rotates unit(z) to
    unit(z_q) in their plane: R z = z - 2 r (r.z) + 2 unit(z_q) (unit(z).z) with r = unit(unit(z) + unit(z_q)).

    Args:
        z: `[..., dim]`, what the gradient goes to.
        z_q: `[..., dim]`, the value.
        epsilon: added to squared lengths, so that zero vectors have finite gradients.

    Returns:
        `[..., dim]`, equal to `z_q`; the angle between gradient and `z_q` becomes that between gradient and `z`.

    Differs from the paper: the value is `z_q` exactly, not up to rounding.
    """
    length, length_q = _length(z, epsilon), _length(z_q, epsilon)
    unit, unit_q = ops.stop_gradient(z / length), ops.stop_gradient(z_q / length_q)
    between = unit + unit_q
    between = ops.stop_gradient(between / _length(between, epsilon))
    turned = z - 2.0 * between * _dot(between, z) + 2.0 * unit_q * _dot(unit, z)
    turned = ops.stop_gradient(length_q / length) * turned
    return straight_through(turned, z_q)


def _dot(a: Any, b: Any) -> Any:
    return ops.sum(a * b, axis=-1, keepdims=True)


def _length(a: Any, epsilon: float) -> Any:
    return ops.sqrt(_dot(a, a) + epsilon)
