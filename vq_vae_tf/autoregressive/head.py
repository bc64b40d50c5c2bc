"""From the context of a site to the logits of its channels, predicted in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ChannelHead(keras.layers.Layer):
    """Logits of channel `c` from the site's context and the channels before it.

    `h = relu(A_c context + B_c prefix_c + a_c)`, `h <- h + relu(U_c h + u_c)`, `logits_c = V_c h + v_c`,
    where `prefix_c` is the sum of the embeddings of channels `0..c-1` of the same site.

    Differs from the paper (Gated PixelCNN, section 2.2: feature maps split into one group a channel, masks in every
    layer): the trunk sees whole sites and only this head sees channels, so no weight is masked and the trunk runs
    once a site however many channels there are.
    """

    def __init__(self, num_channels: int, num_symbols: int, features: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_channels = num_channels
        self.num_symbols = num_symbols
        self.features = features

    LEARNED = ("from_context", "from_prefix", "context_bias", "mix", "mix_bias", "to_logits", "logits_bias")
    """Weights, stacked over channels."""
    first_scale = 1.0
    """Of the last matrix at the start, to Glorot and Bengio's."""

    @property
    def outputs(self) -> int:
        """Numbers of each channel that the last matrix gives."""
        return self.num_symbols

    def build(self, context_shape: tuple, prefix_shape: tuple) -> None:
        """Make one set of weights a channel, stacked on the first axis."""
        channels, hidden = self.num_channels, self.features
        self.from_context = self._weight("from_context", context_shape[-1], hidden)
        self.from_prefix = self._weight("from_prefix", prefix_shape[-1], hidden) if channels > 1 else None
        self.context_bias = self.add_weight(name="context_bias", shape=(channels, hidden), initializer="zeros")
        self.mix = self._weight("mix", hidden, hidden)
        self.mix_bias = self.add_weight(name="mix_bias", shape=(channels, hidden), initializer="zeros")
        self.to_logits = self._weight("to_logits", hidden, self.outputs, self.first_scale)
        self.logits_bias = self.add_weight(
            name="logits_bias", shape=(channels, self.outputs), initializer=self._first_bias
        )

    def _first_bias(self, shape: tuple, dtype: Any = None) -> Tensor:
        return ops.zeros(shape, dtype=dtype)

    def _weight(self, name: str, rows: int, columns: int, scale: float = 1.0) -> Any:
        limit = scale * (6.0 / (rows + columns)) ** 0.5
        initializer = keras.initializers.RandomUniform(-limit, limit)
        return self.add_weight(name=name, shape=(self.num_channels, rows, columns), initializer=initializer)

    def call(self, context: Tensor, prefix: Tensor) -> Tensor:
        """Context `[batch, *grid, dim]`, prefix `[batch, *grid, channels, dim]` -> `[batch, *grid, channels, K]`."""
        logits = [self.channel(context, prefix[..., c, :], c) for c in range(self.num_channels)]
        return ops.stack(logits, axis=-2)

    def nats(self, context: Tensor, prefix: Tensor, symbols: Tensor) -> Tensor:
        """-log p float32 `[batch, *grid, channels]` of symbols int32 of that shape; the rest as for `call`."""
        logits = ops.cast(self.call(context, prefix), "float32")
        return ops.sparse_categorical_crossentropy(symbols, logits, from_logits=True)

    def channel(self, context: Tensor, prefix: Tensor, channel: Any) -> Tensor:
        """Logits `[..., K]` of one channel (an int or a scalar int32 tensor) from `[..., dim]` and `[..., dim]`."""
        return self.logits(self.weights_of(channel), context, prefix)

    def weights_of(self, channel: Any) -> dict[str, Tensor]:
        """One channel's weights by name, in the compute dtype: `step` runs outside of `__call__`, which would cast."""
        stacked = {name: getattr(self, name) for name in self.LEARNED if getattr(self, name) is not None}
        return {name: self._of(weight, channel) for name, weight in stacked.items()}

    def logits(self, weights: dict[str, Tensor], context: Tensor, prefix: Tensor) -> Tensor:
        """Logits `[..., K]` of the channel that `weights` are of."""
        hidden = ops.matmul(context, weights["from_context"]) + weights["context_bias"]
        if "from_prefix" in weights:
            hidden = hidden + ops.matmul(prefix, weights["from_prefix"])
        hidden = ops.relu(hidden)
        hidden = hidden + ops.relu(ops.matmul(hidden, weights["mix"]) + weights["mix_bias"])
        return ops.matmul(hidden, weights["to_logits"]) + weights["logits_bias"]

    def _of(self, weight: Any, channel: Any) -> Tensor:
        return part_of(ops.cast(weight, self.compute_dtype), channel)

    def get_config(self) -> dict:
        """Constructor arguments."""
        sizes = {"num_channels": self.num_channels, "num_symbols": self.num_symbols, "features": self.features}
        return {**super().get_config(), **sizes}


def part_of(weight: Any, channel: Any) -> Tensor:
    """What of a stack over channels is one channel's, an int or a scalar int32 tensor."""
    return weight[channel] if isinstance(channel, int) else ops.take(weight, channel, axis=0)


_LEAST_MASS = 1e-7
"""Of a symbol, before normalising: about the rounding of differences of float32 distribution functions."""
_MIN_LOG_SCALE, _MAX_LOG_SCALE = -7.0, 2.0


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class LogisticHead(ChannelHead):
    """Logits of ordered symbols, such as levels of sound, from a mixture of discretised logistics.

    Equation: p(k) = sum_m pi_m [F((e_k+1 - mu_m) / s_m) - F((e_k - mu_m) / s_m)], F the logistic function, e the edges
    between K levels evenly spaced on [-1, 1], the first and the last at infinity; logits are log p, for all K, so that
    the samplers and the losses of symbols do for these too. Neighbouring levels share 3 M numbers in place of K.
    Paper: PixelCNN++ (arXiv 1701.05517), section 2.1; for sound Parallel WaveNet (arXiv 1711.10433), section 2.1.
    Differs from the paper: there 16 bits linearly; here the symbols may be on any scale, such as the mu-law's.

    Args:
        logistics: M, components.
        others: see `ChannelHead`.
    """

    def __init__(self, *args: Any, logistics: int = 10, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.logistics = logistics

    first_scale = 0.1

    @property
    def outputs(self) -> int:
        """A weight, a mean and a log scale of each component."""
        return 3 * self.logistics

    def logits(self, weights: dict[str, Tensor], context: Tensor, prefix: Tensor) -> Tensor:
        """See `ChannelHead`; float32."""
        mixture = self.mixture(weights, context, prefix)
        weight, mean, log_scale = (part[..., None, :] for part in ops.split(mixture, 3, axis=-1))
        borders = (np.arange(1, self.num_symbols, dtype=np.float32) - 0.5) * (2.0 / (self.num_symbols - 1)) - 1.0
        narrow = ops.exp(-ops.clip(log_scale, _MIN_LOG_SCALE, _MAX_LOG_SCALE))
        below = ops.sum(ops.softmax(weight, axis=-1) * ops.sigmoid((borders[:, None] - mean) * narrow), axis=-1)
        ends = ops.zeros_like(below[..., :1])
        below = ops.concatenate([ends, below, ends + 1.0], axis=-1)
        return ops.log(ops.maximum(below[..., 1:] - below[..., :-1], 0.0) + _LEAST_MASS)

    def nats(self, context: Tensor, prefix: Tensor, symbols: Tensor) -> Tensor:
        """See `ChannelHead`: two edges a component, not K - 1.

        Symbols are the last axis: it is the long one, and passes over rows of 3 M numbers cost several times as much.
        """
        mixture = ops.reshape(ops.stack(list(self._mixtures(context, prefix)), axis=-2), (-1, self.outputs))
        weight, mean, log_scale = ops.split(ops.transpose(mixture), 3, axis=0)
        k = ops.reshape(ops.cast(symbols, "float32"), (1, -1))
        half, last = 1.0 / (self.num_symbols - 1), self.num_symbols - 1.5
        narrow = ops.exp(-ops.clip(log_scale, _MIN_LOG_SCALE, _MAX_LOG_SCALE))
        center, half = (2.0 * half * k - 1.0 - mean) * narrow, half * narrow
        first, final = k < 0.5, k > last
        # Mirrored to the left, where the two terms do not cancel; the outer edge of an end is at infinity.
        left = ops.where(first, center, ops.where(final, -center, -ops.abs(center)))
        beyond = ops.sigmoid(left - half) * ops.cast(ops.logical_not(ops.logical_or(first, final)), "float32")
        share = ops.exp(weight - ops.max(weight, axis=0, keepdims=True))
        mass = ops.sum(share * (ops.sigmoid(left + half) - beyond), axis=0) / ops.sum(share, axis=0)
        nats = np.float32(np.log1p(self.num_symbols * _LEAST_MASS)) - ops.log(mass + _LEAST_MASS)
        return ops.reshape(nats, ops.shape(symbols))

    def _mixtures(self, context: Tensor, prefix: Tensor) -> Iterator[Tensor]:
        """Of each channel: weights, means and log scales, float32 `[batch, *grid, 3 M]`."""
        for c in range(self.num_channels):
            yield self.mixture(self.weights_of(c), context, prefix[..., c, :])

    def mixture(self, weights: dict[str, Tensor], context: Tensor, prefix: Tensor) -> Tensor:
        """Weights, means and log scales of the channel that `weights` are of, float32 `[..., 3 M]`."""
        return ops.cast(super().logits(weights, context, prefix), "float32")

    def _first_bias(self, shape: tuple, dtype: Any = None) -> Tensor:
        """Means evenly over the levels, each component about as wide as its share."""
        means = np.linspace(-0.8, 0.8, self.logistics) if self.logistics > 1 else np.zeros(1)
        start = np.concatenate([np.zeros(self.logistics), means, np.full(self.logistics, -1.5)])
        return ops.cast(np.broadcast_to(start, shape), dtype or "float32")

    def get_config(self) -> dict:
        """Constructor arguments."""
        return {**super().get_config(), "logistics": self.logistics}
