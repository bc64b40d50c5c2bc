"""How far apart sounds are, against a Fourier transform written out."""

from __future__ import annotations

import numpy as np

from vq_vae_tf.evaluation.sounds import log_spectral_distance

SIZE = 256


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def _decibels(sound):
    """`[frames, frequencies]` of one sound: a Hann frame of 256 samples about every 64th one; silence around."""
    padded = np.concatenate([np.zeros(SIZE // 2), sound.astype(np.float64), np.zeros(SIZE // 2)])
    n = np.arange(SIZE)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / (SIZE - 1))
    waves = np.exp(-2j * np.pi * np.outer(np.arange(SIZE // 2 + 1), n) / SIZE)
    frames = [padded[begin : begin + SIZE] * window for begin in range(0, len(sound) + 1, 64)]
    return np.stack([20 * np.log10(np.abs(waves @ frame) + 1e-3) for frame in frames])


def test_the_distance_is_the_mean_over_frames_of_the_root_of_the_mean_square():
    x, y = noise(3, 640), noise(3, 640, seed=1)
    x[2, 300:] = 0.0  # silence, whose decibels are those of the floor
    expected = [np.sqrt(np.square(_decibels(a) - _decibels(b)).mean(1)).mean() for a, b in zip(x, y, strict=True)]
    found = log_spectral_distance(x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(log_spectral_distance(y, x), found, rtol=1e-12)


def test_equal_sounds_have_no_distance_and_a_gain_of_two_has_six_decibels():
    x = 1e4 * noise(2, 1024)  # so loud that the floor is nothing beside it
    np.testing.assert_array_equal(log_spectral_distance(x, x), [0, 0])
    np.testing.assert_allclose(log_spectral_distance(x, np.array([[1.0], [2.0]]) * x), [0, 20 * np.log10(2)], atol=1e-3)
