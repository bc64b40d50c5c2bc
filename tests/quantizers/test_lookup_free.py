"""Signs, and the entropies of a softmax over all sign vectors."""

from __future__ import annotations

import numpy as np
from keras import ops

from vq_vae_tf.quantizers import LookupFreeQuantizer


def _entropy(p):
    return -(p * np.log(p)).sum(-1)


def test_loss_is_the_softmax_over_all_codes():
    layer = LookupFreeQuantizer(3, commitment_cost=0.5, entropy_weight=0.3, diversity=0.7, temperature=2.0)
    z = np.random.default_rng(0).normal(size=(9, 3)).astype("float32")
    layer(z)
    codebook = ops.convert_to_numpy(layer.codebook)
    p = np.exp(-np.square(z[:, None] - codebook).sum(-1) / 2.0)
    p /= p.sum(-1, keepdims=True)
    bits = p @ (codebook > 0)  # the marginals; the joint entropy of one vector is the sum of its bits'
    spread = sum(_entropy(np.array([b, 1 - b])) for b in bits.mean(0))
    commitment = np.square(np.abs(z) - 1).mean()
    expected = 0.5 * commitment + 0.3 * (_entropy(p).mean() - 0.7 * spread)
    np.testing.assert_allclose(float(sum(layer.losses)), expected, rtol=1e-5)
    assert _entropy(p.mean(0)) <= spread + 1e-9  # an upper bound on the joint entropy


def test_bit_i_is_the_sign_of_dimension_i():
    layer = LookupFreeQuantizer(3)
    np.testing.assert_array_equal(layer.encode(np.float32([[1, -1, 1], [-2, 0.1, -9], [0, 0, 0]])), [5, 2, 0])
    np.testing.assert_array_equal(layer.decode(np.array([5, 2, 0])), [[1, -1, 1], [-1, 1, -1], [-1, -1, -1]])


def test_sure_and_extreme_vectors_have_a_finite_loss():
    layer = LookupFreeQuantizer(2, commitment_cost=0.0)
    layer(np.full((4, 2), 1e6, "float32"))
    np.testing.assert_allclose(float(sum(layer.losses)), 0.0, atol=1e-5)


def test_gradients_by_hand(gradients):
    """dH(q)/dl = -l q (1 - q) where q = sigmoid(l), and dH(m)/dq = log((1 - m) / m) / n where m is the mean of q."""
    layer = LookupFreeQuantizer(3, commitment_cost=0.5, entropy_weight=0.3, diversity=0.7, temperature=2.0)
    layer.build((None, 3))
    z, upstream = np.random.default_rng(0).normal(size=(2, 9, 3))
    (to_z,) = gradients(layer, z.astype("float32"), upstream.astype("float32"))
    logits = 4 / 2.0 * z
    on = 1 / (1 + np.exp(-logits))
    sure = -logits * on * (1 - on) / len(z)
    mean = on.mean(0)
    spread = np.log((1 - mean) / mean) * on * (1 - on) / len(z)
    commitment = 2 * (z - np.where(z > 0, 1, -1)) / z.size
    expected = upstream + 0.5 * commitment + 0.3 * (4 / 2.0) * (sure - 0.7 * spread)
    np.testing.assert_allclose(to_z, expected, atol=1e-6)
