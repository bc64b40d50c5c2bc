"""A VQ-VAE of voices that is also trained on what it is for: speech in another voice."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.ops.replicas import of_this_replica
from vq_vae_tf.vqvae import VQVAE, condition


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ConversionVQVAE(VQVAE):
    """Every training example is also decoded in a voice drawn at random, and a critic has to take it for that voice.

    Equation: to the loss of `VQVAE` come, over frames x of speaker s and made frames y = D(z_q, t), t != s uniform,
    half the mean of -log C(s | x) - log C(N + t | sg y), which train the critic C alone; conversion_weight times the
    mean of -log C(t | y), which trains encoder and decoder alone; and content_weight times the mean of
    (E(y) - sg z_q)^2, so that what is said in the other voice would have the same codes. Class N + t: frames made in
    the voice of t; E: the encoder, as it hears in inference. Where a batch says what is said, word w under "said",
    a second critic W learns the mean of -log W(w | s, x), from recordings alone, and said_weight times the mean of
    -log W(w | t, y) trains encoder and decoder alone.
    After: ACVAE-VC (Kameoka et al. 2018, arXiv 1808.05092); a critic of 2 N classes: arXiv 2008.12604; content that
    stays: the cycle of StarGAN-VC (arXiv 1806.02169), in the codes' space.
    Differs from the paper: in section 4.3 another voice is another number for the decoder, which never trained on the
    pair. Codes keep some of the speaker, so what came out was neither's voice.

    The critics are of no use after training; they are kept with the weights.

    Args:
        critic: `VoiceCritic`, or what has its methods `told` and `pretended` and its `num_speakers`.
        conversion_weight: of what the decoder is to be taken for, nats per dimension of x for a nat.
        content_weight: of what the codes are to stay.
        listener: `WordCritic`, or what has its methods `told` and `pretended`; None: what is said is not asked for.
        said_weight: of the word that what is made is to be taken for, nats per dimension of x for a nat.
        seed: of the voices that are drawn.

    Raises:
        ValueError: fewer than two speakers; in training, a listener and no "said" in the batch.
    """

    PARTS = (*VQVAE.PARTS, "critic", "listener")

    def __init__(
        self,
        *args: Any,
        critic: Any,
        conversion_weight: float,
        content_weight: float = 1.0,
        listener: Any = None,
        said_weight: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        if critic.num_speakers < 2:
            raise ValueError(f"{self.name}: num_speakers={critic.num_speakers}; expected at least 2 voices to convert.")
        self.critic, self.conversion_weight, self.content_weight = critic, conversion_weight, content_weight
        self.listener, self.said_weight, self.seed = listener, said_weight, seed
        self.seeds = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        """Creates every weight."""
        for critic in (self.critic, self.listener):
            if critic is not None and not critic.built:
                critic.build((None, None, self.likelihood.outputs))
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """As in `VQVAE`; in training what the class says is added to the critic's losses."""
        z_q = self.quantizer(self.encoded(inputs, training=training), training=training)
        if training:
            self.critic.add_loss(self._conversion(z_q, inputs))
        return self._decoded(z_q, condition(inputs), training)

    def loss_terms(self, inputs: Any, training: bool | None = True) -> dict[str, Any]:
        """As in `VQVAE`, with what conversion adds under "conversion"."""
        terms = super().loss_terms(inputs, training=training)
        conversion = sum(of_this_replica(self.critic.losses), ops.zeros((), "float32"))
        return {**terms, "quantization": terms["quantization"] - conversion, "conversion": conversion}

    def _conversion(self, z_q: Any, inputs: Any) -> Any:
        """What the critics and the decoder pay, a scalar."""
        given, many, critic = condition(inputs) or {}, self.critic.num_speakers, self.critic
        speaker = ops.cast(given["label"], "int32")
        target = (speaker + keras.random.randint(ops.shape(speaker), 1, many, seed=self.seeds)) % many
        made = self._decoded(z_q, {**given, "label": target}, training=True)
        real = self.likelihood.frames(self.observed(inputs))
        learnt = critic.told(real, speaker) + critic.told(ops.stop_gradient(made), many + target)
        kept = ops.cast(self.encoder.again(made), "float32") - ops.stop_gradient(ops.cast(z_q, "float32"))
        voice, content = critic.pretended(made, target), ops.mean(ops.square(kept))
        paid = 0.5 * learnt + self.conversion_weight * voice + self.content_weight * content
        return paid if self.listener is None else paid + self._said(real, made, given.get("said"), speaker, target)

    def _said(self, real: Any, made: Any, word: Any, speaker: Any, target: Any) -> Any:
        """What the listener pays for the word in a recording, and the decoder for the same word in another voice."""
        if word is None:
            raise ValueError(f"{self.name}: a listener, and no 'said' in the batch; expected the word, int32 [batch].")
        spoken, meant = (ops.cast(word, "int32") + self.listener.num_words * who for who in (speaker, target))
        return self.listener.told(real, spoken) + self.said_weight * self.listener.pretended(made, meant)

    def get_config(self) -> dict[str, Any]:
        """The parts, serialised, the weights and the seed."""
        names = ("conversion_weight", "content_weight", "said_weight", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
