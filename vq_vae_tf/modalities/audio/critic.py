"""Whose voice are these frames, did a person speak them, and what is said?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.audio.voices import OtherVoices

_FAINTEST = -11.0  # nats of power: below it, silence as recorded and as made look alike
_LOUDNESS = (-3.0, 1.0)  # nats of power
_MIDDLE, _SPREAD = -8.0, 4.0  # about the mean and standard deviation of what is heard, silence too
_STRETCH = 0.05  # of frequency
_NOISE = 0.5  # nats of power: frames as made are smoother than as recorded


class FrameCritic(keras.layers.Layer):
    """Convolutions over log-mel frames, their mean and maximum over time, logits.

    Log-mel frames `[batch, time, bins]` -> `[batch, classes]`. Every example is heard at a loudness drawn anew.

    Args:
        classes: of frames.
        widths: channels of the convolutions, each of stride 2.
        taps: of each.
        seed: of the loudness.
    """

    def __init__(self, classes: int, widths: Sequence[int], taps: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes, self.widths, self.seed = classes, tuple(widths), seed
        self.seeds = keras.random.SeedGenerator(seed)
        self.convolutions = [
            keras.layers.Conv1D(w, taps, 2, padding="same", name=f"convolution_{i}", dtype=self.dtype_policy)
            for i, w in enumerate(self.widths)
        ]
        self.classes = keras.layers.Dense(classes, name="classes", dtype="float32")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates every weight."""
        shape = tuple(input_shape)
        for layer in self.convolutions:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.classes.build((shape[0], 2 * self.widths[-1]))
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`[batch, classes]`."""
        return (input_shape[0], self.num_classes)

    def call(self, frames: Any) -> Any:
        """Logits, float32."""
        loudness = keras.random.uniform((ops.shape(frames)[0], 1, 1), *_LOUDNESS, seed=self.seeds)
        heard = ops.maximum(ops.cast(frames, "float32") + loudness, _FAINTEST)
        h = ops.cast((heard - _MIDDLE) / _SPREAD, self.compute_dtype)
        for layer in self.convolutions:
            h = ops.leaky_relu(layer(h), 0.2)
        h = ops.cast(h, "float32")
        return self.classes(ops.concatenate([ops.mean(h, axis=1), ops.max(h, axis=1)], axis=-1))

    def told(self, frames: Any, label: Any) -> Any:
        """-log p(class | frames) in nats, a mean, to train the critic by; `label` int32 `[batch]`: the class."""
        return self.nats(self(frames), label)

    def pretended(self, frames: Any, label: Any) -> Any:
        """The same, to train by what made the frames: no gradient reaches the critic's weights."""
        weights = [ops.stop_gradient(v.value) for v in self.trainable_variables]
        logits, _ = self.stateless_call(weights, [v.value for v in self.non_trainable_variables], frames)
        return self.nats(logits, label)

    def nats(self, logits: Any, label: Any) -> Any:
        """-log p(class | logits), a mean."""
        return ops.mean(ops.sparse_categorical_crossentropy(label, logits, from_logits=True))


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class VoiceCritic(FrameCritic):
    """Twice as many classes as speakers: class i is speaker i, num_speakers + i what a decoder made in his voice.

    A place before the mean sees 15 frames: about a phone, not the word, which is not this critic's business.
    Paper: Kameoka et al. 2020 (arXiv 2008.12604), "augmented classifier": one network for both questions.

    Args:
        num_speakers: of both kinds.
        units: channels of the first convolution; the others have twice as many.
        seed: of the loudness.
    """

    def __init__(self, num_speakers: int, units: int = 64, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(2 * num_speakers, (units, 2 * units, 2 * units), 3, seed, **kwargs)
        self.num_speakers, self.units = num_speakers, units

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        mine = {"num_speakers": self.num_speakers, "units": self.units, "seed": self.seed}
        return {**super().get_config(), **mine}


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class WordCritic(FrameCritic):
    """Which word a speaker says: class s * num_words + w is word w of speaker s, log p(w | s, frames) is what counts.

    So what is made in a voice has to be that word as the speaker says it. A place before the mean sees 61 frames.

    Every example is heard with a slightly stretched voice, through another microphone, with noise on every band: a word
    is not to be named by what a decoder's frames have and no recording has.
    After: the auxiliary classifier of ACVAE-VC (Kameoka et al. 2018, arXiv 1808.05092).
    Differs from the paper: it names what is said, where that is known; there the codes are trusted to keep it.

    Args:
        num_words, num_speakers: words of a speaker, speakers.
        rate, bins: of the frames, see `LogMel`.
        units: channels of the first convolution; the others have twice as many.
        seed: of what is drawn.
    """

    def __init__(
        self,
        num_words: int,
        num_speakers: int,
        rate: int,
        bins: int,
        units: int = 64,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_words * num_speakers, (units, 2 * units, 2 * units, 2 * units), 5, seed, **kwargs)
        self.num_words, self.num_speakers = num_words, num_speakers
        self.rate, self.bins, self.units = rate, bins, units
        self.voices = OtherVoices(rate, bins, _STRETCH, seed, name="voices", dtype="float32")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates every weight."""
        self.voices.build(input_shape)
        super().build(input_shape)

    def call(self, frames: Any) -> Any:
        """Logits, float32."""
        heard = self.voices(ops.cast(frames, "float32"), training=True)
        return super().call(heard + _NOISE * keras.random.normal(ops.shape(heard), seed=self.seeds))

    def nats(self, logits: Any, label: Any) -> Any:
        """-log p(word | speaker, logits), a mean; the label says both."""
        of_speakers = ops.reshape(logits, (-1, self.num_speakers, self.num_words))
        speaker = ops.one_hot(label // self.num_words, self.num_speakers, dtype=logits.dtype)
        return super().nats(ops.sum(of_speakers * speaker[:, :, None], axis=1), label % self.num_words)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("num_words", "num_speakers", "rate", "bins", "units", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
