"""Distortion plus price, against exhaustive search."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.ops.entropy import entropy_bits
from vq_vae_tf.quantizers import EntropyConstrainedQuantizer


def _z(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_codes_minimise_distortion_plus_lambda_bits():
    p = np.array([0.7, 0.1, 0.1, 0.05, 0.05])
    layer = EntropyConstrainedQuantizer(5, 2, bit_cost=0.4, probabilities=2 * p, initialization="random_normal")
    z = _z(60, 2)
    layer.build((None, 2))
    cost = np.square(z[:, None] - ops.convert_to_numpy(layer.codebook)).sum(-1) - 0.4 * np.log2(p)
    np.testing.assert_array_equal(layer.encode(z), cost.argmin(-1))
    np.testing.assert_allclose(layer.code_bits, -np.log2(p), rtol=1e-5)


def test_dearer_bits_are_fewer_bits():
    entropies, errors = [], []
    for bit_cost in (0.0, 0.2, 1.0):
        layer = EntropyConstrainedQuantizer(16, 2, bit_cost=bit_cost, ema_decay=0.9, revive_below=0)
        for step in range(20):
            layer(_z(128, 2, seed=step), training=True)
        z = _z(500, 2, seed=99)
        codes = ops.convert_to_numpy(layer.encode(z))
        entropies.append(float(entropy_bits(np.bincount(codes, minlength=16))))
        errors.append(np.square(z - ops.convert_to_numpy(layer.decode(codes))).mean())
    assert entropies[0] > entropies[1] > entropies[2]
    assert errors[0] < errors[1] < errors[2]


def test_running_distribution_is_the_smoothed_average_use():
    layer = EntropyConstrainedQuantizer(4, 2)
    layer.build((None, 2))
    layer._book.usage.assign(np.float32([8, 4, 4, 0]))
    p = np.array([8.04, 4.04, 4.04, 0.04]) / 16.16
    np.testing.assert_allclose(layer.code_bits, -np.log2(p), rtol=1e-5)


@pytest.mark.parametrize("probabilities", [[0.5, 0.5], [0.5, 0.5, 0.0, 0.1]])
def test_impossible_distributions_are_refused(probabilities):
    with pytest.raises(ValueError, match=r"received probabilities=.*; expected"):
        EntropyConstrainedQuantizer(4, 2, probabilities=probabilities)
