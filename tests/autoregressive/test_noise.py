"""Threefry against its published vectors, and the noise made of it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive.noise import gumbel, threefry

# Random123 1.14.0, tests/kat_vectors, threefry2x32 20 rounds: counter, key, result.
VECTORS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


def _pair(values):
    return tuple(ops.convert_to_tensor(np.uint32(value), dtype="uint32") for value in values)


def _noise(seed, position, batch, symbols):
    seed, position = (ops.convert_to_tensor(value, dtype="int32") for value in (seed, position))
    return ops.convert_to_numpy(gumbel(seed, position, batch, symbols))


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_threefry_gives_the_published_bits(counter, key, expected):
    bits = threefry(_pair(key), _pair(counter))
    assert tuple(int(ops.convert_to_numpy(word)) for word in bits) == expected


def test_noise_is_standard_gumbel():
    noise = _noise(3, 7, 200, 501)
    chances = np.exp(-np.exp(-noise.astype(np.float64))).ravel()  # the distribution function makes it uniform
    histogram = np.histogram(chances, 50, (0, 1))[0] / chances.size
    assert np.isfinite(noise).all()
    np.testing.assert_allclose(histogram, 1 / 50, rtol=0.1)  # 4.5 standard deviations of a bin
    rows = np.corrcoef(noise[:20])
    assert np.abs(rows - np.eye(20)).max() < 0.25


def test_noise_depends_on_seed_position_row_and_symbol_only():
    noise = _noise(3, 7, 4, 9)
    np.testing.assert_allclose(noise[:2], _noise(3, 7, 2, 9), rtol=1e-6, atol=1e-6)
    values = [noise, _noise(4, 7, 4, 9), _noise(3, 8, 4, 9), _noise(7, 3, 4, 9), _noise(-3, 7, 4, 9)]
    assert np.unique(np.concatenate([value.ravel() for value in values])).size == 5 * 36


def test_noise_is_pinned():
    """A change here changes every published sample: seed 1, position 2, on every backend, compiled or not."""
    expected = [[-0.6528, -0.6529, 0.5013], [0.4509, 0.5201, -0.2355]]  # by plain Python integers
    np.testing.assert_allclose(_noise(1, 2, 2, 3), expected, atol=1e-3)


def test_noise_is_the_same_compiled():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow's own generators are what differs under XLA")
    import tensorflow as tf

    compiled = tf.function(lambda seed: gumbel(seed, tf.constant(5), 3, 7), jit_compile=True)
    np.testing.assert_allclose(compiled(tf.constant(2)), _noise(2, 5, 3, 7), rtol=1e-5, atol=1e-6)
