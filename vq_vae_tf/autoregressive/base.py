"""What every autoregressive network is: embed the symbols, a causal trunk over sites, a head over channels."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.autoregressive.head import ChannelHead, LogisticHead
from vq_vae_tf.autoregressive.ordered import OrderedSymbols
from vq_vae_tf.autoregressive.vectors import VectorEmbedding, VectorHead, vector_features

Tensor = Any


class AutoregressiveNetwork(keras.layers.Layer):
    """`p(s) = prod_t p(s_t | s_<t, condition)` over the symbols of one example in raster order, channels innermost.

    A subclass gives three methods about sites (a site = all channels of one grid position):
    `contexts` (all sites at once), `init_sites` (the empty cache) and `advance` (one site, from the cache).
    This class turns them into `network(symbols, condition)`, `init_cache` and `step`.

    Args:
        num_symbols: K, the number of values of a symbol.
        symbol_shape: shape of one example's symbols, such as `(8, 8)`, `(8, 8, 10)` or `(1024,)`.
        num_channels: None when every axis of `symbol_shape` is a grid axis; otherwise the size of its last axis,
            whose symbols are predicted in order at each site.
        num_labels: number of classes of `condition["label"]`, int32 `[batch]`; 0: not used.
        condition_features: channels of `condition["map"]`, float `[batch, *condition_grid, condition_features]`; 0: not
            used.
        features: width of the embeddings and of the trunk.
        head_features: width of the head's hidden layer; 0: the same as `features`.
        dropout: rate inside the blocks of the trunk.
        logistics: components of a mixture over ordered symbols in place of free logits, see `LogisticHead`; 0: free.
        vector_dim: dimensions of the vectors that symbols stand for, which `show` gives, see `VectorHead`; 0: symbols
            are but names.

    Raises:
        ValueError: sizes that do not fit one another.
    """

    def __init__(
        self,
        num_symbols: int,
        symbol_shape: tuple,
        num_channels: int | None = None,
        num_labels: int = 0,
        condition_features: int = 0,
        features: int = 64,
        head_features: int = 0,
        dropout: float = 0.0,
        logistics: int = 0,
        vector_dim: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_symbols = int(num_symbols)
        self.symbol_shape = tuple(int(size) for size in symbol_shape)
        self.num_channels = num_channels
        self.num_labels = int(num_labels)
        self.condition_features = int(condition_features)
        self.features = int(features)
        self.head_features = int(head_features) or self.features
        self.dropout = float(dropout)
        self.logistics, self.vector_dim = int(logistics), int(vector_dim)
        if logistics and vector_dim:
            raise ValueError(f"{self.name}: logistics={logistics} and vector_dim={vector_dim}; give one of them")
        if num_channels is not None and num_channels != self.symbol_shape[-1]:
            raise ValueError(
                f"{self.name}: num_channels={num_channels} but symbol_shape={self.symbol_shape}; "
                "the last axis of symbol_shape must be the channels"
            )
        self.grid = self.symbol_shape if num_channels is None else self.symbol_shape[:-1]
        if not self.grid or min(self.symbol_shape) < 1:
            raise ValueError(f"{self.name}: symbol_shape={self.symbol_shape} needs a grid axis and sizes of at least 1")
        self.channels = num_channels or 1
        self.num_sites = math.prod(self.grid)
        self.num_positions = self.num_sites * self.channels
        self._make_ends()

    def _make_ends(self) -> None:
        """The embedding and the head; symbols that have an order begin as neighbours of their neighbours."""
        spread, policy = self.channels**-0.5, self.dtype_policy
        sizes = (self.channels, self.num_symbols, self.head_features)
        if self.vector_dim:
            width = (self.vector_dim, self.features, spread)
            self.embedding = VectorEmbedding(*sizes[:2], *width, name="symbols", dtype=policy)
            self.head = VectorHead(*sizes, vector_dim=self.vector_dim, name="head", dtype=policy)
            return
        unrelated = keras.initializers.RandomNormal(0.0, spread)
        start = OrderedSymbols(self.channels, spread) if self.logistics else unrelated
        self.embedding = keras.layers.Embedding(
            self.channels * self.num_symbols, self.features, start, name="symbols", dtype=policy
        )
        if self.logistics:
            self.head = LogisticHead(*sizes, logistics=self.logistics, name="head", dtype=policy)
        else:
            self.head = ChannelHead(*sizes, name="head", dtype=policy)

    # What a subclass gives.

    @property
    def context_features(self) -> int:
        """Width of a context."""
        return self.features

    @property
    def embedded_features(self) -> int:
        """Width of an embedded symbol."""
        return self.features

    @property
    def condition_grid(self) -> tuple:
        """The grid of `condition["map"]`: that of the sites."""
        return self.grid

    def contexts(self, sites: Tensor, condition: dict, training: bool | None) -> Tensor:
        """Contexts `[batch, *grid, features]` from site embeddings of the same shape, each from earlier sites only."""
        raise NotImplementedError

    def empty_context(self, batch_size: Any) -> Any:
        """Zeros of the shape of one site's context."""
        return ops.zeros((batch_size, self.context_features), dtype=self.compute_dtype)

    def init_sites(self, batch_size: Any, condition: dict) -> Any:
        """The trunk's cache before the first site; the condition is projected here, once."""
        raise NotImplementedError

    def advance(self, previous: Tensor, cache: Any, site: Tensor) -> tuple[Tensor, Any]:
        """Context `[batch, features]` of `site` from the embedding of the site before it (zeros at site 0)."""
        raise NotImplementedError

    def build_trunk(self) -> None:
        """Build the sublayers of the trunk."""
        raise NotImplementedError

    # What the others use.

    def build(self, symbols_shape: Any = None, condition_shape: Any = None) -> None:
        """All sizes are known from the constructor."""
        self.embedding.build()
        self.head.build((None, self.context_features), (None, self.embedded_features))
        self.build_trunk()

    def show(self, vectors: np.ndarray, counts: np.ndarray) -> None:
        """What symbols stand for, of a network with `vector_dim`.

        Args:
            vectors: `[channels, K, vector_dim]`.
            counts: `[channels, K]`, how often each symbol comes in training data: what is predicted at the start.
        """
        if not self.built:
            self.build()
        features = vector_features(np.asarray(vectors))
        seen = np.asarray(counts, np.float64) + 1.0
        self.embedding.table.assign(features)
        self.head.table.assign(features)
        self.head.log_frequency.assign(np.log(seen / seen.sum(axis=-1, keepdims=True)))

    def call(self, symbols: Tensor, condition: dict | None = None, training: bool | None = None) -> Tensor:
        """Logits `[batch, *symbol_shape, num_symbols]` (float32) of every symbol given the ones before it."""
        return self.predict(self.embed(symbols), condition, training)

    def embed(self, symbols: Tensor) -> Tensor:
        """One vector a symbol: int32 `[batch, *symbol_shape]` -> `[batch, *grid, channels, features]`."""
        if tuple(symbols.shape[1:]) != self.symbol_shape:
            raise ValueError(
                f"{self.name}: symbols of shape {symbols.shape} given; expected [batch, {self.symbol_shape}]"
            )
        symbols = ops.reshape(ops.cast(symbols, "int32"), (-1, *self.grid, self.channels))
        return self.embedding(symbols + ops.arange(self.channels, dtype="int32") * self.num_symbols)

    def predict(self, embedded: Tensor, condition: dict | None = None, training: bool | None = None) -> Tensor:
        """Logits from embedded symbols: the causal part, differentiable in `embedded`."""
        logits = self.head(*self._before_each(embedded, condition, training))
        return ops.cast(ops.reshape(logits, (-1, *self.symbol_shape, self.num_symbols)), "float32")

    def nats(self, symbols: Tensor, condition: dict | None = None, training: bool | None = None) -> Tensor:
        """-log p of every symbol given the ones before it, float32 `[batch, *symbol_shape]`: what training minimises.

        The same as the cross-entropy of `network(symbols, condition)`, without logits of the symbols that did not come
        where the head can do without.
        """
        if not self.built:
            self.build()
        context, prefix = self._before_each(self.embed(symbols), condition, training)
        each = ops.reshape(ops.cast(symbols, "int32"), (-1, *self.grid, self.channels))
        return ops.reshape(self.head.nats(context, prefix, each), (-1, *self.symbol_shape))

    def _before_each(self, embedded: Tensor, condition: dict | None, training: bool | None) -> tuple[Tensor, Tensor]:
        """Each site's context, and for each of its channels the sum of those before it."""
        context = self.contexts(ops.sum(embedded, axis=-2), self.checked_condition(condition), training)
        if self.channels == 1:
            return context, embedded
        before = np.tri(self.channels, k=-1)  # a product with it takes a tenth of the time of a cumulative sum
        return context, ops.matmul(ops.cast(before, embedded.dtype), embedded)

    def init_cache(self, batch_size: Any, condition: dict | None = None) -> dict:
        """What `step` needs before position 0: a pytree of tensors. `batch_size` may be a scalar tensor."""
        if not self.built:
            self.build()
        cache = {"trunk": self.init_sites(batch_size, self.checked_condition(condition))}
        if self.channels == 1:
            # Taken out once: a slice of stacked weights inside the loop keeps XLA from its matrix product.
            return {**cache, "head": self.head.weights_of(0)}
        site = ops.zeros((batch_size, self.embedded_features), dtype=self.embedding.compute_dtype)
        return {**cache, "site": site, "context": self.empty_context(batch_size)}

    def step(self, previous: Tensor, cache: dict, position: Tensor) -> tuple[Tensor, dict]:
        """Logits `[batch, num_symbols]` (float32) of the symbol at `position` (scalar int32) and the next cache.

        `previous`: int32 `[batch]`, the symbol at `position - 1` (ignored at 0). Positions come in order from 0.
        """
        position = ops.cast(position, "int32")
        channel = (position + self.channels - 1) % self.channels
        embedded = self.embedding(ops.cast(previous, "int32") + channel * self.num_symbols)
        embedded = embedded * ops.cast(position > 0, embedded.dtype)
        if self.channels == 1:
            context, trunk = self.advance(embedded, cache["trunk"], position)
            logits = self.head.logits(cache["head"], context, embedded)
            return ops.cast(logits, "float32"), {**cache, "trunk": trunk}
        return self._channel_step(embedded, cache, position)

    def _channel_step(self, embedded: Tensor, cache: dict, position: Tensor) -> tuple[Tensor, dict]:
        channel = position % self.channels
        site = cache["site"] + embedded

        def first_channel() -> tuple:
            context, trunk = self.advance(site, cache["trunk"], position // self.channels)
            return context, ops.zeros_like(site), trunk

        context, site, trunk = ops.cond(channel == 0, first_channel, lambda: (cache["context"], site, cache["trunk"]))
        logits = self.head.channel(context, site, channel)
        return ops.cast(logits, "float32"), {"trunk": trunk, "site": site, "context": context}

    def checked_condition(self, condition: dict | None) -> dict:
        """The parts of `condition` that this network was built to need, or a ValueError that says what is wrong."""
        condition = condition or {}
        checked = {}
        if self.num_labels:
            checked["label"] = self._checked_label(condition.get("label"))
        if self.condition_features:
            checked["map"] = self._checked_map(condition.get("map"))
        return checked

    def _checked_label(self, label: Any) -> Tensor:
        if label is None:
            raise ValueError(
                f"{self.name}: no condition['label'] given; expected int32 [batch] in 0..{self.num_labels - 1}"
            )
        values = concrete(label)
        if values is not None and values.size and not (values.min() >= 0 and values.max() < self.num_labels):
            wrong = values[(values < 0) | (values >= self.num_labels)].flat[0]
            raise ValueError(f"{self.name}: label {wrong} is out of range; expected 0..{self.num_labels - 1}")
        return ops.cast(label, "int32")

    def _checked_map(self, features: Any) -> Tensor:
        expected = (*self.condition_grid, self.condition_features)
        given = None if features is None else tuple(features.shape)
        if given is None or given[1:] != expected:
            raise ValueError(f"{self.name}: condition['map'] of shape {given} given; expected [batch, {expected}]")
        return ops.cast(features, self.compute_dtype)

    def get_config(self) -> dict:
        """Constructor arguments."""
        names = ("num_symbols", "symbol_shape", "num_channels", "num_labels", "condition_features", "features")
        ours = {name: getattr(self, name) for name in (*names, "head_features", "dropout", "logistics", "vector_dim")}
        return {**super().get_config(), **ours}


def whole(symbols: Any, who: str) -> None:
    """Raises: ValueError unless the symbols are of a type of integers: others would be cut off in silence."""
    dtype = keras.backend.standardize_dtype(ops.convert_to_tensor(symbols).dtype)
    if "int" not in dtype:
        raise ValueError(f"{who} of type {dtype} given; expected integers")


def concrete(x: Any) -> np.ndarray | None:
    """The values of `x`, or None when they are not known yet (a tensor of a graph being traced)."""
    try:
        return np.asarray(x)
    except (NotImplementedError, TypeError, ValueError, AttributeError):
        return None


def gate(x: Tensor) -> Tensor:
    """`tanh(a) * sigmoid(b)` of the two halves of the last axis (equation 2 of both PixelCNN and WaveNet)."""
    signal, opening = ops.split(x, 2, axis=-1)
    return ops.tanh(signal) * ops.sigmoid(opening)
