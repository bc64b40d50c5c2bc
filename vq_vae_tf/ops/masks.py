"""What makes a network causal: shifts, one-sided padding and the triangular mask.

A causal network here sees its input shifted by one site at the very first layer and only one-sided (never masked)
layers after it, so no multiplication is spent on a masked weight.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def delayed(x: Tensor, delay: int, axis: int) -> Tensor:
    """`y[t] = x[t - delay]`, zero before the start. Same shape; `delay` may exceed the length."""
    size = x.shape[axis]
    if delay == 0:
        return x
    if delay >= size:
        return ops.zeros_like(x)
    padding = [(0, 0)] * len(x.shape)
    padding[axis] = (delay, 0)
    kept = [slice(None)] * len(x.shape)
    kept[axis] = slice(0, size - delay)
    return ops.pad(x[tuple(kept)], padding)


def causal_taps(x: Tensor, taps: int, axis: int, dilation: int = 1) -> Tensor:
    """Concatenate `x[t - (taps-1) dilation], ..., x[t - dilation], x[t]` on the last axis: `[..., taps * dim]`."""
    return ops.concatenate([delayed(x, dilation * tap, axis) for tap in reversed(range(taps))], axis=-1)


def causal_mask(size: int) -> Tensor:
    """Boolean `[size, size]`, true where row (query) may look at column (key): `key <= query`."""
    positions = ops.arange(size)
    return positions[:, None] >= positions[None, :]
