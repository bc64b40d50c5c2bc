"""x -> z_e for clips."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.image.scale import to_unit
from vq_vae_tf.modalities.video.convolutions import WINDOW, ClipResidual, causal, time_strides


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ClipEncoder(keras.layers.Layer):
    """The image encoder in three dimensions: strided convolutions, residual blocks, a projection; causal in time.

    `[batch, time, height, width, channels]` in 0..255 -> z_e `[batch, time / 2^s, height / 2^d, width / 2^d, dim]`.
    A code sees the frames up to the last of its 2^s and none after: what is encoded of a past does not depend on what
    comes next, so rollouts are judged on frames that the codes they start from have not seen.
    Paper: section 4.5 encodes frames one by one; this is the variant with convolutions over time.

    Args:
        embedding_dim: dimension D of z_e.
        units: hidden units; half of them after the first strided layer, as for images.
        residual_units: units inside a residual block.
        residual_blocks: how many.
        downsamplings: d, strided layers.
        time_downsamplings: s, how many of them, the last ones, halve time too.

    Raises:
        ValueError: sizes that do not divide, more strides in time than layers.
    """

    def __init__(
        self,
        embedding_dim: int,
        units: int = 128,
        residual_units: int = 32,
        residual_blocks: int = 2,
        downsamplings: int = 2,
        time_downsamplings: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.embedding_dim, self.units, self.residual_units = embedding_dim, units, residual_units
        self.residual_blocks, self.downsamplings = residual_blocks, downsamplings
        self.time_downsamplings, policy = time_downsamplings, self.dtype_policy
        self.time = time_strides(downsamplings, time_downsamplings)
        widths = [units // 2 if i == 0 and downsamplings > 1 else units for i in range(downsamplings)]
        self.strided = [
            keras.layers.Conv3D(w, (2 * t, WINDOW, WINDOW), (t, 2, 2), name=f"strided_{i}", dtype=policy)
            for i, (w, t) in enumerate(zip(widths, self.time, strict=True))
        ]
        self.residual = ClipResidual(units, residual_units, residual_blocks, name="residual", dtype=policy)
        self.project = keras.layers.Dense(embedding_dim, name="project", dtype=policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions after checking the clip's size."""
        steps = (2**self.time_downsamplings, 2**self.downsamplings, 2**self.downsamplings)
        sizes = tuple(input_shape[1:4])
        if len(input_shape) != 5 or any(n is not None and n % step for n, step in zip(sizes, steps, strict=True)):
            raise ValueError(
                f"{self.name}: expected clips [batch, time, height, width, channels], time a multiple of {steps[0]}, "
                f"height and width of {steps[1]}; received shape {tuple(input_shape)}."
            )
        shape = (None, None, None, None, input_shape[-1])
        for layer in self.strided:
            layer.build(shape)
            shape = (*shape[:-1], layer.filters)
        self.residual.build(shape)
        self.project.build((*shape[:-1], self.units))
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of z_e."""
        steps = (2**self.time_downsamplings, 2**self.downsamplings, 2**self.downsamplings)
        grid = [None if n is None else n // step for n, step in zip(input_shape[1:4], steps, strict=True)]
        return (input_shape[0], *grid, self.embedding_dim)

    def call(self, x: Any) -> Any:
        """z_e of clips in 0..255."""
        h = to_unit(x, self.compute_dtype)
        for layer, stride in zip(self.strided, self.time, strict=True):
            h = ops.relu(layer(causal(h, 2 * stride, stride)))
        return self.project(self.residual(h))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("embedding_dim", "units", "residual_units", "residual_blocks", "downsamplings", "time_downsamplings")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
