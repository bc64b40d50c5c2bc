"""WaveNet (van den Oord et al. 2016, arXiv 1609.03499): dilated causal convolutions, gated units, skips."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive.base import AutoregressiveNetwork, gate
from vq_vae_tf.ops.masks import causal_taps, delayed

Tensor = Any


class DilatedBlock(keras.layers.Layer):
    """One residual layer (figure 4).

    `z = gate(A x[t - dilation] + B x[t] + V label + W map[t])` (equations 2 and 3), `x <- x + R z`, skip `S z`.
    """

    def __init__(
        self, features: int, skip_features: int, num_labels: int, has_map: bool, dropout: float, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.features, policy = features, self.dtype_policy
        self.skip_features = skip_features
        self.taps = keras.layers.Dense(2 * features, name="taps", dtype=policy)
        self.out = keras.layers.Dense(features + skip_features, name="out", dtype=policy)
        self.drop = keras.layers.Dropout(dropout, dtype=policy)
        self.label = (
            keras.layers.Embedding(num_labels, 2 * features, name="label", dtype=policy) if num_labels else None
        )
        self.map = keras.layers.Dense(2 * features, use_bias=False, name="map", dtype=policy) if has_map else None

    def build_from(self, condition_features: int) -> None:
        """Build every weight."""
        self.taps.build((None, 2 * self.features))
        self.out.build((None, self.features))
        if self.label is not None:
            self.label.build()
        if self.map is not None:
            self.map.build((None, condition_features))
        self.built = True

    def call(self, x: Tensor, taps: Tensor, terms: list, training: bool | None = None) -> tuple[Tensor, Tensor]:
        """New `x` and the skip, from `x` `[..., features]` and `taps` = `x[t - dilation], x[t]` concatenated."""
        hidden = self.taps(taps)
        for term in terms:
            hidden = hidden + term
        out = self.out(self.drop(gate(hidden), training=training))
        return x + out[..., : self.features], out[..., self.features :]


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class WaveNet(AutoregressiveNetwork):
    """WaveNet over a sequence; a grid of more axes is read in raster order.

    Layer `i` has dilation `2 ** (i % dilation_cycle)`; the receptive field is `1 + sum of dilations` sites.
    The cache is one ring buffer a layer, one slot longer than its dilation.

    Args:
        num_layers: residual layers.
        dilation_cycle: layers until the dilation starts again at 1.
        skip_features: width of the skips, which are summed into the head's context; 0: the same as `features`.
        condition_stride: sites of a sequence that share a vector of the map (WaveNet, section 2.5: y = f(h), by
            repetition): then a layer projects the map once for all of them.
        others: see `AutoregressiveNetwork`.

    Raises:
        ValueError: a condition_stride that does not divide the sequence, or one for a grid of more axes.
    """

    def __init__(
        self,
        *args: Any,
        num_layers: int = 20,
        dilation_cycle: int = 10,
        skip_features: int = 0,
        condition_stride: int = 1,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        if condition_stride > 1 and (len(self.grid) > 1 or self.num_sites % condition_stride):
            raise ValueError(
                f"{self.name}: condition_stride={condition_stride} over {self.grid}; expected a divisor of one length."
            )
        self.num_layers, self.condition_stride = num_layers, condition_stride
        self.dilation_cycle = dilation_cycle
        self.skip_features = skip_features or self.features
        self.dilations = [2 ** (i % dilation_cycle) for i in range(num_layers)]
        shared = (self.features, self.skip_features, self.num_labels, self.condition_features > 0, self.dropout)
        policy = self.dtype_policy
        self.blocks = [DilatedBlock(*shared, name=f"block_{i}", dtype=policy) for i in range(num_layers)]

    @property
    def context_features(self) -> int:
        """The head reads the sum of the skips."""
        return self.skip_features

    @property
    def condition_grid(self) -> tuple:
        """One vector for so many sites as share it."""
        return self.grid if self.condition_stride == 1 else (self.num_sites // self.condition_stride,)

    @property
    def receptive_field(self) -> int:
        """How many sites back the first symbol that matters is."""
        return 1 + sum(self.dilations)

    def build_trunk(self) -> None:
        """Build the blocks."""
        for block in self.blocks:
            with keras.name_scope(block.name):  # so that an export tells its weights apart
                block.build_from(self.condition_features)

    def contexts(self, sites: Tensor, condition: dict, training: bool | None) -> Tensor:
        """See the base class."""
        x = delayed(ops.reshape(sites, (-1, self.num_sites, self.features)), 1, axis=1)
        features = self._flat_map(condition)
        skips = 0.0
        for block, dilation in zip(self.blocks, self.dilations, strict=True):
            terms = [] if block.map is None else [ops.repeat(block.map(features), self.condition_stride, axis=1)]
            if block.label is not None:
                terms.append(block.label(condition["label"])[:, None, :])
            x, skip = block(x, causal_taps(x, 2, axis=1, dilation=dilation), terms, training=training)
            skips = skips + skip
        return ops.reshape(ops.relu(skips), (-1, *self.grid, self.skip_features))

    def init_sites(self, batch_size: Any, condition: dict) -> dict:
        """Ring buffers of zeros, what the label adds in each block, and the map as a sequence."""
        shape = (batch_size, self.features)
        return {
            "rings": [ops.zeros((d, *shape), dtype=self.compute_dtype) for d in self._ring_sizes()],
            "terms": [[block.label(condition["label"])] if block.label is not None else [] for block in self.blocks],
            "map": self._map_to_read(condition),
        }

    def advance(self, previous: Tensor, cache: dict, site: Tensor) -> tuple[Tensor, dict]:
        """See the base class.

        The input of site `t` goes to slot `t % size`, then that of site `t - dilation` is read. In this order XLA
        updates the ring in place; reading first made it copy every ring twice a step.
        """
        x, skips, rings, heard = previous, 0.0, [], self._heard(cache["map"], site)
        for i, (block, size) in enumerate(zip(self.blocks, self._ring_sizes(), strict=True)):
            ring = ops.slice_update(cache["rings"][i], (site % size, 0, 0), x[None])
            rings.append(ring)
            taps = ops.concatenate([ops.take(ring, (site + 1) % size, axis=0), x], axis=-1)
            x, skip = block(x, taps, heard[i] + cache["terms"][i])
            skips = skips + skip
        return ops.relu(skips), {**cache, "rings": rings}

    def _ring_sizes(self) -> list[int]:
        """One slot more than the dilation; one beyond the sequence reads zeros only and needs no longer a ring."""
        return [min(dilation, self.num_sites) + 1 for dilation in self.dilations]

    def _flat_map(self, condition: dict) -> Any:
        if not self.condition_features:
            return ()
        sites = self.num_sites // self.condition_stride
        return ops.reshape(condition["map"], (-1, sites, self.condition_features))

    def _map_to_read(self, condition: dict) -> Any:
        """What `_heard` reads: the map, or what it adds in all layers where sites share it."""
        features = self._flat_map(condition)
        if not self.condition_features or self.condition_stride == 1:
            return features
        return ops.concatenate([project(features) for project in self._maps()], axis=-1)

    def _heard(self, features: Any, site: Tensor) -> list:
        """What the map adds at a site, a list of terms for each block."""
        if not self.condition_features:
            return [[] for _ in self.blocks]
        vector = ops.take(features, site // self.condition_stride, axis=1)
        if self.condition_stride == 1:
            return [[project(vector)] for project in self._maps()]
        return [[part] for part in ops.split(vector, self.num_layers, axis=-1)]

    def _maps(self) -> list[keras.layers.Layer]:
        return [block.map for block in self.blocks if block.map is not None]

    def get_config(self) -> dict:
        """Constructor arguments."""
        names = ("num_layers", "dilation_cycle", "skip_features", "condition_stride")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
