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
from vq_vae_tf.modalities.audio.critic import VoiceCritic, WordCritic
from vq_vae_tf.modalities.audio.source import AudioData, Recordings, in_16_bits
from vq_vae_tf.vqvae import VQVAE

SPEAKERS, WINDOW, WORDS = 3, 640, 4
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
    return build_audio.build_audio_vqvae(from_values(values), speakers, num_words=WORDS)


def batch(seed=0):
    x = np.random.default_rng(seed).normal(0, 0.1, (6, WINDOW)).astype(np.float32)
    return {"x": tf.constant(x), "label": tf.constant([0, 1, 2, 0, 1, 2], tf.int32)}


def telling_batch():
    return {**batch(), "said": tf.constant([0, 1, 2, 3, 0, 1], tf.int32)}


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


def test_the_listener_learns_from_recordings_alone_and_teaches_what_made_the_frames():
    vqvae, z_q = model(weight=1e-30, said_weight=1.0), np.random.default_rng(1).normal(0, 1, (6, 10, 4))
    code, given, heard = tf.Variable(z_q.astype(np.float32)), telling_batch(), vqvae.likelihood.frames(batch()["x"])
    assert isinstance(vqvae.listener, WordCritic)
    who = given["said"], given["label"], given["label"]
    assert gradients(lambda: vqvae.listener.told(heard, given["said"]), [vqvae.listener])
    assert not gradients(lambda: vqvae.listener.pretended(vqvae.decoder(code, given), given["said"]), [vqvae.listener])
    with tf.GradientTape() as tape:
        paid = vqvae._said(heard, vqvae.decoder(code, given), *who)
    of_code, of_decoder = tape.gradient(paid, [code, vqvae.decoder.leave.kernel])
    assert min(np.abs(of_code).max(), np.abs(of_decoder).max()) > 1e-6
    vqvae.said_weight = 0.0  # then nothing but its own lesson is left, of which the decoder has no part
    assert not gradients(lambda: vqvae._said(heard, vqvae.decoder(code, given), *who), [vqvae.decoder])
    with pytest.raises(ValueError, match="no 'said' in the batch"):
        vqvae._conversion(code, batch())


def test_what_is_said_is_the_source_s_and_adds_to_the_rest():
    vqvae, calls = model(weight=0.25, said_weight=2.0), []
    quiet, z_q, targets = model(weight=0.25), tf.zeros((6, 10, 4)), []

    class Listening:
        num_words = WORDS

        def told(self, frames, word):
            calls.append(("told", np.asarray(frames), np.asarray(word)))
            return ops.convert_to_tensor(3.0)

        def pretended(self, frames, word):
            calls.append(("pretended", np.asarray(frames), np.asarray(word)))
            return ops.convert_to_tensor(5.0)

    given = telling_batch()
    object.__setattr__(vqvae, "listener", Listening())
    made = []
    for one in (vqvae, quiet):
        one.critic.told = lambda frames, speaker: ops.zeros(())
        one.critic.pretended = lambda frames, speaker: (
            made.append(np.asarray(frames)) or targets.append(np.asarray(speaker)) or ops.zeros(())
        )
        one.content_weight = 0.0
    paid, before = float(vqvae._conversion(z_q, given)), float(quiet._conversion(z_q, given))
    assert paid - before == pytest.approx(3.0 + 2.0 * 5.0)
    assert [kind for kind, *_ in calls] == ["told", "pretended"]
    np.testing.assert_allclose(calls[0][1], vqvae.likelihood.frames(given["x"]), atol=1e-5)
    np.testing.assert_array_equal(calls[1][1], made[0])
    for (_, _, label), speaker in zip(calls, (given["label"], targets[0]), strict=True):
        np.testing.assert_array_equal(label, WORDS * np.asarray(speaker) + given["said"])


def test_the_listener_learns_the_words_of_each_speaker():
    """Word w of speaker 0: a band of sound that moves down, stays or moves up; of speaker 1 the other way round."""
    listener, rng = WordCritic(3, 2, 8000, 40, units=8, seed=0), np.random.default_rng(0)

    def examples(count):
        word, speaker = rng.integers(0, 3, count), rng.integers(0, 2, count)
        slope, start = (word - 1) * (1 - 2 * speaker) * 0.4, 18 + rng.integers(-2, 3)
        place = start + slope[:, None] * (np.arange(20) - 10)
        near = np.exp(-np.square(np.arange(40) - place[..., None]) / 8)
        return (-10 + 8 * near).astype(np.float32), (3 * speaker + word).astype(np.int32)

    listener.build((None, None, 40))
    optimizer = keras.optimizers.Adam(1e-2)

    @tf.function
    def step(frames, label):
        with tf.GradientTape() as tape:
            paid = listener.told(frames, label)
        weights = listener.trainable_variables
        optimizer.apply(tape.gradient(paid, [v.value for v in weights]), weights)

    for _ in range(150):
        step(*examples(24))
    frames, label = examples(200)
    assert float(listener.told(frames, label)) < 0.3 < np.log(3) < float(listener.told(frames, (label + 3) % 6))
    logits = rng.normal(size=(4, 6)).astype(np.float32)
    expected = [np.log(np.exp(row[3:]).sum()) - row[3 + w] for row, w in zip(logits, (0, 1, 2, 1), strict=True)]
    assert float(listener.nats(logits, np.array([3, 4, 5, 4]))) == pytest.approx(np.mean(expected), rel=1e-5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(listener))
    assert copy(frames).shape == (200, 6)


def recordings(names):
    return Recordings.of([in_16_bits(np.full(700, 0.5 / (i + 1))) for i in range(len(names))], [0] * len(names), names)


def test_training_batches_tell_the_word_of_their_recording_and_others_do_not():
    names = ("ann/one_0.wav", "ann/one_1.wav", "ann/two_0.wav", "ann/zero_more_0")
    parts = {"train": recordings(names), "validation": recordings(("ann/three_0.wav",))}
    data = AudioData("x", 8000, 640, ("ann",), parts, telling=True)
    assert data.words == ("one", "two", "zero")
    told = set()
    for given in data.training_batches(4, seed=0).take(10):
        level = np.rint(0.5 / np.abs(given["x"]).max(axis=1)).astype(int) - 1
        told |= set(zip(level, given["said"].numpy(), strict=True))
    assert told == {(0, 0), (1, 0), (2, 1), (3, 2)}
    assert set(next(iter(data.examples("validation", 1)))) == {"x", "label"}
    mute = AudioData("x", 8000, 640, ("ann",), parts)
    assert set(next(iter(mute.training_batches(1, seed=0)))) == {"x", "label"}


@pytest.mark.parametrize("names", [("ann/one_0.wav", "ann/hello.wav"), ("ann/one_0.wav", "ann/one_1.wav")])
def test_names_that_do_not_say_what_is_said_are_refused(names):
    data = AudioData("x", 8000, 640, ("ann",), {"train": recordings(names)}, telling=True)
    with pytest.raises(UserError, match="does not say what is said in ann/"):
        _ = data.words


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
    vqvae = model(weight=0.125, said_weight=0.5)
    vqvae.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(copy, ConversionVQVAE)
    assert (copy.conversion_weight, copy.said_weight, copy.listener.num_words) == (0.125, 0.5, WORDS)
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
    with pytest.raises(UserError, match=r"--said_weight=0.5 is of what --conversion_weight makes"):
        model(weight=0.0, said_weight=0.5)
