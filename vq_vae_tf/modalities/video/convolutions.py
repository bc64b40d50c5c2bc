"""Convolutions over clips that look back in time only."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

WINDOW = 4  # pixels that a strided convolution sees in each direction of space
_BORDER = (1, 1)


def causal(x: Any, window: int, stride: int = 1, border: tuple[int, int] = _BORDER) -> Any:
    """`[batch, time, height, width, channels]` padded so that a convolution of that window in time sees no future.

    With a stride, output t then ends at frame stride * t + stride - 1. border: zeros before and after in space.
    """
    return ops.pad(x, ((0, 0), (window - stride, 0), border, border, (0, 0)))


def time_strides(layers: int, time_layers: int) -> list[int]:
    """Strides in time of so many strided layers: 2 in the last `time_layers`, on the coarsest pictures; else 1.

    Raises: ValueError for more strides in time than layers.
    """
    if not 0 <= time_layers <= layers:
        raise ValueError(f"{time_layers} strides in time given; expected 0 to {layers}, the strides in space.")
    return [1] * (layers - time_layers) + [2] * time_layers


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ClipResidual(keras.layers.Layer):
    """`blocks` times x + conv1(relu(conv3(relu(x)))), then relu, after a 3x3x3 convolution; causal in time.

    `[batch, time, height, width, *]` -> `[batch, time, height, width, units]`. Paper: section 4.1's blocks, in 3-D.
    """

    def __init__(self, units: int, residual_units: int, blocks: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.residual_units, self.blocks = units, residual_units, blocks
        policy = self.dtype_policy
        self.mix = keras.layers.Conv3D(units, 3, name="mix", dtype=policy)
        self.wide = [keras.layers.Conv3D(residual_units, 3, name=f"wide_{i}", dtype=policy) for i in range(blocks)]
        self.narrow = [keras.layers.Dense(units, name=f"narrow_{i}", dtype=policy) for i in range(blocks)]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions."""
        self.mix.build(tuple(input_shape))
        for wide, narrow in zip(self.wide, self.narrow, strict=True):
            wide.build((*input_shape[:-1], self.units))
            narrow.build((*input_shape[:-1], self.residual_units))
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """That of the input, with other channels."""
        return (*input_shape[:-1], self.units)

    def call(self, x: Any) -> Any:
        """The blocks, one after the other."""
        x = self.mix(causal(x, 3))
        for wide, narrow in zip(self.wide, self.narrow, strict=True):
            x = x + narrow(ops.relu(wide(causal(ops.relu(x), 3))))
        return ops.relu(x)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("units", "residual_units", "blocks")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
