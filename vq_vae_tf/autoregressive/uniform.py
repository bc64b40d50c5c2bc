"""The network that predicts nothing: every symbol equally likely."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Uniform(keras.layers.Layer):
    """All logits zero; the interface of `AutoregressiveNetwork`, no weights, any condition ignored."""

    def __init__(self, num_symbols: int, symbol_shape: tuple, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_symbols = int(num_symbols)
        self.symbol_shape = tuple(int(size) for size in symbol_shape)
        self.num_positions = math.prod(self.symbol_shape)
        self.num_labels = 0
        self.condition_features = 0

    def build(self, symbols_shape: Any = None, condition_shape: Any = None) -> None:
        """Nothing to build."""
        self.built = True

    def call(self, symbols: Tensor, condition: dict | None = None, training: bool | None = None) -> Tensor:
        """Zeros `[batch, *symbol_shape, num_symbols]`."""
        return ops.zeros((*ops.shape(symbols), self.num_symbols))

    def nats(self, symbols: Tensor, condition: dict | None = None, training: bool | None = None) -> Tensor:
        """log K `[batch, *symbol_shape]`."""
        return ops.full(ops.shape(symbols), math.log(self.num_symbols), dtype="float32")

    def init_cache(self, batch_size: Any, condition: dict | None = None) -> tuple:
        """Nothing to remember."""
        return ()

    def step(self, previous: Tensor, cache: tuple, position: Tensor) -> tuple[Tensor, tuple]:
        """Zeros `[batch, num_symbols]`."""
        return ops.zeros((ops.shape(previous)[0], self.num_symbols)), cache

    def get_config(self) -> dict:
        """Constructor arguments."""
        return {**super().get_config(), "num_symbols": self.num_symbols, "symbol_shape": self.symbol_shape}
