"""A decoder-only Transformer (Vaswani et al. 2017; pre-norm as in GPT-2) with a key/value cache."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive.base import AutoregressiveNetwork
from vq_vae_tf.ops.masks import causal_mask, delayed

Tensor = Any
UNSEEN = -1e9  # a score whose softmax is exactly 0 in float32


class AttentionBlock(keras.layers.Layer):
    """`x <- x + attention(norm(x))`, `x <- x + W gelu(U norm(x))`.

    Scores and softmax are float32 whatever the policy.
    """

    def __init__(self, features: int, num_heads: int, dropout: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.features, policy = features, self.dtype_policy
        self.num_heads = num_heads
        self.norms = [keras.layers.LayerNormalization(name=f"norm_{i}", dtype=policy) for i in range(2)]
        self.qkv = keras.layers.Dense(3 * features, name="qkv", dtype=policy)
        self.merge = keras.layers.Dense(features, name="merge", dtype=policy)
        self.widen = keras.layers.Dense(4 * features, activation="gelu", name="widen", dtype=policy)
        self.narrow = keras.layers.Dense(features, name="narrow", dtype=policy)
        self.drop = keras.layers.Dropout(dropout, dtype=policy)

    def build_all(self) -> None:
        """Build every weight."""
        for layer in (*self.norms, self.qkv, self.merge, self.widen):
            layer.build((None, self.features))
        self.narrow.build((None, 4 * self.features))
        self.built = True

    def project(self, x: Tensor) -> list[Tensor]:
        """Query, key and value, each `[batch, sites, heads, dim]`, of `x` `[batch, sites, features]`."""
        shape = (-1, x.shape[1], self.num_heads, self.features // self.num_heads)
        return [ops.reshape(part, shape) for part in ops.split(self.qkv(self.norms[0](x)), 3, axis=-1)]

    def call(
        self, x: Tensor, query: Tensor, key: Tensor, value: Tensor, seen: Tensor, training: bool | None = None
    ) -> Tensor:
        """New `x` `[batch, queries, features]`; `seen`, boolean `[queries, keys]`, is where a query may look."""
        scores = ops.einsum("bqhd,bkhd->bhqk", query, key)
        scores = ops.cast(scores, "float32") * (self.features // self.num_heads) ** -0.5
        weights = ops.cast(ops.softmax(ops.where(seen, scores, UNSEEN), axis=-1), value.dtype)
        mixed = ops.reshape(ops.einsum("bhqk,bkhd->bqhd", weights, value), (-1, x.shape[1], self.features))
        x = x + self.drop(self.merge(mixed), training=training)
        return x + self.drop(self.narrow(self.widen(self.norms[1](x))), training=training)


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Transformer(AutoregressiveNetwork):
    """Decoder-only Transformer; a grid is read in raster order with one learned position vector a site.

    The label's embedding and the projected map of the site being predicted are added to the input.

    Args:
        num_layers: blocks.
        num_heads: attention heads; must divide `features`.
        others: see `AutoregressiveNetwork`.
    """

    def __init__(self, *args: Any, num_layers: int = 6, num_heads: int = 4, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if self.features % num_heads:
            raise ValueError(f"{self.name}: num_heads={num_heads} does not divide features={self.features}")
        self.num_layers = num_layers
        self.num_heads = num_heads
        policy = self.dtype_policy
        self.blocks = [
            AttentionBlock(self.features, num_heads, self.dropout, name=f"block_{i}", dtype=policy)
            for i in range(num_layers)
        ]
        self.norm = keras.layers.LayerNormalization(name="norm", dtype=policy)
        self.drop = keras.layers.Dropout(self.dropout, dtype=policy)
        self.label = self.map = None
        if self.num_labels:
            self.label = keras.layers.Embedding(self.num_labels, self.features, name="label", dtype=policy)
        if self.condition_features:
            self.map = keras.layers.Dense(self.features, use_bias=False, name="map", dtype=policy)

    def build_trunk(self) -> None:
        """Position vectors `[sites, features]`, the blocks and the condition's projections."""
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.positions = self.add_weight(name="positions", shape=(self.num_sites, self.features), initializer=small)
        for block in self.blocks:
            with keras.name_scope(block.name):  # so that an export tells its weights apart
                block.build_all()
        self.norm.build((None, self.features))
        if self.label is not None:
            self.label.build()
        if self.map is not None:
            self.map.build((None, self.condition_features))

    def contexts(self, sites: Tensor, condition: dict, training: bool | None) -> Tensor:
        """See the base class."""
        x = delayed(ops.reshape(sites, (-1, self.num_sites, self.features)), 1, axis=1)
        x = self.drop(x + self._site_terms(condition), training=training)
        seen = causal_mask(self.num_sites)
        for block in self.blocks:
            x = block(x, *block.project(x), seen, training=training)
        return ops.reshape(self.norm(x), (-1, *self.grid, self.features))

    def init_sites(self, batch_size: Any, condition: dict) -> dict:
        """Keys and values of all sites, zero so far, and what condition and position add to each site's input."""
        shape = (batch_size, self.num_sites, self.num_heads, self.features // self.num_heads)
        empty = ops.zeros(shape, dtype=self.compute_dtype)
        return {"keys_values": [(empty, empty) for _ in self.blocks], "terms": self._site_terms(condition)}

    def advance(self, previous: Tensor, cache: dict, site: Tensor) -> tuple[Tensor, dict]:
        """See the base class."""
        x = (previous + ops.take(cache["terms"], site, axis=1))[:, None, :]
        seen = (ops.arange(self.num_sites) <= site)[None, :]
        filled = []
        for block, (keys, values) in zip(self.blocks, cache["keys_values"], strict=True):
            query, key, value = block.project(x)
            keys = ops.slice_update(keys, (0, site, 0, 0), key)
            values = ops.slice_update(values, (0, site, 0, 0), value)
            filled.append((keys, values))
            x = block(x, query, keys, values, seen)
        return self.norm(x)[:, 0], {**cache, "keys_values": filled}

    def _site_terms(self, condition: dict) -> Tensor:
        """`[batch or 1, sites, features]`."""
        terms = ops.cast(self.positions, self.compute_dtype)[None]
        if self.label is not None:
            terms = terms + self.label(condition["label"])[:, None, :]
        if self.map is not None:
            terms = terms + self.map(ops.reshape(condition["map"], (-1, self.num_sites, self.condition_features)))
        return terms

    def get_config(self) -> dict:
        """Constructor arguments."""
        return {**super().get_config(), "num_layers": self.num_layers, "num_heads": self.num_heads}
