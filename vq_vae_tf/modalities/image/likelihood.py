"""p(x | z_q) for images: what the decoder's output says of the 256 values of each channel."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.image.scale import from_unit, to_unit


class Likelihood(keras.layers.Layer):
    """A distribution over images `[batch, height, width, channels]` in 0..255 whose parameters a decoder gives.

    Parameters come as `[batch, height, width, channels * parameters_per_channel]`.
    """

    parameters_per_channel: int = 1

    @abstractmethod
    def log_prob(self, params: Any, x: Any) -> Any:
        """log p(x | params) in nats, `[batch]`, for `x` in 0..255."""

    @abstractmethod
    def mean(self, params: Any) -> Any:
        """E[x | params] in 0..255 as float32, of the shape of `x`."""

    @abstractmethod
    def sample(self, params: Any, seed: Any = None) -> Any:
        """Draws x in 0..255 as float32; `seed` is an int or a `keras.random.SeedGenerator`."""


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Gaussian(Likelihood):
    """Independent Gaussians of one fixed variance: maximum likelihood is least squares.

    Equation: log p(x|z) = sum over dimensions of -(u - mu)^2 / (2 s^2) - log(2 pi s^2) / 2 - log 255, with
    u = x/255 - 1/2; the last term makes it a density over the scale 0..255.
    Paper: section 4.1 trains with the mean squared error.

    Args:
        variance: s^2, on the scale of x/255. Half the variance of the data makes the loss in nats per dimension
            `MSE / variance of the data` plus a constant, which is Sonnet's published loss.
    """

    def __init__(self, variance: float = 0.5 * 0.0633, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not variance > 0.0:
            raise ValueError(f"{self.name}: variance must be positive; received {variance}.")
        self.variance = float(variance)

    def log_prob(self, params: Any, x: Any) -> Any:
        """log p(x | params) in nats, `[batch]`."""
        mu = ops.cast(params, "float32")
        error = ops.sum(ops.square(to_unit(x) - mu), axis=(1, 2, 3))
        dimensions = math.prod(mu.shape[1:])
        constant = dimensions * (0.5 * math.log(2.0 * math.pi * self.variance) + math.log(255.0))
        return -error / (2.0 * self.variance) - constant

    def mean(self, params: Any) -> Any:
        """The mean, clipped to 0..255."""
        return from_unit(params)

    def sample(self, params: Any, seed: Any = None) -> Any:
        """Adds noise of the fixed variance to the mean; clipped to 0..255."""
        mu = ops.cast(params, "float32")
        return from_unit(mu + math.sqrt(self.variance) * keras.random.normal(ops.shape(mu), seed=seed))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "variance": self.variance}


LIKELIHOODS: dict[str, type[Likelihood]] = {"gaussian": Gaussian}
