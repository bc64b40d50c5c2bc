"""Other voices and other microphones, made of log-mel frames."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.modalities.audio.logmel import mel, mel_edges
from vq_vae_tf.modalities.audio.perturbation import Perturbation

_GAINS = (2.0, 1.0, 0.7, 0.5)
"""Standard deviations of the loudness and of the folds of a random microphone, in nats of power (1 is 4.3 dB)."""
_QUIET = (8.0, 14.0)
"""How far below the loudest band of a sound hiss may begin, in nats of power: 35 to 61 dB."""


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class OtherVoices(Perturbation):
    """In training, every example's frames are heard as if another person had spoken into another microphone.

    Equation: y_tb = log(exp(L_t,w(b) + sum_{k < 4} g_k cos(pi k (b + 1/2) / bins)) + hiss), w(b) the place of the band
    whose frequency is a times that of b, log a uniform in +-log(1 + stretch), g_k normal, hiss 35 to 61 dB below the
    loudest; between bands linearly. All that the decoder is asked for stays as it was: so codes tell neither voice nor
    microphone, and the decoder has to take both from the speaker's number.
    After: vocal tract length perturbation (Jaitly and Hinton 2013).
    Differs from the paper: there codes are kept from telling the speaker by their number alone.

    Args:
        rate: samples per second.
        bins: mel bands.
        stretch: of frequency, at most; 0: frames pass as they are.
        seed: of the draws.
    """

    def __init__(self, rate: int, bins: int, stretch: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__("stretch", stretch, seed, **kwargs)
        self.rate, self.bins, self.stretch = rate, bins, stretch

    def call(self, frames: Any, training: bool | None = None) -> Any:
        """Frames `[batch, time, bins]` as another voice's; in inference as they are."""
        if not training or not self.stretch:
            return frames
        batch = ops.shape(frames)[0]
        reach = math.log1p(self.stretch)
        factor = ops.exp(keras.random.uniform((batch, 1), -reach, reach, seed=self.seeds))
        gains = keras.random.normal((batch, 1, len(_GAINS)), seed=self.seeds)
        heard = self.stretched(frames, factor) + ops.matmul(gains, self._microphones())
        below = keras.random.uniform((batch, 1, 1), *_QUIET, seed=self.seeds)
        return ops.logaddexp(heard, ops.max(heard, axis=(1, 2), keepdims=True) - below)

    def stretched(self, frames: Any, factor: Any) -> Any:
        """Every band of `[batch, time, bins]` from that of `factor` `[batch, 1]` times its frequency."""
        edges = mel_edges(self.bins, self.rate)
        centres, first, step = edges[1:-1], mel(edges[1]), mel(edges[2]) - mel(edges[1])
        place = (1127.0 * ops.log1p(factor * centres.astype(np.float32) / 700.0) - first) / step
        place = ops.clip(place, 0.0, self.bins - 1.0)
        near = ops.abs(place[:, None, :] - np.arange(self.bins, dtype=np.float32)[None, :, None])
        return ops.matmul(frames, ops.maximum(1.0 - near, 0.0))

    def _microphones(self) -> np.ndarray:
        k, b = np.arange(len(_GAINS))[:, None], np.arange(self.bins)
        return (np.array(_GAINS)[:, None] * np.cos(np.pi / self.bins * k * (b + 0.5))).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("rate", "bins", "stretch", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
