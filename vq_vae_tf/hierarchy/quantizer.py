"""z_e -> codes of two levels -> z_q."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.hierarchy.layout import TWO_LEVEL, pack, unpack
from vq_vae_tf.modalities.image.residual import ResidualStack

Tensor = Any


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class TwoLevelQuantizer(keras.layers.Layer):
    """Codes of a coarse grid for what is global, then codes of the fine grid for what they leave open.

    `t = Q_top(E(z))`, `g = U(t)`, `b = Q_bottom(J [z, g])`, `z_q = [g, b]`: E halves the grid `levels_apart` times, U
    is its mirror, J a 1x1 convolution. Paper (arXiv 1906.00446): section 3.1, algorithm 1.

    It stands where a single quantizer stands in a `VQVAE`: `quantizer(z)`, `encode`, `decode`, `code_shape`. Its codes
    are those of `num_codebooks = 1 + 4^levels_apart` codebooks over the top grid, see `vq_vae_tf.hierarchy.layout`.

    Differs from the paper: the bottom level and the decoder read the same upsampled top codes g.

    Args:
        top, bottom: quantizers with one codebook each, of equally many codes.
        levels_apart: the top grid is 2^this coarser than the bottom one.
        units, residual_units, residual_blocks: of E and U, as in the image encoder.

    Raises:
        ValueError: quantizers that do not fit each other; a grid that does not divide.
    """

    layout = TWO_LEVEL

    def __init__(
        self,
        top: Any,
        bottom: Any,
        levels_apart: int = 1,
        units: int = 128,
        residual_units: int = 32,
        residual_blocks: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if top.num_codes != bottom.num_codes or top.num_codebooks is not None or bottom.num_codebooks is not None:
            raise ValueError(
                f"{self.name}: top has {top.num_codes} codes in {top.num_codebooks or 1} codebooks, bottom "
                f"{bottom.num_codes} in {bottom.num_codebooks or 1}; expected one codebook each, of equal size."
            )
        if levels_apart < 1:
            raise ValueError(f"{self.name}: levels_apart={levels_apart}; expected at least 1.")
        self.top, self.bottom, self.levels_apart = top, bottom, levels_apart
        self.units, self.residual_units, self.residual_blocks = units, residual_units, residual_blocks
        self.num_codes, self.embedding_dim = top.num_codes, bottom.embedding_dim
        self.factor = 2**levels_apart
        self.num_codebooks = 1 + self.factor**2
        policy = self.dtype_policy
        conv, relu = keras.layers.Conv2D, {"padding": "same", "activation": "relu", "dtype": policy}
        stacks = [
            ResidualStack(units, residual_units, residual_blocks, name=f"residual_{name}", dtype=policy)
            for name in ("down", "up")
        ]
        self.down = [
            *(conv(units, 4, 2, name=f"down_{i}", **relu) for i in range(levels_apart)),
            conv(units, 3, padding="same", name="mix_down", dtype=policy),
            stacks[0],
            conv(top.embedding_dim, 1, name="project", dtype=policy),
        ]
        self.up = [
            conv(units, 3, padding="same", name="mix_up", dtype=policy),
            stacks[1],
            *(keras.layers.Conv2DTranspose(units, 4, 2, name=f"up_{i}", **relu) for i in range(levels_apart)),
            conv(self.embedding_dim, 1, name="guide", dtype=policy),
        ]
        self.join = conv(bottom.embedding_dim, 1, name="join", dtype=policy)

    def build(self, input_shape: Any) -> None:
        """Creates every weight; `input_shape` is `[batch, height, width, dim]`."""
        shape = tuple(input_shape)
        if len(shape) != 4 or any(side is not None and side % self.factor for side in shape[1:3]):
            raise ValueError(
                f"{self.name}: z of shape {shape}; expected [batch, height, width, dim] with height and width "
                f"multiples of {self.factor} (levels_apart={self.levels_apart})."
            )
        joined = (*shape[:3], shape[3] + self.embedding_dim)
        for layer in (*self.down, self.top, *self.up):
            _build(layer, shape)
            shape = tuple(layer.compute_output_shape(shape))
        _build(self.join, joined)
        _build(self.bottom, tuple(self.join.compute_output_shape(joined)))
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """`[batch, height, width, 2 embedding_dim]`."""
        return (*tuple(input_shape)[:3], 2 * self.embedding_dim)

    def code_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """One example's codes: `[h, w, 1 + factor^2]` for z of `[h * factor, w * factor, dim]`."""
        grid = [None if side is None else side // self.factor for side in tuple(shape)[:2]]
        return (*grid, self.num_codebooks)

    def call(self, z: Tensor, training: bool | None = None) -> Tensor:
        """z_q, with gradients straight through both levels; adds their losses."""
        guide = _through(self.up, self.top(_through(self.down, z), training=training))
        codes = self.bottom(self._joined(z, guide), training=training)
        return ops.concatenate([guide, ops.cast(codes, guide.dtype)], axis=-1)

    def encode(self, z: Tensor) -> Tensor:
        """Codes int32 `[batch, h, w, 1 + factor^2]`."""
        top = self.top.encode(_through(self.down, z))
        return pack(top, self.bottom.encode(self._joined(z, self._guide(top))))

    def decode(self, codes: Tensor) -> Tensor:
        """z_q of codes.

        Raises:
            ValueError: codes of another shape, or out of range where values can be seen.
        """
        if len(codes.shape) != 4 or codes.shape[-1] != self.num_codebooks:
            raise ValueError(
                f"{self.name}: codes of shape {tuple(codes.shape)}; expected [batch, h, w, {self.num_codebooks}]."
            )
        top, bottom = unpack(ops.convert_to_tensor(codes))
        guide = self._guide(top)
        return ops.concatenate([guide, ops.cast(self.bottom.decode(bottom), guide.dtype)], axis=-1)

    def comparable(self, vectors: Tensor) -> Tensor:
        """Raises: ValueError; a top code changes what the bottom codes mean, so single codes cannot be compared."""
        raise ValueError(f"{self.name}: the codes of two levels have no neighbours; use another quantizer.")

    def _guide(self, top: Tensor) -> Tensor:
        """What the fine grid is told of the top codes: `[batch, height, width, embedding_dim]`."""
        return _through(self.up, ops.cast(self.top.decode(top), self.compute_dtype))

    def _joined(self, z: Tensor, guide: Tensor) -> Tensor:
        return self.join(ops.concatenate([ops.cast(z, guide.dtype), guide], axis=-1))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("levels_apart", "units", "residual_units", "residual_blocks")
        parts = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("top", "bottom")}
        return {**super().get_config(), **parts, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> TwoLevelQuantizer:
        """The inverse of `get_config`."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("top", "bottom")
        }
        return cls(**{**config, **parts})


def _build(layer: Any, shape: tuple[int | None, ...]) -> None:
    if not layer.built:  # a layer out of a config may be
        layer.build(shape)


def _through(layers: list[Any], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x
