"""Waveforms -> log-mel frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.ops.cosine import cosine_transform

FLOOR = 1e-6
"""Of the power in a band: below it lies the rounding of 16-bit sound."""
LIFT = 0.65
"""Exponent of (1 + k), the weight of cepstrum k: about the root of the inverse standard deviation in speech."""
_LOWEST = 60.0  # Hz


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class LogMel(keras.layers.Layer):
    """Logarithms of the power in mel bands: `[batch, time]` in [-1, 1] -> `[batch, time / hop, bins]`, float32.

    Equation: L_tb = log(sum_f M_fb |STFT_tf|^2 + floor), M triangles evenly spaced on the mel scale
    1127 log(1 + f / 700); if `centred`, less the mean over time of every band where there is sound: so neither the
    microphone nor the long-term voice is told. Frame t is centred on sample (t + 1/2) hop.

    Args:
        rate: samples per second.
        hop: samples between frames; a frame sees 2.5 hops (25 ms every 10 ms).
        bins: mel bands.
        centred: subtract the mean over time.
    """

    def __init__(self, rate: int, hop: int, bins: int = 40, centred: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.hop, self.bins, self.centred = rate, hop, bins, centred
        self.size = hop * 5 // 2
        self.fft_size = 1 << (self.size - 1).bit_length()

    def deaf_bands(self) -> int:
        """How many bands lie between two frequencies of a frame, so that they hear nothing."""
        return int((mel_matrix(self.bins, self.fft_size, self.rate).max(axis=0) == 0.0).sum())

    def build(self, input_shape: Any = None) -> None:
        """Nothing to create."""
        del input_shape
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`[batch, time / hop, bins]`."""
        return (input_shape[0], None if input_shape[1] is None else input_shape[1] // self.hop, self.bins)

    def call(self, x: Any, mean: Any = None, change: Callable[[Any], Any] | None = None) -> Any:
        """The frames; `mean` `[batch, 1, bins]`: what is subtracted if x is but a part of a sound.

        change: what happens to the frames before their mean is subtracted.
        """
        power = self._power(x)
        frames = ops.log(power + FLOOR)
        return self.centre(frames if change is None else change(frames), power, mean)

    def centre(self, frames: Any, power: Any, mean: Any = None) -> Any:
        """Frames less their mean if `centred`, else as they are; sound is where `power` `[batch, time, bins]` is."""
        if not self.centred:
            return frames
        if mean is None:
            total, count = self._totals(frames, power)
            mean = total / ops.maximum(count, 1.0)
        return frames - mean

    def totals(self, x: Any, first: int, last: int) -> tuple[Any, Any]:
        """Sum `[batch, 1, bins]` and number `[batch, 1, 1]` of those of the frames first..last-1 in which is sound."""
        power = self._power(x)[:, first:last]
        return self._totals(ops.log(power + FLOOR), power)

    def _totals(self, frames: Any, power: Any) -> tuple[Any, Any]:
        heard = ops.cast(ops.max(power, axis=-1, keepdims=True) > FLOOR, "float32")
        return ops.sum(frames * heard, axis=1, keepdims=True), ops.sum(heard, axis=1, keepdims=True)

    def _power(self, x: Any) -> Any:
        x = ops.cast(x, "float32")
        margin = (self.fft_size - self.hop) // 2  # Keras lays the window into the middle of fft_size samples
        padded = ops.pad(x, [[0, 0], [margin, self.fft_size - self.hop - margin]])
        real, imaginary = ops.stft(padded, self.size, self.hop, self.fft_size, window="hann", center=False)
        return ops.matmul(ops.square(real) + ops.square(imaginary), mel_matrix(self.bins, self.fft_size, self.rate))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("rate", "hop", "bins", "centred")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def lifted_cepstra(bins: int, cepstra: int, lift: float = LIFT, scale: float = 2.0) -> np.ndarray:
    """The map of log-mel frames to cepstra of about one variance in speech, float32 `[bins, cepstra]`.

    Equation: column k is (1 + k)^lift / scale times row k of the orthonormal cosine transform.
    """
    weight = (1.0 + np.arange(cepstra)) ** lift / scale
    return (cosine_transform(bins)[:cepstra].T * weight).astype(np.float32)


def mel_matrix(bins: int, fft_size: int, rate: int) -> np.ndarray:
    """Triangles on the mel scale from 60 Hz to 95 % of the Nyquist frequency, float32 `[fft_size / 2 + 1, bins]`."""
    edges = mel_edges(bins, rate)
    f = np.arange(fft_size // 2 + 1)[:, None] * rate / fft_size
    rising, falling = (f - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - f) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def mel_edges(bins: int, rate: int) -> np.ndarray:
    """Where the triangles begin, peak and end, in Hz, `[bins + 2]`: band b peaks at b + 1."""
    low, high = mel(_LOWEST), mel(0.475 * rate)
    return 700.0 * np.expm1(np.linspace(low, high, bins + 2) / 1127.0)


def mel(f: Any) -> Any:
    """Place on the mel scale of a frequency in Hz."""
    return 1127.0 * np.log1p(f / 700.0)
