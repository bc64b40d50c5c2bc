"""A residual block that looks around and is told what was done."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive.base import gate

Tensor = Any


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ActedBlock(keras.layers.Layer):
    """Equation: h <- h + V gate(conv3x3(norm h) + sum_t A a_t), a_t numbers of a table of actions.

    Maps `[batch, h, w, features]` and int32 `[batch, steps]` to `[batch, h, w, features]`.

    Args:
        features: width.
        rows: how many numbers there are.
        dilation: of the convolution.
    """

    def __init__(self, features: int, rows: int, dilation: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.features, self.rows, self.dilation = features, rows, dilation
        policy = self.dtype_policy
        self.norm = keras.layers.LayerNormalization(name="norm", dtype=policy)
        self.spread = keras.layers.Conv2D(
            2 * features, 3, padding="same", dilation_rate=dilation, name="spread", dtype=policy
        )
        self.acts = keras.layers.Embedding(rows, 2 * features, name="acts", dtype=policy)
        self.out = keras.layers.Dense(features, name="out", dtype=policy)

    def build(self, input_shape: Any) -> None:
        """input_shape: of h."""
        for layer in (self.norm, self.spread, self.out):
            layer.build(input_shape)
        self.acts.build()
        self.built = True

    def call(self, h: Tensor, numbers: Tensor) -> Tensor:
        """The next h."""
        told = ops.sum(self.acts(numbers), axis=1)[:, None, None, :]
        return h + self.out(gate(self.spread(self.norm(h)) + told))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"features": self.features, "rows": self.rows, "dilation": self.dilation}
        return {**super().get_config(), **own}
