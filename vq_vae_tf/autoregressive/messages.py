"""What pixels tell those after them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Tensor = Any


class Messages(keras.layers.Layer):
    """`h + H (m_1, ..., m_n)`, m = silu(S h + s) of each of the n nearest pixels before.

    Args:
        features: of a pixel.
        numbers: that each says.
        heard: n.
    """

    def __init__(self, features: int, numbers: int, heard: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.features, self.numbers, self.heard = features, numbers, heard
        self.speak = keras.layers.Dense(numbers, activation="silu", name="speak", dtype=self.dtype_policy)
        self.hear = keras.layers.Dense(features, use_bias=False, name="hear", dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        """Every weight."""
        self.speak.build((None, self.features))
        self.hear.build((None, self.numbers * self.heard))
        self.built = True

    def said(self, h: Tensor) -> Tensor:
        """Rows `[..., features]` -> `[..., numbers]`."""
        return self.speak(h)

    def call(self, h: Tensor, said: Tensor) -> Tensor:
        """Rows `[n, features]` and what the nearest said, `[..., heard, numbers]`, 0 outside the picture, in order."""
        return h + self.hear(ops.reshape(said, (-1, self.numbers * self.heard)))
