"""The paper's residual block, shared by encoder and decoder."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ResidualStack(keras.layers.Layer):
    """`blocks` times x + conv1x1(relu(conv3x3(relu(x)))), then relu; shape `[batch, height, width, units]` kept.

    Paper: section 4.1, "residual blocks (implemented as ReLU, 3x3 conv, ReLU, 1x1 conv)".
    """

    def __init__(self, units: int, residual_units: int, blocks: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.residual_units, self.blocks = units, residual_units, blocks
        self.wide = [
            keras.layers.Conv2D(
                residual_units, 3, padding="same", activation="relu", name=f"wide_{i}", dtype=self.dtype_policy
            )
            for i in range(blocks)
        ]
        self.narrow = [
            keras.layers.Conv2D(units, 1, name=f"narrow_{i}", dtype=self.dtype_policy) for i in range(blocks)
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions."""
        for wide, narrow in zip(self.wide, self.narrow, strict=True):
            wide.build(input_shape)
            narrow.build((*input_shape[:-1], self.residual_units))
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """That of the input."""
        return tuple(input_shape)

    def call(self, x: Any) -> Any:
        """`[batch, height, width, units]` -> the same shape."""
        for wide, narrow in zip(self.wide, self.narrow, strict=True):
            x = x + narrow(wide(keras.ops.relu(x)))
        return keras.ops.relu(x)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "residual_units": self.residual_units,
            "blocks": self.blocks,
        }
