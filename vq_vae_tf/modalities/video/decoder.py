"""z_q -> parameters of p(x | z_q) for clips."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.video.convolutions import WINDOW, ClipResidual, time_strides


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ClipDecoder(keras.layers.Layer):
    """Residual blocks and transposed convolutions over space and time: the encoder's mirror, causal as it is.

    z_q `[batch, t, h, w, dim]` -> parameters `[batch, t * 2^s, h * 2^d, w * 2^d, outputs]` of the likelihood. A frame
    sees the codes of its own time and those before, so a rollout can be decoded as it grows.

    Args:
        outputs: `likelihood.outputs(channels)`.
        units, residual_units, residual_blocks: as in the encoder.
        upsamplings: d, transposed layers.
        time_upsamplings: s, how many of them, the first ones, double time too.

    Raises:
        ValueError: more strides in time than layers.
    """

    def __init__(
        self,
        outputs: int,
        units: int = 128,
        residual_units: int = 32,
        residual_blocks: int = 2,
        upsamplings: int = 2,
        time_upsamplings: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outputs, self.units, self.residual_units = outputs, units, residual_units
        self.residual_blocks, self.upsamplings, self.time_upsamplings = residual_blocks, upsamplings, time_upsamplings
        self.time, policy = time_strides(upsamplings, time_upsamplings)[::-1], self.dtype_policy
        last = upsamplings - 1
        widths = [outputs if i == last else units // 2 if i == last - 1 else units for i in range(upsamplings)]
        self.residual = ClipResidual(units, residual_units, residual_blocks, name="residual", dtype=policy)
        self.transposed = [
            keras.layers.Conv3DTranspose(w, (2 * t, WINDOW, WINDOW), (t, 2, 2), name=f"transposed_{i}", dtype=policy)
            for i, (w, t) in enumerate(zip(widths, self.time, strict=True))
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions."""
        shape = (None, None, None, None, input_shape[-1])
        self.residual.build(shape)
        shape = (*shape[:-1], self.units)
        for layer in self.transposed:
            layer.build(shape)
            shape = (*shape[:-1], layer.filters)
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the parameters."""
        steps = (2**self.time_upsamplings, 2**self.upsamplings, 2**self.upsamplings)
        sizes = [None if n is None else n * step for n, step in zip(input_shape[1:4], steps, strict=True)]
        return (input_shape[0], *sizes, self.outputs)

    def call(self, z: Any) -> Any:
        """Parameters of p(x | z_q), in the layer's compute dtype."""
        h = self.residual(z)
        for i, (layer, stride) in enumerate(zip(self.transposed, self.time, strict=True)):
            frames = ops.shape(h)[1] * stride
            h = layer(ops.relu(h) if i else h)[:, :frames, 1:-1, 1:-1]  # what is cut off in time hears the future
        return h

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("outputs", "units", "residual_units", "residual_blocks", "upsamplings", "time_upsamplings")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
