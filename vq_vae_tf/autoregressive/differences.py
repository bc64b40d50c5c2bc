"""Ordered symbols told by how far they are from a guess: the embedding and the head of `LocalPixelCNN`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.autoregressive.head import LogisticHead, part_of
from vq_vae_tf.ops.neighbours import bounded

Tensor = Any
FIRST_SLOPE = 0.9
"""Of a channel's error on that of the channel before it, at the start: about that of red, green and blue."""
FIRST_MEANS = 0.5
FIRST_WIDTHS = 0.2, 1.5
"""Of the first and the last component; like the means, times the typical error."""


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class LevelEmbedding(keras.layers.Layer):
    """`E(c, k) = (2 k / (K - 1) - 1) e_c`, e_c the c-th unit vector: channels next to each other, float32.

    Args:
        channels: C.
        num_symbols: K; channel c has the ids from c K.
    """

    def __init__(self, channels: int, num_symbols: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.channels, self.num_symbols = channels, num_symbols

    def build(self, input_shape: Any = None) -> None:
        """No weights."""
        self.built = True

    def call(self, ids: Tensor) -> Tensor:
        """int32 `[...]` -> `[..., channels]`."""
        level = ops.cast(ids % self.num_symbols, "float32") * (2.0 / (self.num_symbols - 1)) - 1.0
        own = ops.equal((ids // self.num_symbols)[..., None], np.arange(self.channels, dtype=np.int32))
        return level[..., None] * ops.cast(own, "float32")

    def get_config(self) -> dict:
        """Constructor arguments."""
        return {**super().get_config(), "channels": self.channels, "num_symbols": self.num_symbols}


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class DifferenceHead(LogisticHead):
    """A `LogisticHead` whose means lie about a guess, moved by what the guesses of the channels before missed.

    Equation: means of channel c = guess_c + sum over b < c of S_cb (x_b - guess_b) + s m, widths = s w, where m and w
    are what the head says, from misses over s too. A context has three parts: `[..., dim]`, the guess, float32
    `[..., channels]`, and s, what guesses around typically miss, `[..., 1]`; prefixes are levels in -1..1.
    Paper: PixelCNN++ (arXiv 1701.05517), section 2.2, has means linear in the channels before, in their raw values.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "autocast": False})  # guesses and levels stay float32

    def build(self, context_shape: tuple, prefix_shape: tuple) -> None:
        """Adds S, `[channels, channels]`, of which only what is below the diagonal counts."""
        super().build(context_shape, prefix_shape)
        start = np.eye(self.num_channels, k=-1, dtype=np.float32) * FIRST_SLOPE
        self.slopes = self.add_weight(
            name="slopes",
            shape=start.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(start, dtype=dtype),
        )

    def weights_of(self, channel: Any) -> dict[str, Tensor]:
        """See `ChannelHead`; with these, which channels are known, S's row for them, and which one is told."""
        before = np.tri(self.num_channels, k=-1, dtype=np.float32)
        rows = {
            "before": ops.convert_to_tensor(before),
            "slopes": ops.cast(self.slopes, "float32") * before,
            "own": ops.convert_to_tensor(np.eye(self.num_channels, dtype=np.float32)),
        }
        return {**super().weights_of(channel), **{name: part_of(row, channel) for name, row in rows.items()}}

    def mixture(self, weights: dict[str, Tensor], context: Tensor, prefix: Tensor) -> Tensor:
        """See `LogisticHead`."""
        trunk, guess, scale = context
        missed = (prefix - guess) * weights["before"]
        said = super().mixture(weights, trunk, ops.cast(bounded(missed / scale), trunk.dtype))
        weight, mean, log_scale = ops.split(said, 3, axis=-1)
        center = ops.sum(guess * weights["own"] + missed * weights["slopes"], axis=-1, keepdims=True)
        return ops.concatenate([weight, center + scale * mean, log_scale + ops.log(scale)], axis=-1)

    def _first_bias(self, shape: tuple, dtype: Any = None) -> Tensor:
        means = FIRST_MEANS * np.linspace(-1.0, 1.0, self.logistics) if self.logistics > 1 else np.zeros(1)
        widths = np.log(np.geomspace(*FIRST_WIDTHS, self.logistics))
        start = np.concatenate([np.zeros(self.logistics), means, widths])
        return ops.cast(np.broadcast_to(start, shape), dtype or "float32")
