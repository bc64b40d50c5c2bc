"""What every p(x | z_q) for waveforms gives."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import keras


class AudioLikelihood(keras.layers.Layer):
    """A distribution over waveforms `[batch, time]` in [-1, 1] whose parameters a decoder gives.

    Parameters come as `[batch, time, outputs]`, in any float dtype; all else is float32.
    """

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Parameters of each sample."""

    @abstractmethod
    def log_prob(self, params: Any, x: Any) -> Any:
        """log p(x | params) in nats, `[batch]`."""

    @abstractmethod
    def mean(self, params: Any) -> Any:
        """The waveform to hear for `params`, float32 `[batch, time]`."""

    @abstractmethod
    def sample(self, params: Any, seed: Any = None) -> Any:
        """Draws x, float32 `[batch, time]`."""

    def loss(self, params: Any, x: Any, training: bool | None = None) -> Any:
        """What training minimises, nats `[batch]`: -log p(x | params), unless a likelihood says otherwise."""
        del training
        return -self.log_prob(params, x)
