"""Residual blocks over time."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class DilatedStack(keras.layers.Layer):
    """Residual blocks over `[batch, time, units]`: x + 1x1(ReLU(dilated 3-tap convolution(ReLU(x)))), then ReLU.

    Args:
        units: channels of the input and of the output.
        residual_units: channels inside a block.
        blocks: how many; block i has the dilation 3^(i mod 3).
    """

    def __init__(self, units: int, residual_units: int, blocks: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.residual_units, self.num_blocks = units, residual_units, blocks
        policy = self.dtype_policy
        self.inner = [
            keras.layers.Conv1D(
                residual_units,
                3,
                padding="same",
                dilation_rate=3 ** (i % 3),
                activation="relu",
                name=f"inner_{i}",
                dtype=policy,
            )
            for i in range(blocks)
        ]
        self.outer = [keras.layers.Conv1D(units, 1, name=f"outer_{i}", dtype=policy) for i in range(blocks)]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions."""
        for inner, outer in zip(self.inner, self.outer, strict=True):
            inner.build(input_shape)
            outer.build((*input_shape[:-1], self.residual_units))
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return tuple(input_shape)

    def call(self, x: Any) -> Any:
        """The refined features."""
        for inner, outer in zip(self.inner, self.outer, strict=True):
            x = x + outer(inner(ops.relu(x)))
        return ops.relu(x)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        mine = {"units": self.units, "residual_units": self.residual_units, "blocks": self.num_blocks}
        return {**super().get_config(), **mine}
