"""x -> z_e for waveforms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.audio.lengths import check_waveforms
from vq_vae_tf.modalities.audio.residual import DilatedStack


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class AudioEncoder(keras.layers.Layer):
    """Strided convolutions of window 2 x stride, dilated residual blocks, a 1x1 projection to the codebook's dimension.

    Waveform `[batch, time]` in [-1, 1] -> z_e `[batch, time / product of strides, embedding_dim]`.
    Paper: section 4.2, "6 strided convolutions with stride 2 and window-size 4": 64x; seven of them: 128x.
    Differs from the paper: the first two layers are narrower (a quarter and half of the units), for they cost most and
    see least; dilated residual blocks follow.

    Args:
        embedding_dim: dimension D of z_e.
        strides: of each convolution.
        units: hidden units.
        residual_units: units inside a residual block.
        residual_blocks: how many.

    Raises:
        ValueError: if time is not a multiple of the product of the strides.
    """

    def __init__(
        self,
        embedding_dim: int,
        strides: Sequence[int] = (2, 2, 2, 2, 2, 2),
        units: int = 128,
        residual_units: int = 32,
        residual_blocks: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.embedding_dim, self.units, self.strides = embedding_dim, units, tuple(int(s) for s in strides)
        self.residual_units, self.residual_blocks = residual_units, residual_blocks
        self.hop = math.prod(self.strides)
        policy = self.dtype_policy
        widths = [max(1, units // max(1, 4 >> i)) for i in range(len(self.strides))]
        self.strided = [
            keras.layers.Conv1D(w, 2 * s, s, padding="same", activation="relu", name=f"strided_{i}", dtype=policy)
            for i, (w, s) in enumerate(zip(widths, self.strides, strict=True))
        ]
        self.residual = DilatedStack(widths[-1], residual_units, residual_blocks, name="residual", dtype=policy)
        self.project = keras.layers.Conv1D(embedding_dim, 1, name="project", dtype=policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions after checking the length."""
        check_waveforms(self.name, input_shape, self.hop)
        shape: tuple[int | None, ...] = (*input_shape, 1)
        for layer in [*self.strided, self.residual, self.project]:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of z_e."""
        return (input_shape[0], None if input_shape[1] is None else input_shape[1] // self.hop, self.embedding_dim)

    def call(self, x: Any) -> Any:
        """z_e of waveforms."""
        h = ops.cast(x, self.compute_dtype)[..., None]
        for layer in [*self.strided, self.residual, self.project]:
            h = layer(h)
        return h

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("embedding_dim", "strides", "units", "residual_units", "residual_blocks")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
