"""x -> z_e for images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.image.contrast import ContrastCoding
from vq_vae_tf.modalities.image.fold import fold
from vq_vae_tf.modalities.image.residual import ResidualStack
from vq_vae_tf.modalities.image.scale import to_unit

RESAMPLINGS = ("strided", "folded")
"""How encoder and decoder change the grid."""


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ImageEncoder(keras.layers.Layer):
    """Strided 4x4 convolutions, a 3x3 convolution, residual blocks, a 1x1 projection to the codebook's dimension.

    `[batch, height, width, channels]` in 0..255 -> z_e `[batch, height / 2^d, width / 2^d, embedding_dim]`.
    Paper: section 4.1, "2 strided convolutional layers with stride 2 and window size 4x4, followed by two residual
    3x3 blocks, all having 256 hidden units".
    Differs from the paper: the first strided layer has half the units, as in the authors' published code (Sonnet's
    VQ-VAE example): the finest grid is the dearest and needs them least.

    Args:
        embedding_dim: dimension D of z_e.
        units: hidden units.
        residual_units: units inside a residual block.
        residual_blocks: how many.
        downsamplings: d, the number of strided layers; the code grid is 2^d times coarser than the image.
        resampling: "strided", the paper's; "folded" takes squares of 2^d x 2^d pixels as vectors, so that all the work
            is wide products on the coarse grid: the finer grids are bound by memory, and cost most of the paper's time.
            A linear map of each square goes round the network and is added to z_e, in float32 under every policy: fine
            codes tell grey levels, which bfloat16 does not, and a model that learns to undo its rounding has 0.05
            bits/dim more without it.
        contrast: which coefficients of folded squares z_e gives over their contrast (`ContrastCoding`: its bands and
            slots); None: none.

    Raises:
        ValueError: if height or width is not a multiple of 2^d; resampling is not known; contrast without "folded".
    """

    def __init__(
        self,
        embedding_dim: int,
        units: int = 128,
        residual_units: int = 32,
        residual_blocks: int = 2,
        downsamplings: int = 2,
        resampling: str = "strided",
        contrast: Sequence[Sequence[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_resampling(self.name, resampling, contrast)
        self.contrast = as_contrast(contrast)
        self.resampling = resampling
        self.embedding_dim, self.units, self.downsamplings = embedding_dim, units, downsamplings
        self.residual_units, self.residual_blocks = residual_units, residual_blocks
        policy = self.dtype_policy
        widths = [units // 2 if i == 0 and downsamplings > 1 else units for i in range(downsamplings)]
        widths = widths if resampling == "strided" else []
        self.strided = [
            keras.layers.Conv2D(w, 4, 2, padding="same", activation="relu", name=f"strided_{i}", dtype=policy)
            for i, w in enumerate(widths)
        ]
        self.mix = keras.layers.Conv2D(units, 3, padding="same", name="mix", dtype=policy)
        self.residual = ResidualStack(units, residual_units, residual_blocks, name="residual", dtype=policy)
        self.project = keras.layers.Conv2D(embedding_dim, 1, name="project", dtype=policy)
        self.across = keras.layers.Conv2D(embedding_dim, 1, use_bias=False, name="across", dtype="float32")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions after checking the image's size."""
        step = 2**self.downsamplings
        if len(input_shape) != 4 or any(s is not None and (s % step or s < step) for s in input_shape[1:3]):
            raise ValueError(
                f"{self.name}: expected images [batch, height, width, channels] with height and width multiples of "
                f"{step} (downsamplings={self.downsamplings}); received shape {tuple(input_shape)}."
            )
        shape = tuple(input_shape)
        if self.resampling == "folded":
            shape = (*self.compute_output_shape(shape)[:-1], shape[-1] * step * step)
            self.across.build(shape)
        for layer in [*self.strided, self.mix, self.residual, self.project]:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of z_e."""
        step = 2**self.downsamplings
        grid = [None if s is None else s // step for s in input_shape[1:3]]
        return (input_shape[0], *grid, self.embedding_dim)

    def call(self, x: Any) -> Any:
        """z_e of images in 0..255."""
        if self.resampling == "folded":
            squares = fold(to_unit(x, "float32"), 2**self.downsamplings)
            z = ops.cast(self._through(squares), "float32") + self.across(squares)
            return z if self.contrast is None else self.contrast.divide(z)
        return self._through(to_unit(x, self.compute_dtype))

    def _through(self, h: Any) -> Any:
        for layer in [*self.strided, self.mix, self.residual, self.project]:
            h = layer(h)
        return h

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "residual_units": self.residual_units,
            "residual_blocks": self.residual_blocks,
            "downsamplings": self.downsamplings,
            "resampling": self.resampling,
            "contrast": self.contrast,
        }


def check_resampling(name: str, resampling: str, contrast: Any) -> None:
    """Raises: ValueError, for the layer called `name`."""
    if resampling not in RESAMPLINGS:
        raise ValueError(f"{name}: resampling must be one of {RESAMPLINGS}; received {resampling!r}.")
    if contrast is not None and resampling != "folded":
        raise ValueError(f'{name}: contrast={contrast!r} is of squares of pixels; expected resampling="folded".')


def as_contrast(contrast: Sequence[Sequence[int]] | None) -> ContrastCoding | None:
    """From a config, where it is a list of lists."""
    return None if contrast is None else ContrastCoding(*(tuple(part) for part in contrast))
