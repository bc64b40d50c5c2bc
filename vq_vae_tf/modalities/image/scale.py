"""The two scales of a pixel: 0..255 as stored, -1/2..1/2 inside the networks."""

from __future__ import annotations

from typing import Any

from keras import ops


def to_unit(x: Any, dtype: str = "float32") -> Any:
    """u = x / 255 - 1/2, of any shape."""
    return ops.cast(x, dtype) * (1.0 / 255.0) - 0.5


def from_unit(u: Any) -> Any:
    """x = 255 (u + 1/2) in float32, clipped to 0..255."""
    return ops.clip((ops.cast(u, "float32") + 0.5) * 255.0, 0.0, 255.0)
