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


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_gradients_are_those_of_the_chosen_code(ema_decay, gradients):
    """The price moves the choice, and nothing else: no gradient comes from it."""
    p = [0.7, 0.1, 0.1, 0.05, 0.05]
    layer = EntropyConstrainedQuantizer(
        5, 3, 0.8, p, commitment_cost=0.6, ema_decay=ema_decay, initialization="random_normal", revive_below=0
    )
    layer.build((None, 3))
    z, upstream = _z(12, 3), _z(12, 3, seed=1)
    codebook = ops.convert_to_numpy(layer.codebook)
    distance = np.square(z[:, None].astype("float64") - codebook).sum(-1)
    codes = (distance - 0.8 * np.log2(p)).argmin(1)
    assert (codes != distance.argmin(1)).any()
    to_z, *to_codebook = gradients(layer, z, upstream)
    difference = 2 * (z - codebook[codes]) / z.size
    np.testing.assert_allclose(to_z, upstream + 0.6 * difference, atol=1e-6)
    expected = np.zeros_like(codebook)
    np.add.at(expected, codes, -difference)
    for given in to_codebook:
        np.testing.assert_allclose(given, expected, atol=1e-6)
    assert len(to_codebook) == (ema_decay is None)
