"""Sounds: how far apart their spectra are, and how a page shows them."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vq_vae_tf.evaluation.grids import encode_png
from vq_vae_tf.evaluation.report import Notes, Picture

_FLOOR = 1e-3  # of a magnitude: about what the rounding of 16-bit sound leaves in a frame
_RANGE = 60.0  # dB shown
_FRAME = 4  # pixels, at most
COLUMN = 432
"""CSS pixels of one of two columns."""


def spectrogram(x: np.ndarray, size: int = 256) -> np.ndarray:
    """Decibels `[..., frames, size / 2 + 1]` of sounds `[..., time]`: Hann frames of `size` samples every size / 4."""
    x = np.asarray(x, np.float64)
    x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(size // 2, size // 2)])
    frames = np.lib.stride_tricks.sliding_window_view(x, size, axis=-1)[..., :: size // 4, :]
    return 20.0 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(size))) + _FLOOR)


def log_spectral_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Decibels `[batch]` between sounds `[batch, time]`.

    Equation: mean over frames of sqrt(mean over frequencies of (S(x) - S(y))^2), S in decibels.
    """
    return np.sqrt(np.mean((spectrogram(x) - spectrogram(y)) ** 2, axis=-1)).mean(axis=-1)


def spectrogram_figure(x: np.ndarray, alt: str) -> Picture:
    """The spectrogram of one sound `[time]`, whole pixels a frame or whole frames a pixel: a long one fits as well."""
    picture = _narrowed(spectrogram_picture(x), COLUMN)
    picture = np.repeat(picture, min(_FRAME, COLUMN // picture.shape[1]), axis=1)
    return Picture(encode_png(picture), alt, pixels=picture.shape[1], crisp=True, scrolls=True)


def _narrowed(picture: np.ndarray, width: int) -> np.ndarray:
    """Means of so many columns of a picture that at most `width` are left; the last may be of fewer."""
    first = np.arange(0, picture.shape[1], -(-picture.shape[1] // width))
    sums = np.add.reduceat(picture, first, axis=1, dtype=np.int64)
    return np.rint(sums / np.diff(first, append=picture.shape[1])[:, None]).astype(picture.dtype)


def spectrogram_picture(x: np.ndarray) -> np.ndarray:
    """One sound `[time]`, uint8 `[frequencies, frames, 3]`: time to the right, 60 dB from dark to light."""
    decibels = spectrogram(x)[:, ::-1].T
    shade = np.clip(1.0 + (decibels - max(float(decibels.max()), -20.0)) / _RANGE, 0.0, 1.0)
    red, green, blue = 255 * shade**1.2, 255 * shade**2.0, 60 + 120 * shade
    return np.stack([red, green, np.broadcast_to(blue, red.shape)], axis=-1).astype(np.uint8)


@dataclass(frozen=True)
class Sound:
    """A WAV file with its spectrogram."""

    name: str
    wav: bytes
    picture: Picture


@dataclass(frozen=True)
class Sounds:
    """Sounds to see and to hear, two in a row; one on a small page."""

    rows: Sequence[Sound]

    def html(self, notes: Notes) -> str:
        """A name, a spectrogram and a player each."""
        figures = "".join(
            f"<figure><figcaption>{html.escape(sound.name)}</figcaption>{sound.picture.html(notes)}"
            f'<audio controls preload="metadata" src="{_data(sound.wav)}"></audio></figure>'
            for sound in self.rows
        )
        return f'<div class="sounds">{figures}</div>'


def _data(wav: bytes) -> str:
    return "data:audio/wav;base64," + base64.b64encode(wav).decode("ascii")
