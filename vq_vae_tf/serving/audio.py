"""What an exported audio model can be asked, and its export."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.serving.checks import as_many, at_most, in_range, of_shape, positive
from vq_vae_tf.serving.export import on_cpu, write_verified
from vq_vae_tf.serving.image import Answer, Endpoint
from vq_vae_tf.serving.versions import new_version
from vq_vae_tf.windows import LONGEST, added, by_windows, next_window

EXAMPLES = 2
_INTEGERS = tf.TensorSpec((None,), tf.int32)


class AudioEndpoints:
    """The functions behind the signatures of an audio model.

    Sounds are float32 `[batch, time]` in [-1, 1] at the model's rate, codes int32 `[batch, frames]`, speakers int32
    `[batch]`; time and frames are free. Sounds are filled up with silence to whole frames, and `reconstruct` gives back
    as many samples as came. A WaveNet decodes window by window of training, each begun from silence.

    Args:
        vqvae: a built `VQVAE` over waveforms.
        prior: p(z) over its codes, or None: then there is no `sample`.
        window: samples of an example.
        rate: samples a second.
        num_speakers: how many the decoder knows.
        xla: compile the loops over codes and samples with XLA.
    """

    def __init__(self, vqvae: Any, prior: Any, window: int, rate: int, num_speakers: int, xla: bool = True) -> None:
        self.vqvae, self.prior, self.rate, self.num_speakers = vqvae, prior, rate, num_speakers
        self.hop, self.num_codes = vqvae.encoder.hop, int(vqvae.quantizer.num_codes)
        self.window, self.looping = window // self.hop, hasattr(vqvae.likelihood, "network")
        codes, label = tf.TensorSpec((None, self.window if self.looping else None), tf.int32), _INTEGERS
        self._decode = tf.function(self._decoded, [codes, label], autograph=False, jit_compile=xla and self.looping)
        drawn = [tf.TensorSpec((), tf.int32), label, tf.TensorSpec(())]
        self._first = tf.function(self._drawn, drawn, autograph=False, jit_compile=xla)
        before = [tf.TensorSpec((None, self.window), tf.int32), tf.TensorSpec((), tf.int32)]
        self._next = tf.function(self._drawn_on, before + drawn, autograph=False, jit_compile=xla)

    def endpoints(self) -> dict[str, Endpoint]:
        """Name of the signature -> function and arguments; the first is also `serving_default`."""
        audio = tf.TensorSpec((None, None), tf.float32, name="audio")
        codes = tf.TensorSpec((None, None), tf.int32, name="codes")
        speaker = tf.TensorSpec((None,), tf.int32, name="speaker")
        given: dict[str, Endpoint] = {
            "reconstruct": (self.reconstruct, [audio, speaker]),
            "encode": (self.encode, [audio]),
            "decode": (self.decode, [codes, speaker]),
        }
        if self.prior is not None:
            seed, temperature = tf.TensorSpec((), tf.int32, name="seed"), tf.TensorSpec((), name="temperature")
            given["sample"] = (self.sample, [seed, speaker, tf.TensorSpec((), name="seconds"), temperature])
        return given

    def encode(self, audio: tf.Tensor) -> Answer:
        """Sounds -> codes."""
        audio = of_shape(audio, (None, None), "audio")
        fine = tf.reduce_all(tf.math.is_finite(audio))
        with tf.control_dependencies([tf.debugging.Assert(fine, ["audio: expected finite numbers in [-1, 1]"])]):
            audio = tf.clip_by_value(audio, -1.0, 1.0)
        return {"codes": self.vqvae.encode(tf.pad(audio, [[0, 0], [0, -tf.shape(audio)[1] % self.hop]]))}

    def decode(self, codes: tf.Tensor, speaker: tf.Tensor) -> Answer:
        """Codes in the voice of a speaker -> sounds."""
        codes = in_range(of_shape(codes, (None, None), "codes"), self.num_codes, "codes")
        return {"audio": self._sounds(codes, as_many(self._checked(speaker), codes, "speaker and codes"))}

    def reconstruct(self, audio: tf.Tensor, speaker: tf.Tensor) -> Answer:
        """Sounds -> the same in the voice of a speaker, of the same length."""
        speaker = as_many(self._checked(speaker), audio, "speaker and audio")
        made = self._sounds(self.encode(audio)["codes"], speaker)
        return {"audio": made[:, : tf.shape(audio)[1]]}

    def sample(self, seed: tf.Tensor, speaker: tf.Tensor, seconds: tf.Tensor, temperature: tf.Tensor) -> Answer:
        """A drawn sound of so many seconds in each of the voices."""
        speaker, seconds = self._checked(speaker), at_most(positive(seconds, "seconds"), LONGEST, "seconds")
        samples = tf.maximum(1, tf.cast(tf.round(tf.cast(seconds, tf.float64) * self.rate), tf.int32))
        frames = (samples + self.hop - 1) // self.hop
        codes = self._codes(frames, seed, speaker, positive(temperature, "temperature"))
        return {"audio": self._sounds(codes, speaker)[:, :samples], "codes": codes}

    def _checked(self, speaker: tf.Tensor) -> tf.Tensor:
        return in_range(speaker, self.num_speakers, "speaker")

    def _sounds(self, codes: tf.Tensor, speaker: tf.Tensor) -> tf.Tensor:
        return by_windows(self._decode, codes, speaker, self.window) if self.looping else self._decode(codes, speaker)

    def _decoded(self, codes: tf.Tensor, speaker: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(self.vqvae.decode(codes, {"label": speaker}), -1.0, 1.0)

    def _codes(self, frames: tf.Tensor, *settings: tf.Tensor) -> tf.Tensor:
        """`frames` codes, window by window."""
        first = self._first(*settings)

        def go_on(number: tf.Tensor, last: tf.Tensor, codes: tf.Tensor) -> tuple[tf.Tensor, ...]:
            window = self._next(last, number, *settings)
            return number + 1, window, tf.concat([codes, added(window)], axis=1)

        _, _, codes = tf.while_loop(
            lambda number, last, codes: tf.shape(codes)[1] < frames,
            go_on,
            (tf.constant(1), first, first),
            (tf.TensorShape(()), first.shape, tf.TensorShape((None, None))),
        )
        return codes[:, :frames]

    def _drawn(self, seed: tf.Tensor, speaker: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        return self.prior.sample(tf.shape(speaker)[0], seed, {"label": speaker}, temperature)

    def _drawn_on(self, last: tf.Tensor, number: tf.Tensor, seed: tf.Tensor, *settings: tf.Tensor) -> tf.Tensor:
        speaker, temperature = settings
        return next_window(self.prior, last, number, seed, {"label": speaker}, temperature)


def export_audio_model(
    vqvae: Any,
    prior: Any,
    directory: str | os.PathLike[str],
    name: str,
    *,
    sounds: np.ndarray,
    rate: int,
    num_speakers: int,
    version: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    xla: bool = True,
) -> Path:
    """Writes `<directory>/<name>/<version>`, a SavedModel with the signatures of `AudioEndpoints`, verified.

    sounds: float32 `[n, window]` to compare on; the first two are used. rate: samples per second.

    Raises:
        UserError: the version exists, the folder cannot be written, or the clean process gives other results.
    """
    folder = new_version(directory, name, version)
    sounds = np.asarray(sounds, np.float32)[:EXAMPLES]
    if tf.config.list_physical_devices("GPU"):  # the clean process answers on the CPU: so must this one
        vqvae, prior = on_cpu(vqvae, (None, sounds.shape[1])), on_cpu(prior) if prior is not None else None
    endpoints = AudioEndpoints(vqvae, prior, sounds.shape[1], rate, num_speakers, xla)
    facts = {"sample_rate": rate, "window": sounds.shape[1], "hop": endpoints.hop, "num_codes": endpoints.num_codes}
    facts |= {"num_speakers": num_speakers, "xla": xla}
    requests, warm = _requests(endpoints, sounds), _requests(endpoints, sounds[:1])
    if endpoints.looping and xla:  # every signature but `encode` then holds a compiled loop
        warm = {"encode": warm["encode"]}
    write_verified(folder, endpoints, requests, warm, {**(metadata or {}), **facts})
    return folder


def _requests(endpoints: AudioEndpoints, sounds: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    values: dict[str, Any] = {
        "audio": sounds,
        "codes": np.asarray(endpoints.vqvae.encode(sounds)),
        "speaker": np.arange(len(sounds), dtype=np.int32) % endpoints.num_speakers,
        "seed": np.int32(7),
        "temperature": np.float32(1.0),
        "seconds": np.float32(1.5 * sounds.shape[1] / endpoints.rate),
    }
    return {
        name: {spec.name: values[spec.name] for spec in arguments}
        for name, (_, arguments) in endpoints.endpoints().items()
    }
