"""z_q and speaker -> features of every sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.audio.jitter import TimeJitter
from vq_vae_tf.modalities.audio.residual import DilatedStack


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class AudioDecoder(keras.layers.Layer):
    """Residual blocks at the rate of the codes, then transposed convolutions up to the rate of the samples.

    z_q `[batch, frames, dim]` and `condition["label"]`, int32 `[batch]`, the speaker -> `[batch, frames * hop,
    outputs]`: the waveform itself, or the map that a WaveNet is conditioned on, as the likelihood has it.
    Equation: at every stage, and before the last convolution, h <- h (1 + G_i[speaker]) + S_i[speaker], so that the
    codes need not say who speaks.
    Paper: sections 4.2 and 4.3: the decoder is conditioned on the latents and on the speaker.

    Args:
        outputs: features of a sample.
        strides: of the encoder; undone in reverse.
        units: hidden units; each stage of the upsampling has half of those before it, down to 16.
        residual_units: units inside a residual block.
        residual_blocks: how many at the rate of the codes; each stage of the upsampling has one more.
        num_speakers: 0: not conditioned.
        jitter: see `TimeJitter`.

    Raises:
        ValueError: no `condition["label"]` although there are speakers.
    """

    def __init__(
        self,
        outputs: int,
        strides: Sequence[int] = (2, 2, 2, 2, 2, 2),
        units: int = 128,
        residual_units: int = 32,
        residual_blocks: int = 2,
        num_speakers: int = 0,
        jitter: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outputs, self.units, self.strides = outputs, units, tuple(int(s) for s in strides)
        self.residual_units, self.residual_blocks, self.num_speakers = residual_units, residual_blocks, num_speakers
        self.hop, policy = math.prod(self.strides), self.dtype_policy
        self.widths = [max(min(units, 16), units >> i) for i in range(len(self.strides))]
        self.jitter = TimeJitter(jitter, name="jitter") if jitter else None
        self.enter = keras.layers.Conv1D(units, 3, padding="same", name="enter", dtype=policy)
        self.residual = DilatedStack(units, residual_units, residual_blocks, name="residual", dtype=policy)
        self.ups = [
            keras.layers.Conv1DTranspose(w, 2 * s, s, padding="same", activation="relu", name=f"up_{i}", dtype=policy)
            for i, (w, s) in enumerate(zip(self.widths, reversed(self.strides), strict=True))
        ]
        self.refine = [
            DilatedStack(w, min(w, residual_units), 1, name=f"refine_{i}", dtype=policy)
            for i, w in enumerate(self.widths)
        ]
        self.leave = keras.layers.Conv1D(outputs, 7, padding="same", name="leave", dtype=policy)
        self.speakers = [
            keras.layers.Embedding(num_speakers, 2 * w, name=f"speaker_{i}", dtype=policy)
            for i, w in enumerate([units, *self.widths, (self.widths or [units])[-1]] if num_speakers else [])
        ]

    @property
    def takes_condition(self) -> bool:
        """Whether `call` needs the speaker."""
        return self.num_speakers > 0

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates every weight."""
        shape = tuple(input_shape)
        for layer in [self.enter, self.residual]:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        for up, refine in zip(self.ups, self.refine, strict=True):
            up.build(shape)
            shape = up.compute_output_shape(shape)
            refine.build(shape)
        self.leave.build(shape)
        for table in self.speakers:
            table.build()
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`[batch, frames * hop, outputs]`."""
        return (input_shape[0], None if input_shape[1] is None else input_shape[1] * self.hop, self.outputs)

    def call(self, z_q: Any, condition: dict[str, Any] | None = None, training: bool | None = None) -> Any:
        """Features of every sample."""
        label = (condition or {}).get("label")
        if self.num_speakers and label is None:
            raise ValueError(f"{self.name}: no condition['label'] came; expected the speaker, int32 [batch].")
        voices = [table(ops.cast(label, "int32"))[:, None, :] for table in self.speakers]
        h = self.enter(self.jitter(z_q, training=training) if self.jitter else z_q)
        h = self.residual(_voiced(h, voices[0]) if voices else h)
        for i, (up, refine) in enumerate(zip(self.ups, self.refine, strict=True)):
            h = up(h)
            h = refine(_voiced(h, voices[i + 1]) if voices else h)
        return self.leave(_voiced(h, voices[-1]) if voices else h)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("outputs", "strides", "units", "residual_units", "residual_blocks", "num_speakers")
        mine = {"jitter": self.jitter.rate if self.jitter else 0.0}
        return {**super().get_config(), **{name: getattr(self, name) for name in names}, **mine}


def _voiced(h: Any, voice: Any) -> Any:
    gain, shift = ops.split(voice, 2, axis=-1)
    return h * (1.0 + gain) + shift
