"""A mixture of discretised logistics whose channels depend on each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from vq_vae_tf.modalities.image.likelihood.base import MAX_VALUE, Likelihood, sum_per_example, to_served
from vq_vae_tf.ops.tails import log_one_minus_exp

HALF_BIN = 1.0 / MAX_VALUE
"""Half a pixel value on the scale v = x / 127.5 - 1."""
MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 7.0


class _Mixture(NamedTuple):
    """Parameters, float32, M components and C channels."""

    logits: Any  # [batch, height, width, M]
    means: Any  # [batch, height, width, C, M]
    log_scales: Any  # [batch, height, width, C, M]
    slopes: Any  # [batch, height, width, C (C - 1) / 2, M]: channel 1 on 0, 2 on 0, 2 on 1, ...


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class DiscretizedLogisticMixture(Likelihood):
    """A mixture over whole pixels; in a component, each channel's mean is linear in the channels before it.

    Equation: p(x_pixel|z) = sum_m pi_m prod_c [F((v_c + h - mu_cm) / s_cm) - F((v_c - h - mu_cm) / s_cm)],
    mu_cm = mean_cm + sum_{d<c} tanh(slope_cdm) v_d, F the logistic function, v = x / 127.5 - 1 and h = 1 / 255; the
    bins of 0 and 255 take the tails.
    Paper: PixelCNN++ (arXiv 1701.05517), section 2.1 and 2.2.

    Differs from the paper: a bin's mass is F(b) - F(a) = F(b) F(-a) (1 - exp(a - b)), exact in logarithms, where the
    published code falls back to a density; log s is clipped above as well as below.

    Args:
        components: M.
    """

    def __init__(self, components: int = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if components < 1:
            raise ValueError(f"{self.name}: components must be at least 1; received {components}.")
        self.components = int(components)

    def outputs(self, channels: int) -> int:
        """M weights, C M means and log scales, C (C - 1) / 2 M slopes."""
        return self.components * (1 + 2 * channels + channels * (channels - 1) // 2)

    def log_prob(self, params: Any, x: Any) -> Any:
        """log p(x | params) in nats, `[batch]`."""
        x = ops.cast(x, "float32")[..., None]
        mixture = self._mixture(params, x.shape[-2])
        v = x / 127.5 - 1.0
        means = ops.stack([_mean(mixture, v, c) for c in range(x.shape[-2])], axis=-2)
        each = ops.sum(_log_bin(x, v - means, mixture.log_scales), axis=-2)
        return sum_per_example(ops.logsumexp(ops.log_softmax(mixture.logits, axis=-1) + each, axis=-1))

    def mean(self, params: Any) -> Any:
        """E[x | params]: exact but for rounding in the first channel; later ones see the earlier ones at their mean."""
        mixture = self._mixture(params, self._channels(params))
        scales = ops.exp(mixture.log_scales)
        v: list[Any] = []
        for c in range(mixture.means.shape[-2]):
            v.append(_clipped_mean(_mean(mixture, ops.stack(v, axis=-2) if v else None, c), scales[..., c, :]))
        weights = ops.softmax(mixture.logits, axis=-1)[..., None, :]
        return (ops.sum(weights * ops.stack(v, axis=-2), axis=-1) + 1.0) * 127.5

    def sample(self, params: Any, seed: Any = None) -> Any:
        """Draws a component for each pixel, then the channels in order."""
        seeds = seed if isinstance(seed, keras.random.SeedGenerator) else keras.random.SeedGenerator(seed)
        mixture = self._chosen(self._mixture(params, self._channels(params)), seeds)
        x: list[Any] = []
        for c in range(mixture.means.shape[-2]):
            v = ops.stack(x, axis=-2) / 127.5 - 1.0 if x else None
            u = keras.random.uniform(ops.shape(mixture.logits), 1e-6, 1.0 - 1e-6, seed=seeds, dtype="float32")
            noise = ops.exp(mixture.log_scales[..., c, :]) * (ops.log(u) - ops.log1p(-u))
            x.append(to_served((_mean(mixture, v, c) + noise + 1.0) * 127.5))
        return ops.concatenate(x, axis=-1)

    def _chosen(self, mixture: _Mixture, seeds: Any) -> _Mixture:
        """One component for each pixel: the same fields with M = 1."""
        logits = mixture.logits
        drawn = keras.random.categorical(ops.reshape(logits, (-1, self.components)), 1, seed=seeds)
        index = ops.reshape(ops.cast(drawn, "int32"), (*ops.shape(logits)[:-1], 1))
        rows = index[..., None, :]

        def pick(field: Any) -> Any:
            shape = (*ops.shape(field)[:-1], 1)
            return ops.take_along_axis(field, ops.broadcast_to(rows, shape), axis=-1)

        return _Mixture(ops.take_along_axis(logits, index, axis=-1), *(pick(field) for field in mixture[1:]))

    def _mixture(self, params: Any, channels: int) -> _Mixture:
        m, pairs = self.components, channels * (channels - 1) // 2
        if params.shape[-1] != self.outputs(channels):
            raise ValueError(
                f"{self.name}: {params.shape[-1]} parameters a pixel; expected {self.outputs(channels)} for {channels} "
                f"channels and {m} components."
            )
        fields = ops.reshape(ops.cast(params, "float32"), (*ops.shape(params)[:-1], params.shape[-1] // m, m))
        return _Mixture(
            logits=fields[..., 0, :],
            means=fields[..., 1 : 1 + channels, :],
            log_scales=ops.clip(fields[..., 1 + channels : 1 + 2 * channels, :], MIN_LOG_SCALE, MAX_LOG_SCALE),
            slopes=ops.tanh(fields[..., 1 + 2 * channels : 1 + 2 * channels + pairs, :]),
        )

    def _channels(self, params: Any) -> int:
        """The number of channels whose `outputs` this is."""
        outputs = params.shape[-1]
        return next((c for c in range(1, outputs + 1) if self.outputs(c) >= outputs), 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "components": self.components}


def _mean(mixture: _Mixture, v: Any, channel: int) -> Any:
    """Means `[batch, height, width, M]` of a channel, given the channels before it `v` `[..., >= channel, M or 1]`."""
    mean = mixture.means[..., channel, :]
    first = channel * (channel - 1) // 2
    for earlier in range(channel):
        mean = mean + mixture.slopes[..., first + earlier, :] * v[..., earlier, :]
    return mean


def _log_bin(x: Any, error: Any, log_scale: Any) -> Any:
    """log mass of the bin of `x`: `error` = v - mu, both on the scale v, all `[..., C, M]` (x: `[..., C, 1]`)."""
    inverse = ops.exp(-log_scale)
    above = -ops.softplus(-inverse * (error + HALF_BIN))
    below = -ops.softplus(inverse * (error - HALF_BIN))
    width = log_one_minus_exp(2.0 * HALF_BIN * inverse)
    has_lower, has_upper = x > 0.5, x < MAX_VALUE - 0.5
    inside = ops.where(has_lower & has_upper, width, 0.0)
    return ops.where(has_upper, above, 0.0) + ops.where(has_lower, below, 0.0) + inside


def _clipped_mean(mean: Any, scale: Any) -> Any:
    """E[clip(v, -1, 1)] of a logistic: -1 + integral of 1 - F over -1..1, in closed form."""
    return -1.0 + scale * (ops.softplus((mean + 1.0) / scale) - ops.softplus((mean - 1.0) / scale))
