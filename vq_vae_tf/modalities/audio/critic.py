"""Whose voice are these frames, and did a person speak them?"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_FAINTEST = -11.0  # nats of power: below it, silence as recorded and as made look alike
_LOUDNESS = (-3.0, 1.0)  # nats of power
_MIDDLE, _SPREAD = -8.0, 4.0  # about the mean and standard deviation of what is heard, silence too


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class VoiceCritic(keras.layers.Layer):
    """Convolutions over log-mel frames, their mean and maximum over time, twice as many classes as speakers.

    Log-mel frames `[batch, time, bins]` -> logits `[batch, 2 num_speakers]`: class i is speaker i, class
    num_speakers + i what a decoder made in his voice. Every example is heard at a loudness drawn anew. A place before
    the mean sees 15 frames: about a phone, not the word, which is not the critic's business.
    Paper: Kameoka et al. 2020 (arXiv 2008.12604), "augmented classifier": one network for both questions.

    Args:
        num_speakers: of both kinds.
        units: channels of the first convolution; the others have twice as many.
        seed: of the loudness.
    """

    def __init__(self, num_speakers: int, units: int = 64, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_speakers, self.units, self.seed = num_speakers, units, seed
        self.seeds = keras.random.SeedGenerator(seed)
        self.convolutions = [
            keras.layers.Conv1D(w, 3, 2, padding="same", name=f"convolution_{i}", dtype=self.dtype_policy)
            for i, w in enumerate((units, 2 * units, 2 * units))
        ]
        self.classes = keras.layers.Dense(2 * num_speakers, name="classes", dtype="float32")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates every weight."""
        shape = tuple(input_shape)
        for layer in self.convolutions:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.classes.build((shape[0], 2 * 2 * self.units))
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`[batch, 2 num_speakers]`."""
        return (input_shape[0], 2 * self.num_speakers)

    def call(self, frames: Any) -> Any:
        """Logits, float32."""
        loudness = keras.random.uniform((ops.shape(frames)[0], 1, 1), *_LOUDNESS, seed=self.seeds)
        heard = ops.maximum(ops.cast(frames, "float32") + loudness, _FAINTEST)
        h = ops.cast((heard - _MIDDLE) / _SPREAD, self.compute_dtype)
        for layer in self.convolutions:
            h = ops.leaky_relu(layer(h), 0.2)
        h = ops.cast(h, "float32")
        return self.classes(ops.concatenate([ops.mean(h, axis=1), ops.max(h, axis=1)], axis=-1))

    def told(self, frames: Any, speaker: Any) -> Any:
        """-log p(class | frames) in nats, a mean, to train the critic by; `speaker` int32 `[batch]`: the class."""
        return _nats(self(frames), speaker)

    def pretended(self, frames: Any, speaker: Any) -> Any:
        """The same, to train by what made the frames: no gradient reaches the critic's weights."""
        weights = [ops.stop_gradient(v.value) for v in self.trainable_variables]
        logits, _ = self.stateless_call(weights, [v.value for v in self.non_trainable_variables], frames)
        return _nats(logits, speaker)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        mine = {"num_speakers": self.num_speakers, "units": self.units, "seed": self.seed}
        return {**super().get_config(), **mine}


def _nats(logits: Any, speaker: Any) -> Any:
    return ops.mean(ops.sparse_categorical_crossentropy(speaker, logits, from_logits=True))
