"""The discrete cosine transform, as a matrix."""

from __future__ import annotations

import numpy as np


def cosine_transform(size: int) -> np.ndarray:
    """The orthonormal cosine transform (DCT-II), float64 `[size, size]`: row k is frequency k.

    Equation: C_kb = sqrt((1 + [k > 0]) / size) cos(pi k (b + 1/2) / size).
    """
    k, b = np.arange(size)[:, None], np.arange(size)
    return np.sqrt(np.where(k, 2.0, 1.0) / size) * np.cos(np.pi / size * k * (b + 0.5))
