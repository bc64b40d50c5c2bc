"""Symbols that stand for vectors, as codes do for those of a codebook: what holds of one holds of its neighbours."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.autoregressive.head import ChannelHead, part_of

Tensor = Any

FAR = 8.0
"""Standard deviations beyond which a code counts as no farther: a few codes lie very far out."""
LEAST = 1e-30
"""Probability whose logarithm float32 still holds."""


def along_axes(vectors: np.ndarray, dim: int) -> np.ndarray:
    """Vectors less their mean, along the `dim` axes on which they differ most, the first most of all.

    Equation: E - mean = U S V^T; E' = U S, its first columns, each axis signed so that its longest component is > 0.

    Args:
        vectors: `[channels, K, d]`, d and K - 1 at least dim: K points differ along no more.

    Returns:
        `[channels, K, dim]`; all distances are kept where dim = d.
    """
    apart = vectors.astype(np.float64) - vectors.mean(axis=1, keepdims=True)
    axes = np.linalg.svd(apart, full_matrices=False)[2][:, :dim]
    longest = np.take_along_axis(axes, np.abs(axes).argmax(axis=-1)[..., None], axis=-1)
    return apart @ np.swapaxes(axes * np.sign(longest), 1, 2)


def vector_features(vectors: np.ndarray) -> np.ndarray:
    """Smooth functions f of vectors, each of mean 0 and standard deviation 1 over the codes of a channel.

    Equation: u = (e - mean) / std over the codes; u_i, |u_i|, tanh 2 u_i, log(1 + 4 u_i^2), all products u_i u_j.

    Args:
        vectors: `[channels, K, dim]`.

    Returns:
        float32 `[channels, K, feature_count(dim)]`.
    """
    i, j = np.triu_indices(vectors.shape[-1])
    u = np.clip(_standard(vectors.astype(np.float64)), -FAR, FAR)
    parts = [u, np.abs(u), np.tanh(2.0 * u), np.log1p(4.0 * u**2), u[..., i] * u[..., j]]
    return _standard(np.concatenate(parts, axis=-1)).astype(np.float32)


def feature_count(dim: int) -> int:
    """Features of a vector of `dim` dimensions."""
    return 4 * dim + dim * (dim + 1) // 2


def _standard(values: np.ndarray) -> np.ndarray:
    spread = values.std(axis=1, keepdims=True)
    return (values - values.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-9)


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class VectorEmbedding(keras.layers.Layer):
    """`E[c, k] = W_c f(e_ck)`, `[..., features]` of ids `c K + k`: `[..., channels]`, or `[batch]` of one channel.

    Args:
        channels: C.
        num_symbols: K; channel c has the ids from c K.
        vector_dim: of the vectors.
        features: width of an embedding.
        spread: standard deviation of an element at the start, about.
    """

    def __init__(
        self, channels: int, num_symbols: int, vector_dim: int, features: int, spread: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.channels, self.num_symbols, self.vector_dim = channels, num_symbols, vector_dim
        self.features, self.spread = features, spread

    def build(self, input_shape: Any = None) -> None:
        """The table of f, which is given, and W."""
        count = feature_count(self.vector_dim)
        self.table = _given(self, "table", (self.channels, self.num_symbols, count))
        start = keras.initializers.RandomNormal(0.0, self.spread / count**0.5)
        self.mix = self.add_weight(name="mix", shape=(self.channels, count, self.features), initializer=start)
        self.built = True

    def call(self, ids: Tensor) -> Tensor:
        """See the class."""
        dtype = self.compute_dtype
        found = ops.take(ops.reshape(ops.cast(self.table, dtype), (-1, self.table.shape[-1])), ids, axis=0)
        mix = ops.cast(self.mix, dtype)
        if len(ids.shape) == 1:
            return ops.matmul(found, ops.take(mix, ids[0] // self.num_symbols, axis=0))
        by_channel = ops.transpose(ops.reshape(found, (-1, self.channels, found.shape[-1])), (1, 0, 2))
        embedded = ops.transpose(ops.matmul(by_channel, mix), (1, 0, 2))
        return ops.reshape(embedded, (*ops.shape(ids), self.features))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("channels", "num_symbols", "vector_dim", "features", "spread")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class VectorHead(ChannelHead):
    """Logits that are smooth in the vectors: an exponential family over the codes of a channel.

    Equation: `logits_ck = g_c . f(e_ck) + log q_ck`, g_c from the hidden layer of `ChannelHead`, q_c how often each
    code of channel c comes. So log p has the gradient f(e_k) - E_p f in g_c: nothing of K numbers goes backward.

    Free logits have to find out for every code alone what is true of the codes beside it; here a code's neighbours
    learn with it, and at the start p is q. Differs from the paper, whose prior knows codes by name.

    Args:
        vector_dim: of the vectors.
        others: see `ChannelHead`.
    """

    def __init__(self, *args: Any, vector_dim: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.vector_dim = vector_dim

    first_scale = 0.0

    @property
    def outputs(self) -> int:
        """A number for each feature."""
        return feature_count(self.vector_dim)

    def build(self, context_shape: tuple, prefix_shape: tuple) -> None:
        """The weights of `ChannelHead`, and what is given: f and log q."""
        super().build(context_shape, prefix_shape)
        shape = (self.num_channels, self.num_symbols)
        self.table = _given(self, "table", (*shape, self.outputs))
        self.log_frequency = _given(self, "log_frequency", shape)

    def logits(self, weights: dict[str, Tensor], context: Tensor, prefix: Tensor) -> Tensor:
        """See `ChannelHead`; float32."""
        tilt = ops.cast(super().logits(weights, context, prefix), "float32")
        return ops.matmul(tilt, ops.swapaxes(weights["table"], -1, -2)) + weights["log_frequency"]

    def weights_of(self, channel: Any) -> dict[str, Tensor]:
        """See `ChannelHead`; what is given stays in float32."""
        given = {"table": self.table, "log_frequency": self.log_frequency}
        return {**super().weights_of(channel), **{name: part_of(weight, channel) for name, weight in given.items()}}

    def nats(self, context: Tensor, prefix: Tensor, symbols: Tensor) -> Tensor:
        """See `ChannelHead`; all channels at once, each a matrix of one product."""
        context = ops.reshape(context, (1, -1, context.shape[-1]))
        prefix = ops.transpose(ops.reshape(prefix, (-1, self.num_channels, prefix.shape[-1])), (1, 0, 2))
        chosen = ops.transpose(ops.reshape(ops.cast(symbols, "int32"), (-1, self.num_channels)))
        tilt = ops.cast(super().logits(self._all_weights(), context, prefix), "float32")
        table = ops.convert_to_tensor(self.table)
        logits = ops.matmul(ops.stop_gradient(tilt), ops.swapaxes(table, -1, -2)) + self.log_frequency[:, None]
        p = ops.stop_gradient(ops.softmax(logits, axis=-1))
        first = ops.arange(self.num_channels, dtype="int32")[:, None] * self.num_symbols
        observed = ops.take(ops.reshape(table, (-1, self.outputs)), chosen + first, axis=0)
        slope = ops.sum(tilt * (ops.matmul(p, table) - observed), axis=-1)
        value = -ops.log(ops.maximum(ops.take_along_axis(p, chosen[..., None], axis=-1)[..., 0], LEAST))
        nats = slope + ops.stop_gradient(value - slope)
        return ops.reshape(ops.transpose(nats), ops.shape(symbols))

    def _all_weights(self) -> dict[str, Tensor]:
        """As `weights_of`, of all channels: biases `[channels, 1, ...]`."""
        weights = {name: getattr(self, name) for name in self.LEARNED if getattr(self, name) is not None}
        weights = {name: ops.cast(weight, self.compute_dtype) for name, weight in weights.items()}
        return {name: weight[:, None] if len(weight.shape) == 2 else weight for name, weight in weights.items()}

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "vector_dim": self.vector_dim}


def _given(layer: keras.layers.Layer, name: str, shape: tuple[int, ...]) -> Any:
    """A weight that `AutoregressiveNetwork.show` sets."""
    kept = {"trainable": False, "dtype": "float32", "autocast": False}
    return layer.add_weight(name=name, shape=shape, initializer="zeros", **kept)
