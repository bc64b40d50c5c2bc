"""A mixture of discretised logistics whose channels depend on each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from vq_vae_tf.modalities.image.likelihood.base import MAX_VALUE, Likelihood, to_served
from vq_vae_tf.ops.tails import log_one_minus_exp

HALF_BIN = 1.0 / MAX_VALUE
"""Half a pixel value on the scale v = x / 127.5 - 1."""
MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 7.0
START_LOG_SCALES = -4.5, -2.5
"""Of the first and the last component: between 1.4 and 10 of the 256 values."""


class _Mixture(NamedTuple):
    """Parameters, float32, M components, C channels, P pixels of the batch.

    Pixels are the last axis: it is the long one, and a pass over rows of a few numbers costs several times as much.
    """

    logits: Any  # [M, P]
    means: list[Any]  # C of [M, P]
    log_scales: list[Any]  # C of [M, P]
    slopes: list[Any]  # C (C - 1) / 2 of [M, P]: channel 1 on 0, 2 on 0, 2 on 1, ...


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class DiscretizedLogisticMixture(Likelihood):
    """A mixture over whole pixels; in a component, each channel's mean is linear in the channels before it.

    Equation: p(x_pixel|z) = sum_m pi_m prod_c [F((v_c + h - mu_cm) / s_cm) - F((v_c - h - mu_cm) / s_cm)],
    mu_cm = mean_cm + sum_{d<c} tanh(slope_cdm) (v_d - mean_dm), F the logistic function, v = x / 127.5 - 1 and
    h = 1 / 255; the bins of 0 and 255 take the tails.
    Paper: PixelCNN++ (arXiv 1701.05517), section 2.1 and 2.2.

    Differs from the paper: a bin's mass is F(b) - F(a) = F(b) F(-a) (1 - exp(a - b)), exact in logarithms, where the
    published code falls back to a density; log s is clipped above as well as below. Slopes multiply what an earlier
    channel is off its mean by, not its value: the same distributions, but a slope can change without a mean that makes
    up for it, and what an error in red says of green is learnt in a few steps.

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

    def location(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Likelihood`: every mean is 2 u, the scale v; widths differ, so that components can part."""
        m, matrix, bias = (
            self.components,
            np.zeros((channels, self.outputs(channels))),
            np.zeros(self.outputs(channels)),
        )
        for c in range(channels):
            matrix[c, (1 + c) * m : (2 + c) * m] = 2.0
        bias[(1 + channels) * m : (1 + 2 * channels) * m] = np.tile(np.linspace(*START_LOG_SCALES, m), channels)
        return matrix, bias

    def log_prob_map(self, params: Any, x: Any) -> Any:
        """log p(pixel | params) in nats, `[batch, height, width]`."""
        mixture = self._mixture(params, x.shape[-1])
        values = _channels_first(x)
        v = [value / 127.5 - 1.0 for value in values]
        each = ops.log_softmax(mixture.logits, axis=0)
        for c, value in enumerate(values):
            each = each + _log_bin(value, v[c] - _mean(mixture, v, c), mixture.log_scales[c])
        return ops.reshape(ops.logsumexp(each, axis=0), ops.shape(x)[:-1])

    def mean(self, params: Any) -> Any:
        """E[x | params]: exact but for rounding in the first channel; later ones see the earlier ones at their mean."""
        mixture = self._mixture(params, self._channels(params))
        v: list[Any] = []
        for c, log_scale in enumerate(mixture.log_scales):
            v.append(_clipped_mean(_mean(mixture, v, c), ops.exp(log_scale)))
        weights = ops.softmax(mixture.logits, axis=0)
        return _channels_last([(ops.sum(weights * one, axis=0) + 1.0) * 127.5 for one in v], params)

    def sample(self, params: Any, seed: Any = None) -> Any:
        """Draws a component for each pixel, then the channels in order."""
        seeds = seed if isinstance(seed, keras.random.SeedGenerator) else keras.random.SeedGenerator(seed)
        mixture = self._chosen(self._mixture(params, self._channels(params)), seeds)
        x: list[Any] = []
        for c, log_scale in enumerate(mixture.log_scales):
            u = keras.random.uniform(ops.shape(log_scale), 1e-6, 1.0 - 1e-6, seed=seeds, dtype="float32")
            noise = ops.exp(log_scale) * (ops.log(u) - ops.log1p(-u))
            mean = _mean(mixture, [value / 127.5 - 1.0 for value in x], c)
            x.append(to_served((mean + noise + 1.0) * 127.5))
        return _channels_last([value[0] for value in x], params)

    def _chosen(self, mixture: _Mixture, seeds: Any) -> _Mixture:
        """One component for each pixel: the same fields with M = 1."""
        drawn = keras.random.categorical(ops.transpose(mixture.logits), 1, seed=seeds)
        chosen = ops.one_hot(drawn[:, 0], self.components, axis=0, dtype="bool")

        def pick(field: Any) -> Any:
            return ops.sum(ops.where(chosen, field, 0.0), axis=0, keepdims=True)

        return _Mixture(pick(mixture.logits), *([pick(field) for field in fields] for fields in mixture[1:]))

    def _mixture(self, params: Any, channels: int) -> _Mixture:
        m, pairs = self.components, channels * (channels - 1) // 2
        if params.shape[-1] != self.outputs(channels):
            raise ValueError(
                f"{self.name}: {params.shape[-1]} parameters a pixel; expected {self.outputs(channels)} for {channels} "
                f"channels and {m} components."
            )
        rows = ops.transpose(ops.reshape(ops.cast(params, "float32"), (-1, params.shape[-1])))
        fields = ops.split(rows, 1 + 2 * channels + pairs, axis=0)
        return _Mixture(
            logits=fields[0],
            means=fields[1 : 1 + channels],
            log_scales=[ops.clip(f, MIN_LOG_SCALE, MAX_LOG_SCALE) for f in fields[1 + channels : 1 + 2 * channels]],
            slopes=[ops.tanh(field) for field in fields[1 + 2 * channels :]],
        )

    def _channels(self, params: Any) -> int:
        """The number of channels whose `outputs` this is."""
        outputs = params.shape[-1]
        return next((c for c in range(1, outputs + 1) if self.outputs(c) >= outputs), 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "components": self.components}


def _channels_first(x: Any) -> list[Any]:
    """`[..., C]` -> C rows float32 `[1, P]`."""
    rows = ops.transpose(ops.reshape(ops.cast(x, "float32"), (-1, x.shape[-1])))
    return list(ops.split(rows, x.shape[-1], axis=0))


def _channels_last(channels: list[Any], params: Any) -> Any:
    """C rows `[P]` -> `[batch, height, width, C]`, as many as `params` has."""
    return ops.reshape(ops.stack(channels, axis=-1), (*ops.shape(params)[:-1], len(channels)))


def _mean(mixture: _Mixture, v: list[Any], channel: int) -> Any:
    """Means `[M, P]` of a channel, given the channels before it: rows `v` of `[M or 1, P]`."""
    mean = mixture.means[channel]
    first = channel * (channel - 1) // 2
    for earlier in range(channel):
        mean = mean + mixture.slopes[first + earlier] * (v[earlier] - mixture.means[earlier])
    return mean


def _log_bin(x: Any, error: Any, log_scale: Any) -> Any:
    """log mass `[M, P]` of the bin of `x` `[1, P]`: `error` = v - mu `[M, P]`, on the scale v."""
    inverse = ops.exp(-log_scale)
    center, half = inverse * error, inverse * HALF_BIN
    has_lower, has_upper = ops.cast(x > 0.5, "float32"), ops.cast(x < MAX_VALUE - 0.5, "float32")
    tails = has_upper * ops.softplus(-(center + half)) + has_lower * ops.softplus(center - half)
    return has_lower * has_upper * log_one_minus_exp(2.0 * half) - tails


def _clipped_mean(mean: Any, scale: Any) -> Any:
    """E[clip(v, -1, 1)] of a logistic: -1 + integral of 1 - F over -1..1, in closed form."""
    return -1.0 + scale * (ops.softplus((mean + 1.0) / scale) - ops.softplus((mean - 1.0) / scale))
