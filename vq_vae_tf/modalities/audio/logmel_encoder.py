"""x -> z_e for waveforms, seen as log-mel frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.modalities.audio.lengths import check_waveforms
from vq_vae_tf.modalities.audio.logmel import FLOOR, LogMel, lifted_cepstra
from vq_vae_tf.modalities.audio.residual import DilatedStack
from vq_vae_tf.modalities.audio.voices import OtherVoices

_SPREAD = 2.5  # about the standard deviation of log-mel frames of speech
_MIDDLE = -5.0  # about their mean, where it is not subtracted


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class LogMelEncoder(keras.layers.Layer):
    """Log-mel frames, strided convolutions, dilated residual blocks, a 1x1 projection.

    Waveform `[batch, time]` in [-1, 1] -> z_e `[batch, time / product of strides, embedding_dim]`.
    After: Chorowski et al. 2019 (arXiv 1901.08810), section III: phoneme work wants spectral features in.

    Args:
        embedding_dim: dimension D of z_e.
        rate: samples per second.
        strides: the first is the hop of the frames in samples, the others those of the convolutions.
        units: hidden units.
        residual_units: units inside a residual block.
        residual_blocks: how many.
        centred: see `LogMel`. Without it a frame of z_e depends on what is around it alone, not on the whole sound.
        other_voices: stretch of frequency in training, see `OtherVoices`.
        cepstral: add a linear map of the frames under each code, which starts as their mean lifted cepstra while what
            the network says starts at zero: the codebook is then at first what k-means on cepstra would find.

    Raises:
        ValueError: if time is not a multiple of the product of the strides.
    """

    def __init__(
        self,
        embedding_dim: int,
        rate: int,
        strides: Sequence[int] = (160, 2, 2),
        units: int = 128,
        residual_units: int = 32,
        residual_blocks: int = 2,
        centred: bool = True,
        other_voices: float = 0.0,
        cepstral: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.embedding_dim, self.rate, self.units = embedding_dim, rate, units
        self.strides = tuple(int(s) for s in strides)
        self.residual_units, self.residual_blocks = residual_units, residual_blocks
        self.hop, policy = math.prod(self.strides), self.dtype_policy
        self.centred, self.other_voices, self.cepstral = centred, other_voices, cepstral
        self.frames = LogMel(rate, self.strides[0], centred=centred, name="frames", dtype="float32")
        self.voices = OtherVoices(rate, self.frames.bins, other_voices, name="voices", dtype="float32")
        self.enter = keras.layers.Conv1D(units, 3, padding="same", activation="relu", name="enter", dtype=policy)
        self.strided = [
            keras.layers.Conv1D(units, s, s, activation="relu", name=f"strided_{i}", dtype=policy)
            for i, s in enumerate(self.strides[1:])
        ]
        self.residual = DilatedStack(units, residual_units, residual_blocks, name="residual", dtype=policy)
        start = "zeros" if cepstral else "glorot_uniform"
        self.project = keras.layers.Conv1D(embedding_dim, 1, kernel_initializer=start, name="project", dtype=policy)
        self.across = [self._cepstral_map()] if cepstral else []

    def _cepstral_map(self) -> keras.layers.Layer:
        """The mean lifted cepstra of the frames under each code, to be learned on from there."""
        width, cepstra = self.hop // self.strides[0], min(self.embedding_dim, self.frames.bins)
        kernel = np.zeros((width, self.frames.bins, self.embedding_dim), np.float32)
        kernel[:, :, :cepstra] = lifted_cepstra(self.frames.bins, cepstra) * _SPREAD / width

        def start(shape: Any, dtype: Any = None) -> Any:
            return ops.reshape(ops.cast(kernel, dtype or "float32"), shape)

        return keras.layers.Conv1D(
            self.embedding_dim,
            width,
            width,
            use_bias=False,
            kernel_initializer=start,
            name="across",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions after checking the length."""
        check_waveforms(self.name, input_shape, self.hop)
        shape = tuple(input_shape)
        for layer in [self.frames, self.voices, self.enter, *self.strided, self.residual, self.project]:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        for layer in self.across:
            layer.build((input_shape[0], None, self.frames.bins))
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of z_e."""
        return (input_shape[0], None if input_shape[1] is None else input_shape[1] // self.hop, self.embedding_dim)

    def call(self, x: Any, mean: Any = None, training: bool | None = None) -> Any:
        """z_e of waveforms; `mean`: see `LogMel`."""
        return self._encoded(self.frames(x, mean=mean, change=lambda heard: self.voices(heard, training=training)))

    def again(self, frames: Any) -> Any:
        """z_e of log-mel frames `[batch, time, bins]` that a decoder made, as they are: of no other voice."""
        frames = ops.cast(frames, "float32")
        return self._encoded(self.frames.centre(frames, ops.exp(frames) - FLOOR))

    def _encoded(self, frames: Any) -> Any:
        heard = ops.cast((frames if self.centred else frames - _MIDDLE) / _SPREAD, self.compute_dtype)
        h = heard
        for layer in [self.enter, *self.strided, self.residual, self.project]:
            h = layer(h)
        for layer in self.across:
            h = h + layer(heard)
        return h

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ["embedding_dim", "rate", "strides", "units", "residual_units", "residual_blocks"]
        names += ["centred", "other_voices", "cepstral"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
