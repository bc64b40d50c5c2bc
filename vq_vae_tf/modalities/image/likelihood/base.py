"""What every p(x | z_q) for images gives."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import keras
import numpy as np
from keras import ops

MAX_VALUE = 255
"""Channels hold the 256 integers 0..255."""


class Likelihood(keras.layers.Layer):
    """A distribution over images `[batch, height, width, channels]` in 0..255 whose parameters a decoder gives.

    Parameters come as `[batch, height, width, outputs(channels)]`, in any float dtype; all else is float32.
    """

    @abstractmethod
    def outputs(self, channels: int) -> int:
        """Parameters at each pixel of an image of so many channels."""

    @abstractmethod
    def log_prob_map(self, params: Any, x: Any) -> Any:
        """log p(pixel | params) in nats, `[batch, height, width]`, for integers `x` in 0..255."""

    def log_prob(self, params: Any, x: Any) -> Any:
        """log p(x | params) in nats, `[batch]`, for integers `x` in 0..255: sums to one over all images."""
        return sum_per_example(self.log_prob_map(params, x))

    @abstractmethod
    def mean(self, params: Any) -> Any:
        """The picture to show for `params`, in 0..255 as float32, of the shape of `x`: E[x | params] or near it."""

    @abstractmethod
    def sample(self, params: Any, seed: Any = None) -> Any:
        """Draws x: whole numbers in 0..255 as float32; `seed` is an int or a `keras.random.SeedGenerator`."""

    def location(self, channels: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Matrix `[channels, outputs]` and bias `[outputs]`: params = u @ matrix + bias lie about the pixel u, of the
        scale x / 255 - 1/2, with a width of some of the 256 values; None where no linear map does that.
        """
        del channels
        return None

    def loss_map(self, params: Any, x: Any) -> Any:
        """What training minimises at each pixel, nats `[batch, height, width]`: -log p, unless a likelihood differs."""
        return -self.log_prob_map(params, x)

    def loss(self, params: Any, x: Any, training: bool | None = None) -> Any:
        """What training minimises, nats `[batch]`."""
        del training
        return sum_per_example(self.loss_map(params, x))


def sum_per_example(values: Any) -> Any:
    """`[batch, ...]` -> `[batch]`."""
    return ops.sum(ops.reshape(values, (ops.shape(values)[0], -1)), axis=-1)


def to_served(x: Any) -> Any:
    """Rounds to whole numbers and clips to 0..255, in float32."""
    return ops.clip(ops.round(ops.cast(x, "float32")), 0.0, float(MAX_VALUE))
