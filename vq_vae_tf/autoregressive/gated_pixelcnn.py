"""Gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328): vertical and horizontal stacks, no blind spot."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive.base import AutoregressiveNetwork, gate
from vq_vae_tf.ops.masks import causal_taps, delayed

Tensor = Any


class GatedBlock(keras.layers.Layer):
    """One layer of both stacks (figure 2): rows above for `v`, the same row to the left for `h`, `v` feeds `h`.

    `v <- v + gate(conv_v(v) + c_v)`, `h <- h + W gate(conv_h(h) + U v + c_h)`; `c` = label and map, projected.

    Differs from the paper: the vertical stack is residual too, and `h` reads the gated `v` (half the products).
    """

    def __init__(self, features: int, kernel_size: int, num_labels: int, has_map: bool, dropout: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.features, policy = features, self.dtype_policy
        self.kernel_size = kernel_size
        self.taps = (kernel_size + 1) // 2  # the current row or column and the ones before it
        self.vertical = keras.layers.Conv2D(2 * features, (self.taps, kernel_size), name="vertical", dtype=policy)
        self.horizontal = keras.layers.Dense(2 * features, name="horizontal", dtype=policy)
        self.down = keras.layers.Dense(2 * features, use_bias=False, name="vertical_to_horizontal", dtype=policy)
        self.out = keras.layers.Dense(features, name="out", dtype=policy)
        self.drop = keras.layers.Dropout(dropout, dtype=policy)
        self.label = (
            keras.layers.Embedding(num_labels, 4 * features, name="label", dtype=policy) if num_labels else None
        )
        self.map = keras.layers.Dense(4 * features, use_bias=False, name="map", dtype=policy) if has_map else None

    def build_from(self, condition_features: int) -> None:
        """Build every weight."""
        self.vertical.build((None, None, None, self.features))
        self.horizontal.build((None, self.taps * self.features))
        self.down.build((None, self.features))
        self.out.build((None, self.features))
        if self.label is not None:
            self.label.build()
        if self.map is not None:
            self.map.build((None, condition_features))
        self.built = True

    def call(self, v: Tensor, h: Tensor, condition: tuple, training: bool | None = None) -> tuple[Tensor, Tensor]:
        """Both stacks `[batch, height, width, features]`; `condition` from `condition_terms`."""
        side = self.kernel_size // 2
        above = ops.pad(v, ((0, 0), (self.taps - 1, 0), (side, side), (0, 0)))
        v = self.vertical_step(v, above, condition[0], training)
        h = self.horizontal_step(h, causal_taps(h, self.taps, axis=2), self.down(v) + condition[1], training)
        return v, h

    def vertical_step(self, v: Tensor, above: Tensor, term: Tensor, training: bool | None = None) -> Tensor:
        """New `v` from its padded neighbourhood `above`."""
        return v + self.drop(gate(self.vertical(above) + term), training=training)

    def horizontal_step(self, h: Tensor, taps: Tensor, term: Tensor, training: bool | None = None) -> Tensor:
        """New `h` from its taps to the left `[..., taps * features]`."""
        return h + self.out(self.drop(gate(self.horizontal(taps) + term), training=training))

    def condition_terms(self, label: Tensor | None, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """What label `[batch]` and map `[batch, height, width, dim]` add to the gates of `v` and of `h`."""
        term = ops.zeros((1, 1, 1, 4 * self.features), dtype=self.compute_dtype)
        if self.label is not None:
            term = term + self.label(label)[:, None, None, :]
        if self.map is not None:
            term = term + self.map(features)
        return tuple(ops.split(term, 2, axis=-1))


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class GatedPixelCNN(AutoregressiveNetwork):
    """Gated PixelCNN over a two-dimensional grid.

    The input is shifted once (down for the vertical stack, right for the horizontal one); every later layer looks at
    its own row or column and the ones before. Learned position embeddings are added to both stacks.

    Args:
        num_layers: gated blocks.
        kernel_size: odd; width of the vertical convolution, which reaches `kernel_size // 2` rows up.
        others: see `AutoregressiveNetwork`.
    """

    def __init__(self, *args: Any, num_layers: int = 10, kernel_size: int = 3, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if len(self.grid) != 2:
            raise ValueError(f"{self.name}: symbol_shape={self.symbol_shape} has grid {self.grid}; expected two axes")
        if kernel_size % 2 == 0 or kernel_size < 3:
            raise ValueError(f"{self.name}: kernel_size={kernel_size}; expected an odd number of at least 3")
        self.num_layers = num_layers
        self.kernel_size = kernel_size
        shared = (self.features, kernel_size, self.num_labels, self.condition_features > 0, self.dropout)
        self.blocks = [GatedBlock(*shared, name=f"block_{i}", dtype=self.dtype_policy) for i in range(num_layers)]

    def build_trunk(self) -> None:
        """Position embeddings `[2, height, width, features]` (vertical, horizontal) and the blocks."""
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.positions = self.add_weight(name="positions", shape=(2, *self.grid, self.features), initializer=small)
        for block in self.blocks:
            with keras.name_scope(block.name):  # so that an export tells its weights apart
                block.build_from(self.condition_features)

    def contexts(self, sites: Tensor, condition: dict, training: bool | None) -> Tensor:
        """See the base class."""
        positions = ops.cast(self.positions, sites.dtype)
        v = delayed(sites, 1, axis=1) + positions[0]
        h = delayed(sites, 1, axis=2) + positions[1]
        for block in self.blocks:
            terms = block.condition_terms(condition.get("label"), condition.get("map"))
            v, h = block(v, h, terms, training=training)
        return h

    def init_sites(self, batch_size: Any, condition: dict) -> dict:
        """Per block: the rows above, what the row's `v` says to `h`, the columns to the left; and the row so far."""
        width, dim, dtype = self.grid[1], self.features, self.compute_dtype
        taps = self.blocks[0].taps - 1 if self.blocks else 0
        return {
            "row": ops.zeros((batch_size, width, dim), dtype=dtype),
            "above": [ops.zeros((batch_size, taps, width, dim), dtype=dtype) for _ in self.blocks],
            "down": [ops.zeros((batch_size, width, 2 * dim), dtype=dtype) for _ in self.blocks],
            "left": [ops.zeros((batch_size, taps, dim), dtype=dtype) for _ in self.blocks],
            "condition": condition,
        }

    def advance(self, previous: Tensor, cache: dict, site: Tensor) -> tuple[Tensor, dict]:
        """See the base class; the vertical stack runs once a row, on the whole row."""
        width = self.grid[1]
        row, column = site // width, site % width
        inputs = ops.slice_update(cache["row"], (0, (site + width - 1) % width, 0), previous[:, None, :])
        above, down = ops.cond(
            column == 0,
            lambda: self._vertical_row(inputs, cache, row),
            lambda: (cache["above"], cache["down"]),
        )
        inside = ops.cast(column > 0, previous.dtype)  # the first column sees nothing to its left
        positions = ops.reshape(self.positions[1], (self.num_sites, self.features))
        h = previous * inside + ops.cast(ops.take(positions, site, axis=0), previous.dtype)
        left = []
        for block, before, term in zip(self.blocks, cache["left"], down, strict=True):
            taps = ops.concatenate([before * inside, h[:, None, :]], axis=1)
            left.append(taps[:, 1:])
            flat = ops.reshape(taps, (-1, block.taps * self.features))
            h = block.horizontal_step(h, flat, ops.take(term, column, axis=1))
        return h, {**cache, "row": inputs, "above": above, "down": down, "left": left}

    def _vertical_row(self, inputs: Tensor, cache: dict, row: Tensor) -> tuple[list, list]:
        """Run the vertical stack over one row; `inputs` `[batch, width, features]` is the finished row above it."""
        condition = dict(cache["condition"])
        if "map" in condition:
            condition["map"] = ops.take(condition["map"], row, axis=1)[:, None]
        v = (inputs + ops.cast(ops.take(self.positions[0], row, axis=0), inputs.dtype))[:, None]
        side = self.kernel_size // 2
        rows, down = [], []
        for block, before in zip(self.blocks, cache["above"], strict=True):
            window = ops.concatenate([before, v], axis=1)
            rows.append(window[:, 1:])
            terms = block.condition_terms(condition.get("label"), condition.get("map"))
            v = block.vertical_step(v, ops.pad(window, ((0, 0), (0, 0), (side, side), (0, 0))), terms[0])
            down.append(ops.broadcast_to((block.down(v) + terms[1])[:, 0], ops.shape(cache["down"][0])))
        return rows, down

    def get_config(self) -> dict:
        """Constructor arguments."""
        return {**super().get_config(), "num_layers": self.num_layers, "kernel_size": self.kernel_size}
