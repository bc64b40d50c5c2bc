"""Log-mel frames in place of samples: what was said, not how the wave went."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.modalities.audio.likelihood.base import AudioLikelihood
from vq_vae_tf.modalities.audio.logmel import FLOOR, LIFT, LogMel, lifted_cepstra, mel_matrix

_ROUNDS = 16
_MOMENTUM = 0.99
PHASE_REACH = 3 * _ROUNDS
"""Frames on either side that the waveform of a frame depends on: each round looks 2.5 frames further."""


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class LogMelGaussian(AudioLikelihood):
    """The decoder gives log-mel frames; their cepstra are normal around those of the sound.

    Equation: c = D L, D the orthonormal cosine transform over bins; log p = sum over frames and k < cepstra of
    log N(c_k(x); c_k(params), (scale / lifter_k)^2), lifter_k = (1 + k)^lift: without the lifter the loudness, which is
    most of the variance and least of the phone, would take most codes.
    Parameters come as `[batch, frames, bins]`. A density of frames, not of samples: not to be compared with others.
    Differs from the paper: it has WaveNet here; for phonemes the waveform is not asked for, and this trains in minutes.

    Args:
        rate, hop, bins: of the frames: see `LogMel`.
        cepstra: coefficients that are compared.
        lift: exponent of their weight.
        scale: standard deviation of the first of them.

    Raises:
        ValueError: more cepstra than bins.
    """

    def __init__(
        self,
        rate: int,
        hop: int,
        bins: int = 40,
        cepstra: int = 20,
        lift: float = LIFT,
        scale: float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 1 <= cepstra <= bins:
            raise ValueError(f"{self.name}: cepstra={cepstra}; expected 1 to bins={bins}: there are no more.")
        self.rate, self.hop, self.bins = rate, hop, bins
        self.cepstra, self.lift, self.scale = cepstra, lift, scale
        self.frames = LogMel(rate, hop, bins, centred=False, name="frames")
        self.transform = lifted_cepstra(bins, cepstra, lift, scale)
        weight = (1.0 + np.arange(cepstra)) ** lift / scale
        self.constant = float(np.sum(0.5 * math.log(2 * math.pi) - np.log(weight)))

    def build(self, input_shape: Any = None) -> None:
        """Nothing to create."""
        del input_shape
        self.frames.build()
        self.built = True

    @property
    def outputs(self) -> int:
        """Bins of a frame."""
        return self.bins

    def log_prob(self, params: Any, x: Any) -> Any:
        """See the class."""
        error = ops.matmul(self.frames(x) - ops.cast(params, "float32"), self.transform)
        frames = ops.cast(ops.shape(params)[1], "float32")
        return -0.5 * ops.sum(ops.square(error), axis=(1, 2)) - self.constant * frames

    def mean(self, params: Any) -> Any:
        """A waveform with about these frames (Griffin and Lim 1984, fast: Perraudin et al. 2013).

        float32 `[batch, frames * hop]`.
        """
        power = ops.maximum(ops.exp(ops.cast(params, "float32")) - FLOOR, 0.0)
        matrix = mel_matrix(self.bins, self.frames.fft_size, self.rate)
        spread = matrix / np.maximum(np.square(matrix).sum(axis=0), 1e-9)
        return self._waveform(ops.sqrt(ops.matmul(power, spread.T)))

    def sample(self, params: Any, seed: Any = None) -> Any:
        """The waveform of the mean: a draw would add noise to it."""
        del seed
        return self.mean(params)

    def _waveform(self, magnitudes: Any) -> Any:
        """Phases that fit the magnitudes, from zero phase, by so many rounds of transforms there and back.

        Each round takes the phases of s_n + momentum (s_n - s_{n-1}), s the spectra of the waveform so far.
        """
        size, hop, fft_size = self.frames.size, self.hop, self.frames.fft_size
        length, margin = ops.shape(magnitudes)[1] * hop, (fft_size - hop) // 2

        def waveform(real: Any, imaginary: Any) -> Any:
            whole, spectrum = length + fft_size - hop, (real, imaginary)
            return ops.istft(spectrum, size, hop, fft_size, length=whole, window="hann", center=False)

        def closer(_: Any, state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
            x, real_before, imaginary_before = state
            real, imaginary = ops.stft(x, size, hop, fft_size, window="hann", center=False)
            ahead = real + _MOMENTUM * (real - real_before), imaginary + _MOMENTUM * (imaginary - imaginary_before)
            norm = magnitudes / ops.sqrt(ops.square(ahead[0]) + ops.square(ahead[1]) + 1e-9)
            return ops.reshape(waveform(ahead[0] * norm, ahead[1] * norm), ops.shape(x)), real, imaginary

        nothing = ops.zeros_like(magnitudes)
        x, _, _ = ops.fori_loop(0, _ROUNDS - 1, closer, (waveform(magnitudes, nothing), nothing, nothing))
        return x[:, margin : margin + length]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("rate", "hop", "bins", "cepstra", "lift", "scale")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
