"""Frames of other voices: what is stretched, what is drawn, and that inference hears what is there."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from vq_vae_tf.modalities.audio.logmel import mel_edges
from vq_vae_tf.modalities.audio.voices import OtherVoices

RATE, BINS = 8000, 40


def frames(batch=2, time=3, seed=0):
    return np.random.default_rng(seed).normal(-5, 2, (batch, time, BINS)).astype(np.float32)


def test_a_factor_reads_each_band_at_that_multiple_of_its_frequency():
    centres = mel_edges(BINS, RATE)[1:-1].astype(np.float32)
    given = np.broadcast_to(centres, (3, 1, BINS))
    factors = np.array([[1.0], [1.1], [0.9]], np.float32)
    got = np.asarray(OtherVoices(RATE, BINS, 0.2).stretched(given, factors))[:, 0]
    expected = np.clip(factors * centres, centres[0], centres[-1])
    np.testing.assert_allclose(got, expected, rtol=3e-3)  # between bands linearly, mel is not linear


def test_training_hears_another_voice_each_time_and_inference_the_same():
    layer = OtherVoices(RATE, BINS, 0.2, seed=0)
    x = frames()
    np.testing.assert_array_equal(layer(x), x)
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.5
    assert np.abs((first - x)[0] - (first - x)[1]).max() > 0.5  # each example its own
    silent = OtherVoices(RATE, BINS, 0.0)
    np.testing.assert_array_equal(silent(x, training=True), x)


def test_microphone_and_loudness_vary_but_not_over_time():
    x = np.repeat(frames(64, 1), 4, axis=1)
    changed = np.asarray(OtherVoices(RATE, BINS, 0.2, seed=1)(x, training=True))
    np.testing.assert_allclose(changed, np.repeat(changed[:, :1], 4, axis=1), atol=1e-5)
    shifts = (changed - x).mean((1, 2))
    assert 1.0 < shifts.std() < 3.0
    assert (changed.max((1, 2)) - changed.min((1, 2))).max() < 14.1  # hiss fills what lies further below


def test_it_comes_back_from_its_config_and_refuses_a_wrong_share():
    layer = OtherVoices(RATE, BINS, 0.1, seed=3)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(copy(frames(), training=True), layer(frames(), training=True))
    with pytest.raises(ValueError, match=r"stretch=1\.5"):
        OtherVoices(RATE, BINS, 1.5)
