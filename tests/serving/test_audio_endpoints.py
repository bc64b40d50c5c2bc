"""Sounds and speakers come in pairs, before any export."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf import config
from vq_vae_tf.autoregressive import WaveNet
from vq_vae_tf.build_audio import build_audio_vqvae
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.speaking import draw_long
from vq_vae_tf.prior import Prior
from vq_vae_tf.serving.audio import AudioEndpoints
from vq_vae_tf.windows import LONGEST

SPEAKERS, TIME, RATE = 3, 37, 100


def built(**values):
    keras.utils.set_random_seed(0)
    sizes = {"window": 80, "residual_blocks": 1, "units": 8, "residual_units": 4, "num_embeddings": 8}
    vqvae = build_audio_vqvae(config.replace(config.Config(), **sizes, **values), SPEAKERS)
    prior = Prior(WaveNet(8, (80 // 4,), features=4, num_layers=2, num_labels=SPEAKERS))
    prior.build()
    return AudioEndpoints(vqvae, prior, 80, RATE, SPEAKERS)


@pytest.fixture(scope="module")
def endpoints():
    return built(audio_decoder="spectral", audio_strides="2,2")


@pytest.fixture(scope="module")
def signatures(endpoints):
    return traced(endpoints)


def traced(endpoints):
    """As an export traces them: with batches of any size."""
    return {
        name: tf.function(function, arguments, autograph=False)
        for name, (function, arguments) in endpoints.endpoints().items()
    }


def pairs(count):
    """Sounds `[count, time]` and their speakers."""
    sounds = np.random.default_rng(1).uniform(-1, 1, (count, TIME)).astype(np.float32)
    return tf.constant(sounds), tf.range(count) % SPEAKERS


@pytest.mark.parametrize("heard", ["samples", "log mels"])
def test_every_sound_has_the_voice_of_its_own_speaker(heard, signatures):
    if heard == "log mels":
        logmel = built(audio_decoder="logmel", audio_input="logmel", audio_strides="16", sample_rate=4000)
        signatures = traced(logmel)
    sounds, speakers = pairs(4)
    made = signatures["reconstruct"](sounds, speakers)["audio"].numpy()
    for i in range(4):
        alone = signatures["reconstruct"](sounds[i : i + 1], speakers[i : i + 1])["audio"]
        np.testing.assert_allclose(made[i : i + 1], alone, atol=1e-5)
    decoded = signatures["decode"](signatures["encode"](sounds)["codes"], speakers)["audio"]
    np.testing.assert_allclose(decoded[:, :TIME], made, atol=1e-5)
    others = signatures["reconstruct"](sounds, (speakers + 1) % SPEAKERS)["audio"]
    assert np.abs(others - made).max(axis=1).min() > 1e-6, "the speaker must matter"


@pytest.mark.parametrize(("sounds", "speakers"), [(2, 1), (1, 2), (3, 2), (2, 0)])
def test_another_number_of_speakers_than_sounds_is_refused(endpoints, signatures, sounds, speakers):
    x, voices = pairs(sounds)[0], pairs(speakers)[1]
    codes = signatures["encode"](x)["codes"]
    for given in (signatures, {name: function for name, (function, _) in endpoints.endpoints().items()}):
        with pytest.raises(tf.errors.InvalidArgumentError, match="speaker and audio: expected as many of one as of"):
            given["reconstruct"](x, voices)
        with pytest.raises(tf.errors.InvalidArgumentError, match="speaker and codes: expected as many of one as of"):
            given["decode"](codes, voices)


def drawn(signatures, seconds, seed=5, temperature=1.0, speakers=(2, 0)):
    scalars = {"seed": tf.constant(seed), "seconds": tf.constant(seconds), "temperature": tf.constant(temperature)}
    return {k: v.numpy() for k, v in signatures["sample"](speaker=tf.constant(speakers), **scalars).items()}


@pytest.mark.parametrize(("seconds", "samples"), [(0.001, 1), (0.33, 33), (0.8, 80), (1.0, 100), (7.014, 701)])
def test_a_drawn_sound_is_as_long_as_was_asked(endpoints, signatures, seconds, samples):
    made = drawn(signatures, seconds)
    assert made["audio"].shape == (2, samples)
    np.testing.assert_array_equal(made["codes"], draw_long(endpoints.prior, [2, 0], Draw(5), -(-samples // 4)))
    decoded = signatures["decode"](tf.constant(made["codes"]), tf.constant([2, 0]))["audio"]
    np.testing.assert_allclose(made["audio"], decoded[:, :samples], atol=1e-6)


def test_a_longer_sound_begins_as_a_shorter_one(signatures):
    long, short = drawn(signatures, 7.0)["codes"], drawn(signatures, 1.5)["codes"]
    np.testing.assert_array_equal(long[:, : short.shape[1]], short)
    assert (long != drawn(signatures, 7.0, seed=6)["codes"]).mean() > 0.5


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), LONGEST + 1])
def test_no_length_and_hours_are_refused(signatures, seconds):
    with pytest.raises(tf.errors.InvalidArgumentError, match="seconds: expected"):
        drawn(signatures, seconds)


def test_a_wavenet_decodes_any_length_window_by_window():
    keras.utils.set_random_seed(0)
    sizes = {"window": 32, "residual_blocks": 1, "units": 8, "residual_units": 4, "num_embeddings": 8}
    values = {"audio_strides": "2,2", "wavenet_units": 4, "wavenet_layers": 3, "wavenet_cycle": 3, **sizes}
    model = AudioEndpoints(
        build_audio_vqvae(config.replace(config.Config(), **values), SPEAKERS), None, 32, RATE, SPEAKERS, xla=False
    )
    codes = np.random.default_rng(0).integers(0, 8, (2, 19)).astype(np.int32)
    whole = model.decode(tf.constant(codes), tf.constant([2, 1]))["audio"].numpy()
    assert whole.shape == (2, 19 * 4)
    windows = np.pad(codes, ((0, 0), (0, 5))).reshape(6, 8)  # a draw's noise is that of its row
    alone = model.decode(tf.constant(windows), tf.constant([2, 2, 2, 1, 1, 1]))["audio"].numpy()
    np.testing.assert_allclose(whole, alone.reshape(2, -1)[:, : 19 * 4], atol=1e-6)
    assert np.abs(whole[0, :32] - whole[0, 32:64]).max() > 1e-3
