"""Least squares as a likelihood."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.modalities.image.likelihood.base import MAX_VALUE, Likelihood, to_served
from vq_vae_tf.modalities.image.scale import from_unit, to_unit
from vq_vae_tf.ops.contrast import contrast_error
from vq_vae_tf.ops.tails import log_normal_bin, log_normal_cdf


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Gaussian(Likelihood):
    """Independent Gaussians of one fixed variance: maximum likelihood is least squares.

    Equation: p(x|z) = product over dimensions of the Gaussian N(mu, s^2) of u = x/255 - 1/2, integrated over the bin
    x - 1/2 .. x + 1/2; the bins of 0 and 255 take the tails. So it is a distribution over 0..255 and gives bits/dim.
    `loss` is the density at the bin's centre instead, (u - mu)^2 / (2 s^2) + log(2 pi s^2) / 2 + log 255: the gradient
    is that of the squared error everywhere, also where 0 and 255 would have been content with any mu beyond them.
    Paper: section 4.1 trains with the mean squared error.

    The mean of all pictures that codes may stand for is a blur, and the best by squared error. `contrast_weight` asks
    for as much contrast as the picture had, wherever exactly its edges were: to the loss comes, for each dimension, the
    weight times `contrast_error` / (2 s^2). `log_prob` stays as it is.
    After: the gradient difference loss (Mathieu, Couprie & LeCun 2016, arXiv 1511.05440, section 3.2), which asks for
    each edge in its place, and so for none where the place is open.

    Args:
        variance: s^2, on the scale of x/255. Half the variance of the data makes the loss in nats per dimension
            `MSE / variance of the data` plus a constant, which is Sonnet's published loss.
        contrast_weight: of an error of contrast over one of a pixel; 0: squared error alone, as in the paper.
    """

    def __init__(self, variance: float = 0.5 * 0.0633, contrast_weight: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not variance > 0.0:
            raise ValueError(f"{self.name}: variance must be positive; received {variance}.")
        if not contrast_weight >= 0.0:
            raise ValueError(f"{self.name}: contrast_weight must not be negative; received {contrast_weight}.")
        self.variance, self.contrast_weight = float(variance), float(contrast_weight)

    def outputs(self, channels: int) -> int:
        """One parameter a channel: mu."""
        return channels

    def location(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Likelihood`: mu is u."""
        return np.eye(channels), np.zeros(channels)

    def loss_map(self, params: Any, x: Any) -> Any:
        """Squared error over 2 s^2 and the density's constant, nats `[batch, height, width]`."""
        mu = ops.cast(params, "float32")
        constant = mu.shape[-1] * (0.5 * math.log(2.0 * math.pi * self.variance) + math.log(255.0))
        return ops.sum(ops.square(to_unit(x) - mu), axis=-1) / (2.0 * self.variance) + constant

    def loss(self, params: Any, x: Any, training: bool | None = None) -> Any:
        """The squared error over 2 s^2 with its constant and, where it has a weight, the error of contrast; nats."""
        loss = super().loss(params, x, training)
        if not self.contrast_weight:
            return loss
        missed = contrast_error(params, to_unit(x)) / (2.0 * self.variance)
        return loss + self.contrast_weight * math.prod(params.shape[1:]) * missed

    def log_prob_map(self, params: Any, x: Any) -> Any:
        """log p(pixel | params) in nats, `[batch, height, width]`."""
        deviation = math.sqrt(self.variance)
        half = 0.5 / 255.0 / deviation
        z = (to_unit(x) - ops.cast(params, "float32")) / deviation
        x = ops.cast(x, "float32")
        inside = log_normal_bin(z, half)
        edge = log_normal_cdf(ops.where(x < 0.5, z, -z) + half)
        return ops.sum(ops.where((x > 0.5) & (x < MAX_VALUE - 0.5), inside, edge), axis=-1)

    def mean(self, params: Any) -> Any:
        """255 (mu + 1/2), clipped to 0..255: least squares' own estimate, the mean before the tails are folded in."""
        return from_unit(params)

    def sample(self, params: Any, seed: Any = None) -> Any:
        """Adds noise of the fixed variance to the mean, rounds and clips."""
        mu = ops.cast(params, "float32")
        noise = keras.random.normal(ops.shape(mu), seed=seed, dtype="float32")
        return to_served((mu + math.sqrt(self.variance) * noise + 0.5) * 255.0)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "variance": self.variance, "contrast_weight": self.contrast_weight}
