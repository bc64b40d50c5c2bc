"""Sounds and speakers come in pairs, before any export."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf import config
from vq_vae_tf.build_audio import build_audio_vqvae
from vq_vae_tf.serving.audio import AudioEndpoints

SPEAKERS, TIME = 3, 37


@pytest.fixture(scope="module")
def endpoints():
    keras.utils.set_random_seed(0)
    sizes = {"window": 80, "residual_blocks": 1, "units": 8, "residual_units": 4, "num_embeddings": 8}
    values = {"audio_decoder": "spectral", "audio_strides": "2,2", **sizes}
    return AudioEndpoints(build_audio_vqvae(config.replace(config.Config(), **values), SPEAKERS), None, 80, SPEAKERS)


@pytest.fixture(scope="module")
def signatures(endpoints):
    """As an export traces them: with batches of any size."""
    return {
        name: tf.function(function, arguments, autograph=False)
        for name, (function, arguments) in endpoints.endpoints().items()
    }


def pairs(count):
    """Sounds `[count, time]` and their speakers."""
    sounds = np.random.default_rng(1).uniform(-1, 1, (count, TIME)).astype(np.float32)
    return tf.constant(sounds), tf.range(count) % SPEAKERS


def test_every_sound_has_the_voice_of_its_own_speaker(signatures):
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
