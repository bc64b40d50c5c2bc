"""All samples at once: a waveform whose spectra are right at several resolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.audio.likelihood.base import AudioLikelihood

FLOOR = 1e-5
"""Of the power of a frequency: below it lies the rounding of 16-bit sound, which no ear hears."""


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Spectral(AudioLikelihood):
    """The decoder's output is the waveform; training compares spectra, which do not mind a phase that nobody hears.

    Equation: loss / time = sum over sizes n of mean |log S_n(x) - log S_n(y)| / 2 + mean |S_n(x) - S_n(y)| 4 / sqrt(n),
    + waveform_weight * mean |x - y|, S_n the magnitudes of the Fourier transform of n samples every n / 4.
    log_prob is that of independent Laplace distributions around the waveform: it scores, it does not train.
    Differs from the paper: it has WaveNet here (`AutoregressiveWaveform`); this one decodes faster than real time.
    After: DDSP (arXiv 2001.04643), equation 4.

    Args:
        sizes: samples of the transforms, powers of two.
        waveform_weight: of the waveform's own error.
        scale: of the Laplace distribution, on the scale [-1, 1].
    """

    def __init__(
        self,
        sizes: Sequence[int] = (64, 128, 256, 512, 1024),
        waveform_weight: float = 1.0,
        scale: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sizes, self.waveform_weight, self.scale = tuple(sizes), waveform_weight, scale

    @property
    def outputs(self) -> int:
        """The sample itself."""
        return 1

    def log_prob(self, params: Any, x: Any) -> Any:
        """Sum over samples of -|x - y| / scale - log(2 scale)."""
        error = ops.abs(ops.cast(x, "float32") - self.mean(params))
        return -ops.sum(error / self.scale + math.log(2.0 * self.scale), axis=-1)

    def mean(self, params: Any) -> Any:
        """The waveform."""
        return ops.cast(params, "float32")[..., 0]

    def sample(self, params: Any, seed: Any = None) -> Any:
        """The waveform: a draw would add white noise to it."""
        del seed
        return self.mean(params)

    def loss(self, params: Any, x: Any, training: bool | None = None) -> Any:
        """See the class."""
        del training
        x, y = ops.cast(x, "float32"), self.mean(params)
        total = self.waveform_weight * ops.mean(ops.abs(x - y), axis=-1)
        for size in self.sizes:
            if size > x.shape[-1]:
                continue
            real, made = magnitudes(x, size), magnitudes(y, size)
            total = total + 0.5 * ops.mean(ops.abs(ops.log(real) - ops.log(made)), axis=(1, 2))
            total = total + 4.0 / math.sqrt(size) * ops.mean(ops.abs(real - made), axis=(1, 2))
        return total * x.shape[-1]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        mine = {"sizes": self.sizes, "waveform_weight": self.waveform_weight, "scale": self.scale}
        return {**super().get_config(), **mine}


def magnitudes(x: Any, size: int) -> Any:
    """Short-time Fourier magnitudes (Hann, hop size / 4): `[batch, time]` -> `[batch, frames, size / 2 + 1]`."""
    real, imaginary = ops.stft(x, size, size // 4, size, window="hann", center=True)
    return ops.sqrt(ops.square(real) + ops.square(imaginary) + FLOOR)
