"""A VQ-VAE over the codes of another one, which is still a model of images: three codes for a whole frame."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.image.residual import ResidualStack
from vq_vae_tf.vqvae import VQVAE


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class MapEncoder(keras.layers.Layer):
    """A map of vectors `[batch, height, width, dim]` of any size -> one vector for all of it, `[batch, 1, 1, D]`.

    Strided 4x4 convolutions, residual blocks, then one dense layer over all places.

    Args:
        embedding_dim: D.
        units, residual_units, residual_blocks: as in the image encoder.
        downsamplings: strided layers.
    """

    def __init__(
        self,
        embedding_dim: int,
        units: int = 128,
        residual_units: int = 32,
        residual_blocks: int = 2,
        downsamplings: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.embedding_dim = embedding_dim
        self.sizes = _sizes(units, residual_units, residual_blocks)
        self.downsamplings, policy = downsamplings, self.dtype_policy
        self.strided = [
            keras.layers.Conv2D(units, 4, 2, padding="same", activation="relu", name=f"strided_{i}", dtype=policy)
            for i in range(downsamplings)
        ]
        self.residual = ResidualStack(units, residual_units, residual_blocks, name="residual", dtype=policy)
        self.flat = keras.layers.Flatten(name="flat", dtype=policy)
        self.project = keras.layers.Dense(embedding_dim, name="project", dtype=policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights; the dense layer's belong to one size of map."""
        shape = tuple(input_shape)
        for layer in [*self.strided, self.residual, self.flat, self.project]:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """One place, whatever the map's size."""
        return (input_shape[0], 1, 1, self.embedding_dim)

    def call(self, x: Any) -> Any:
        """One vector a map."""
        x = ops.cast(x, self.compute_dtype)
        for layer in [*self.strided, self.residual, self.flat, self.project]:
            x = layer(x)
        return x[:, None, None, :]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"embedding_dim": self.embedding_dim, "downsamplings": self.downsamplings}
        return {**super().get_config(), **self.sizes, **own}


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class MapDecoder(keras.layers.Layer):
    """One vector `[batch, 1, 1, D]` -> a map `[batch, height, width, outputs]`: the mirror of `MapEncoder`.

    Args:
        outputs: width of the map.
        grid: its height and width; they need not divide by 2^upsamplings, what is too much is cut off.
        units, residual_units, residual_blocks: as in the image decoder.
        upsamplings: transposed layers.
    """

    def __init__(
        self,
        outputs: int,
        grid: tuple[int, int],
        units: int = 128,
        residual_units: int = 32,
        residual_blocks: int = 2,
        upsamplings: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outputs, self.upsamplings, policy = outputs, upsamplings, self.dtype_policy
        self.grid = (int(grid[0]), int(grid[1]))
        self.sizes = _sizes(units, residual_units, residual_blocks)
        self.coarse = tuple(-(-side // 2**upsamplings) for side in self.grid)
        self.spread = keras.layers.Dense(self.coarse[0] * self.coarse[1] * units, name="spread", dtype=policy)
        self.residual = ResidualStack(units, residual_units, residual_blocks, name="residual", dtype=policy)
        self.transposed = [
            keras.layers.Conv2DTranspose(
                units, 4, 2, padding="same", activation="relu", name=f"transposed_{i}", dtype=policy
            )
            for i in range(upsamplings)
        ]
        self.project = keras.layers.Conv2D(outputs, 1, name="project", dtype=policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights."""
        self.spread.build((None, input_shape[-1]))
        shape: tuple[int | None, ...] = (None, *self.coarse, self.sizes["units"])
        for layer in [self.residual, *self.transposed, self.project]:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the map."""
        return (input_shape[0], *self.grid, self.outputs)

    def call(self, z: Any) -> Any:
        """A map for each vector."""
        z = ops.reshape(self.spread(z[:, 0, 0]), (-1, *self.coarse, self.sizes["units"]))
        for layer in [self.residual, *self.transposed]:
            z = layer(z)
        return self.project(z[:, : self.grid[0], : self.grid[1]])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"outputs": self.outputs, "grid": self.grid, "upsamplings": self.upsamplings}
        return {**super().get_config(), **self.sizes, **own}


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class SecondStage(VQVAE):
    """A VQ-VAE whose data are the codes c(x) that a trained one gives to images, as one model of images.

    Equation: log p(x) >= log p(x | c(x)) + log p(c(x) | z_q) + log p(z), z the codes of this stage; training minimises
    -log p(c(x) | z_q) per code of the first stage, and the quantizer's losses. `encode` goes through both encoders,
    `decode` through both decoders: codes of the first stage, drawn, and then their picture.
    Paper: section 4.2, the last paragraph: 21x21 codes of a frame of DeepMind Lab become 3 codes of 9 bits with
    separate codebooks, under a PixelCNN decoder.

    Differs from the paper: the encoder sees the first stage's vectors of the codes, which stays within what the codes
    say and spares it learning which codes look alike.

    Args:
        first: the trained model of the images, one code at each place; frozen here.
        encoder: vectors `[batch, height, width, dim]` of the first stage's codes -> z_e.
        quantizer: of this stage.
        decoder: z_q -> parameters of the likelihood.
        likelihood: of code maps, int32 `[batch, height, width]`.

    Raises:
        ValueError: the first stage has several codes at a place, or two levels.
    """

    PARTS = ("first", *VQVAE.PARTS)

    def __init__(self, first: VQVAE, encoder: Any, quantizer: Any, decoder: Any, likelihood: Any, **kwargs: Any):
        super().__init__(encoder, quantizer, decoder, likelihood, **kwargs)
        if first.quantizer.num_codebooks is not None or first.quantizer.layout != "raster":
            raise ValueError(f"{self.name}: the first stage has several codes at a place; expected one.")
        self.first = first
        first.trainable = False

    def build(self, input_shape: Any) -> None:
        """Creates every weight; `input_shape` is that of the images, or a dictionary with it under "x"."""
        shape = tuple(input_shape["x"] if isinstance(input_shape, dict) else input_shape)
        if not self.first.built:
            self.first.build(shape)
        super().build(self.first.encoder.compute_output_shape(shape))

    def observed(self, inputs: Any) -> Any:
        """The first stage's codes of the images, int32 `[batch, height, width]`."""
        return self.first.encode(inputs)

    def encoded(self, inputs: Any, training: bool | None = None) -> Any:
        """z_e of images."""
        return self.encoder(self.first.quantizer.decode(self.observed(inputs)), training=training)

    def decode(self, codes: Any, condition: dict[str, Any] | None = None) -> Any:
        """The picture of the first stage's codes that the likelihood gives for `codes`."""
        return self.first.decode(ops.cast(super().decode(codes, condition), "int32"), condition)

    def distortion(self, codes: Any, inputs: Any) -> Any:
        """-log p(x | c(x)) - log p(c(x) | codes), nats `[batch]`."""
        of_pixels = self.first.distortion(self.observed(inputs), inputs)
        return of_pixels + super().distortion(codes, inputs)


def _sizes(units: int, residual_units: int, residual_blocks: int) -> dict[str, int]:
    return {"units": units, "residual_units": residual_units, "residual_blocks": residual_blocks}
