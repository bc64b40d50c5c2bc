"""p(top) and p(bottom | top) as one network over the codes of both levels."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from vq_vae_tf.hierarchy.layout import pack, space_from_depth, unpack

Tensor = Any


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class TwoLevelNetwork(keras.layers.Layer):
    """`log p(codes) = log p(top | label) + log p(bottom | map(top), label)`, each factor an autoregressive network.

    The map that the bottom network reads is made of all top codes at once: embedding, residual 3x3 convolutions, and a
    different projection for each place of a block (sub-pixel). Paper: section 3.2, arXiv 1906.00446.

    Logits of both levels come packed as their codes are (`vq_vae_tf.hierarchy.layout`), so a `Prior` over this network
    scores and trains both levels at once.

    Args:
        top: an `AutoregressiveNetwork` over `(h, w)`.
        bottom: one over `(h * factor, w * factor)` with `condition_features` and the same symbols and labels.
        blocks: residual convolutions between the embedding of the top codes and the map.

    Raises:
        ValueError: networks that do not fit each other.
    """

    def __init__(self, top: Any, bottom: Any, blocks: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        factor = bottom.grid[0] // top.grid[0] if len(top.grid) == len(bottom.grid) == 2 else 0
        fits = factor > 1 and bottom.grid == tuple(side * factor for side in top.grid)
        if not fits or top.channels * bottom.channels != 1 or not bottom.condition_features or top.condition_features:
            raise ValueError(
                f"{self.name}: top is over {top.symbol_shape} with condition_features={top.condition_features}, bottom "
                f"over {bottom.symbol_shape} with {bottom.condition_features}; expected (h, w) with none and a "
                "multiple of both sides with some."
            )
        if (top.num_symbols, top.num_labels) != (bottom.num_symbols, bottom.num_labels):
            raise ValueError(
                f"{self.name}: top has {top.num_symbols} symbols and {top.num_labels} labels, bottom "
                f"{bottom.num_symbols} and {bottom.num_labels}; expected the same."
            )
        self.top, self.bottom, self.blocks, self.factor = top, bottom, blocks, factor
        self.num_symbols, self.num_labels, self.condition_features = top.num_symbols, top.num_labels, 0
        self.num_channels = 1 + factor**2
        self.symbol_shape = (*top.grid, self.num_channels)
        self.num_positions = math.prod(self.symbol_shape)
        width, policy = bottom.condition_features, self.dtype_policy
        self.embedding = keras.layers.Embedding(self.num_symbols, width, name="top_symbols", dtype=policy)
        self.convolutions = [
            keras.layers.Conv2D(width, 3, padding="same", name=f"mix_{i}", dtype=policy) for i in range(blocks)
        ]
        self.project = keras.layers.Dense(factor**2 * width, name="project", dtype=policy)

    def build(self, symbols_shape: Any = None, condition_shape: Any = None) -> None:
        """All sizes are known from the networks."""
        width = self.bottom.condition_features
        for part in (self.top, self.bottom, self.embedding):
            if not part.built:
                part.build()
        for layer in self.convolutions:
            layer.build((None, *self.top.grid, width))
        self.project.build((None, *self.top.grid, width))
        self.built = True

    def call(self, symbols: Tensor, condition: dict | None = None, training: bool | None = None) -> Tensor:
        """Logits `[batch, h, w, 1 + factor^2, num_symbols]` (float32) of every code of both levels."""
        top, bottom = self._levels(symbols)
        upper = self.top(top, condition, training=training)
        lower = self.bottom(bottom, self.below(top, condition), training=training)
        return ops.concatenate([upper[..., None, :], _blocks(lower, self.factor)], axis=-2)

    def nats(self, symbols: Tensor, condition: dict | None = None, training: bool | None = None) -> Tensor:
        """-log p of every code of both levels, float32 `[batch, h, w, 1 + factor^2]`."""
        top, bottom = self._levels(symbols)
        upper = self.top.nats(top, condition, training)
        return pack(upper, self.bottom.nats(bottom, self.below(top, condition), training))

    def _levels(self, symbols: Tensor) -> tuple[Tensor, Tensor]:
        if tuple(symbols.shape[1:]) != self.symbol_shape:
            raise ValueError(
                f"{self.name}: codes of shape {symbols.shape} given; expected [batch, {self.symbol_shape}]"
            )
        return unpack(symbols)

    def below(self, top: Tensor, condition: dict | None = None) -> dict:
        """The condition of the bottom network: `condition` and, under "map", what the top codes say."""
        x = self.embedding(top)
        for layer in self.convolutions:
            x = x + layer(ops.relu(x))
        return {**(condition or {}), "map": space_from_depth(self.project(ops.relu(x)), self.factor)}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        parts = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("top", "bottom")}
        return {**super().get_config(), **parts, "blocks": self.blocks}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> TwoLevelNetwork:
        """The layer that `get_config` describes."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects) for name in ("top", "bottom")
        }
        return cls(**{**config, **parts})


def _blocks(logits: Tensor, factor: int) -> Tensor:
    """`[batch, h * factor, w * factor, K]` -> `[batch, h, w, factor^2, K]`."""
    height, width, symbols = logits.shape[1] // factor, logits.shape[2] // factor, logits.shape[3]
    logits = ops.reshape(logits, (-1, height, factor, width, factor, symbols))
    return ops.reshape(ops.transpose(logits, (0, 1, 3, 2, 4, 5)), (-1, height, width, factor**2, symbols))
