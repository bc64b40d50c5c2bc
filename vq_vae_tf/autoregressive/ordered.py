"""A start for the vectors of symbols that have an order, such as pixel values and levels of sound."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

WAVES = 4
"""Cosines and sines of the value, beside the value itself: up to this many periods over all symbols,"""
SYMBOLS_A_WAVE = 16
"""none of them shorter than so many symbols, but one in any case."""


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class OrderedSymbols(keras.initializers.Initializer):
    """Vectors that change slowly from one symbol to the next; unrelated ones for each channel.

    Equation: E[c, k] = W_c (v, cos(pi v), sin(pi v), ..., cos(WAVES pi v), ...), v = 2 k / (K - 1) - 1,
    W_c normal, of such a size that an element has the standard deviation `spread`. From independent vectors a network
    has to find out for every symbol alone what is true of its neighbours too.

    Args:
        channels: C; the table has C K rows.
        spread: standard deviation of an element.
        seed: of W; None: from Keras' global seed.
    """

    def __init__(self, channels: int, spread: float = 1.0, seed: int | None = None) -> None:
        self.channels, self.spread, self.seed = channels, spread, seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """The table `[C K, features]`."""
        rows, features = shape
        value = np.linspace(-1.0, 1.0, rows // self.channels)
        waves = max(1, min(WAVES, len(value) // SYMBOLS_A_WAVE))
        angles = np.pi * np.arange(1, waves + 1) * value[:, None]
        smooth = np.concatenate([value[:, None], np.cos(angles), np.sin(angles)], axis=1)
        smooth *= self.spread / np.sqrt(np.mean(np.sum(smooth**2, axis=1)))
        mix = keras.random.normal((self.channels, smooth.shape[1], features), seed=self.seed)
        return ops.cast(ops.reshape(ops.matmul(smooth.astype(np.float32), mix), shape), dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"channels": self.channels, "spread": self.spread, "seed": self.seed}
