"""z_q -> parameters of p(x | z_q) for images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.image.encoder import as_contrast, check_resampling
from vq_vae_tf.modalities.image.fold import unfold
from vq_vae_tf.modalities.image.residual import ResidualStack


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ImageDecoder(keras.layers.Layer):
    """A 3x3 convolution, residual blocks, transposed 4x4 convolutions: the encoder's mirror.

    z_q `[batch, h, w, dim]` -> parameters `[batch, h * 2^d, w * 2^d, outputs]` of the likelihood.
    Paper: section 4.1, "two residual 3x3 blocks, followed by two transposed convolutions with stride 2 and window
    size 4x4".

    Args:
        outputs: `likelihood.outputs(channels)`.
        units: hidden units; the finest grid before the output has half of them, as in the encoder.
        residual_units: units inside a residual block.
        residual_blocks: how many.
        upsamplings: d, the number of transposed layers.
        resampling: as in the encoder; "folded" has a 1x1 convolution give squares of 2^d x 2^d pixels as vectors, and
            adds a linear map of z_q to them, in float32 under every policy (see `ImageEncoder`).
        contrast: as in the encoder: what is told over its contrast is first multiplied by it.

    Raises:
        ValueError: resampling is not known; contrast without "folded".
    """

    def __init__(
        self,
        outputs: int,
        units: int = 128,
        residual_units: int = 32,
        residual_blocks: int = 2,
        upsamplings: int = 2,
        resampling: str = "strided",
        contrast: Sequence[Sequence[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        check_resampling(self.name, resampling, contrast)
        self.contrast = as_contrast(contrast)
        self.resampling = resampling
        self.outputs, self.units, self.upsamplings = outputs, units, upsamplings
        self.residual_units, self.residual_blocks = residual_units, residual_blocks
        policy = self.dtype_policy
        self.mix = keras.layers.Conv2D(units, 3, padding="same", name="mix", dtype=policy)
        self.residual = ResidualStack(units, residual_units, residual_blocks, name="residual", dtype=policy)
        folded = resampling == "folded"
        self.transposed = [] if folded else self._transposed()
        side = 2**upsamplings
        self.squares = [keras.layers.Conv2D(outputs * side**2, 1, name="squares", dtype=policy)] if folded else []
        self.across = (
            [keras.layers.Conv2D(outputs * side**2, 1, use_bias=False, name="across", dtype="float32")]
            if folded
            else []
        )

    def _transposed(self) -> list[keras.layers.Layer]:
        last = self.upsamplings - 1
        widths = [
            self.outputs if i == last else self.units // 2 if i == last - 1 else self.units
            for i in range(self.upsamplings)
        ]
        return [
            keras.layers.Conv2DTranspose(
                w,
                4,
                2,
                padding="same",
                activation=None if i == last else "relu",
                name=f"transposed_{i}",
                dtype=self.dtype_policy,
            )
            for i, w in enumerate(widths)
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions."""
        shape = tuple(input_shape)
        for layer in self.across:
            layer.build(shape)
        for layer in [self.mix, self.residual, *self.transposed, *self.squares]:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the parameters."""
        step = 2**self.upsamplings
        grid = [None if s is None else s * step for s in input_shape[1:3]]
        return (input_shape[0], *grid, self.outputs)

    def call(self, z: Any) -> Any:
        """Parameters of p(x | z_q), in the layer's compute dtype, or float32 of folded squares."""
        h = z = z if self.contrast is None else self.contrast.multiply(z)
        for layer in [self.mix, self.residual, *self.transposed, *self.squares]:
            h = layer(h)
        for layer in self.across:
            h = unfold(ops.cast(h, "float32") + layer(z), 2**self.upsamplings)
        return h

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "outputs": self.outputs,
            "units": self.units,
            "residual_units": self.residual_units,
            "residual_blocks": self.residual_blocks,
            "upsamplings": self.upsamplings,
            "resampling": self.resampling,
            "contrast": self.contrast,
        }
