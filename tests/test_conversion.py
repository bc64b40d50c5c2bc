"""Training on speech in another voice: who pays for what, and that a decoder learns the voices that codes mix up."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from vq_vae_tf import build_audio
from vq_vae_tf.build import clear_session
from vq_vae_tf.config import from_values
from vq_vae_tf.conversion import ConversionVQVAE
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.audio.critic import VoiceCritic
from vq_vae_tf.vqvae import VQVAE

SPEAKERS, WINDOW = 3, 640
FLAGS = {
    "modality": "audio",
    "sample_rate": 8000,
    "window": WINDOW,
    "audio_strides": "64",
    "audio_input": "logmel",
    "audio_decoder": "logmel",
    "units": 16,
    "residual_units": 8,
    "residual_blocks": 1,
    "num_embeddings": 8,
    "embedding_dim": 4,
}


def model(weight=0.5, speakers=SPEAKERS, **flags):
    clear_session(0)
    values = {**FLAGS, "conversion_weight": weight, "content_weight": 0.0, **flags}
    return build_audio.build_audio_vqvae(from_values(values), speakers)


def batch(seed=0):
    x = np.random.default_rng(seed).normal(0, 0.1, (6, WINDOW)).astype(np.float32)
    return {"x": tf.constant(x), "label": tf.constant([0, 1, 2, 0, 1, 2], tf.int32)}


def gradients(loss, layers):
    with tf.GradientTape() as tape:
        value = loss()
    weights = [v.value for layer in layers for v in layer.trainable_variables]
    found = [np.asarray(tf.convert_to_tensor(g)) for g in tape.gradient(value, weights) if g is not None]
    return [g for g in found if np.abs(g).max() > 0]


def test_the_critic_pays_for_what_it_says_and_the_decoder_for_what_it_is_taken_for():
    vqvae = model()
    frames, speaker = np.random.default_rng(0).normal(-8, 2, (6, 10, 40)).astype(np.float32), batch()["label"]
    z_q = np.random.default_rng(1).normal(0, 1, (6, 10, 4)).astype(np.float32)

    def made():
        return vqvae.decoder(z_q, condition={"label": speaker})

    critic = vqvae.critic
    assert gradients(lambda: critic.told(frames, speaker), [critic])
    assert not gradients(lambda: critic.pretended(made(), speaker), [critic])
    assert gradients(lambda: critic.pretended(made(), speaker), [vqvae.decoder])
    unweighted = model(weight=1e-30)
    assert not [
        g
        for g in gradients(lambda: unweighted._conversion(tf.constant(z_q), batch()), [unweighted.decoder])
        if np.abs(g).max() > 1e-20
    ]  # frames that the critic learns on are no lesson for the decoder


def test_the_loss_is_that_of_the_parts():
    vqvae = model(weight=0.25, content_weight=2.0)
    plain = VQVAE(vqvae.encoder, vqvae.quantizer, vqvae.decoder, vqvae.likelihood)
    told, pretended, targets = [], [], []

    class Listening:
        num_speakers, losses = SPEAKERS, ()

        def told(self, frames, speaker):
            told.append((np.asarray(frames), np.asarray(speaker)))
            return ops.convert_to_tensor(2.0)

        def pretended(self, frames, speaker):
            pretended.append(np.asarray(frames))
            targets.append(np.asarray(speaker))
            return ops.convert_to_tensor(8.0)

    given, z_q = batch(), np.random.default_rng(1).normal(0, 1, (6, 10, 4)).astype(np.float32)
    critic = vqvae.critic
    object.__setattr__(vqvae, "critic", Listening())
    paid = float(vqvae._conversion(tf.constant(z_q), given))
    object.__setattr__(vqvae, "critic", critic)
    (real, speaker), (made, made_class) = told
    np.testing.assert_array_equal(speaker, given["label"])
    np.testing.assert_allclose(real, vqvae.likelihood.frames(given["x"]), atol=1e-5)
    assert (targets[0] != speaker).all()
    np.testing.assert_array_equal(made_class, SPEAKERS + targets[0])
    expected = plain.decoder(z_q, condition={"label": targets[0]})
    np.testing.assert_allclose(made, expected, atol=1e-5)
    np.testing.assert_array_equal(made, pretended[0])
    content = np.mean((np.asarray(vqvae.encoder.again(made)) - z_q) ** 2)
    assert paid == pytest.approx(0.5 * (2 + 2) + 0.25 * 8 + 2 * content)


@pytest.mark.parametrize("centred", [True, False])
def test_frames_that_sound_as_recorded_are_encoded_as_the_recording(centred):
    vqvae = model(logmel_centred=centred, other_voices=0.3)
    x = batch()["x"]
    z_e = vqvae.encoder(x, training=False)
    np.testing.assert_allclose(vqvae.encoder.again(vqvae.likelihood.frames(x)), z_e, atol=1e-4)


def test_content_pulls_what_is_made_to_the_codes_and_not_the_codes_to_it():
    vqvae = model(weight=1e-30, content_weight=1.0)
    z_q = tf.Variable(np.random.default_rng(1).normal(0, 1, (6, 10, 4)).astype(np.float32))
    assert gradients(lambda: vqvae._conversion(z_q, batch()), [vqvae.decoder])
    vqvae.decoder.leave.kernel.assign(0 * vqvae.decoder.leave.kernel)  # what is made no longer depends on the codes
    with tf.GradientTape() as tape:
        paid = vqvae._conversion(z_q, batch())
    assert np.abs(tape.gradient(paid, z_q)).max() == 0


def test_terms_add_up_and_inference_has_no_critic():
    vqvae = model()
    terms = {name: float(value) for name, value in vqvae.loss_terms(batch(), training=True).items()}
    assert terms["loss"] == pytest.approx(terms["reconstruction"] + terms["quantization"] + terms["conversion"])
    assert 0.5 < terms["conversion"] < 0.5 * 2 * 3 + 0.5 * 3  # about 1.5 log 6
    assert terms["quantization"] < 0.5
    assert float(vqvae.loss_terms(batch(), training=False)["conversion"]) == 0.0


def test_every_other_voice_is_drawn():
    critic_label = []
    vqvae = model()
    vqvae.critic.pretended = lambda frames, speaker: critic_label.append(np.asarray(speaker)) or ops.zeros(())
    for _ in range(20):
        vqvae._conversion(ops.zeros((6, 10, 4)), batch())
    drawn = np.stack(critic_label)
    for column, own in enumerate(batch()["label"].numpy()):
        assert set(drawn[:, column]) == set(range(SPEAKERS)) - {own}


def test_the_critic_hears_no_loudness_nor_what_is_below_silence():
    critic = VoiceCritic(2, units=4, seed=0)
    frames = np.full((1, 10, 40), -20.0, np.float32)
    np.testing.assert_array_equal(critic(frames), critic(frames - 5.0))
    speech = np.random.default_rng(0).normal(-3, 1, (400, 10, 40)).astype(np.float32)
    near, far = (np.asarray(critic(speech + by)).mean(0) for by in (0.0, 0.5))
    spread = np.asarray(critic(speech)).std(0)
    assert np.abs(near - far).max() < spread.max()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(critic))
    assert copy(frames).shape == (1, 4)


def test_it_comes_back_from_its_config(tmp_path):
    vqvae = model(weight=0.125)
    vqvae.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(copy, ConversionVQVAE)
    assert copy.conversion_weight == 0.125
    np.testing.assert_allclose(copy.reconstruct(batch()), vqvae.reconstruct(batch()), atol=1e-5)


def test_plain_fit_trains_both_sides():
    vqvae = model(weight=0.1)
    data = tf.data.Dataset.from_tensors(batch()).repeat(30)
    start = [np.asarray(layer.trainable_variables[0]) for layer in (vqvae.critic, vqvae.decoder, vqvae.encoder)]
    before = float(vqvae.critic.told(vqvae.likelihood.frames(batch()["x"]), batch()["label"]))
    vqvae.compile(keras.optimizers.Adam(3e-3))
    history = vqvae.fit(data, epochs=1, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    after = float(vqvae.critic.told(vqvae.likelihood.frames(batch()["x"]), batch()["label"]))
    assert after < before  # of six sounds it learns by heart who they are
    for layer, weights in zip((vqvae.critic, vqvae.decoder, vqvae.encoder), start, strict=True):
        assert np.abs(np.asarray(layer.trainable_variables[0]) - weights).max() > 1e-3


def test_what_cannot_be_converted_is_refused():
    assert type(model(weight=0.0)) is VQVAE
    with pytest.raises(UserError, match=r"--conversion_weight=0.5 with --audio_decoder=spectral"):
        model(audio_decoder="spectral")
    with pytest.raises(UserError, match="1 speakers"):
        model(speakers=1)
