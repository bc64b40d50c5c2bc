"""Values to the last bit, gradients by hand."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from vq_vae_tf.ops.straight_through import rotation_trick, straight_through

RNG = np.random.default_rng(0)
Z, Z_Q, UP = (RNG.normal(size=(50, 4)).astype("float32") for _ in range(3))


def _gradients(function, *arrays):
    """d sum(UP * function(...)) / d each array."""

    def scalar(*values):
        return ops.sum(UP * function(*values))

    if keras.backend.backend() == "jax":
        import jax

        return [np.asarray(g) for g in jax.grad(scalar, argnums=tuple(range(len(arrays))))(*arrays)]
    import tensorflow as tf

    values = [tf.constant(a) for a in arrays]
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = scalar(*values)
    return [
        np.zeros_like(a) if g is None else g.numpy() for a, g in zip(arrays, tape.gradient(loss, values), strict=True)
    ]


def test_values_are_exact():
    for function in (straight_through, rotation_trick):
        np.testing.assert_array_equal(ops.convert_to_numpy(function(Z, Z_Q)), Z_Q)


def test_straight_through_copies_the_gradient():
    to_z, to_code = _gradients(straight_through, Z, Z_Q)
    np.testing.assert_array_equal(to_z, UP)
    np.testing.assert_array_equal(to_code, 0)


def test_rotation_carries_z_to_the_code_and_gradients_back():
    to_z, to_code = _gradients(rotation_trick, Z, Z_Q)
    np.testing.assert_array_equal(to_code, 0)
    for z, z_q, up, got in zip(Z, Z_Q, UP, to_z, strict=True):
        a, b = z / np.linalg.norm(z), z_q / np.linalg.norm(z_q)
        cosine = a @ b
        skew = np.outer(b, a) - np.outer(a, b)
        rotation = np.eye(4) + skew + skew @ skew / (1 + cosine)  # Rodrigues' formula, plane of a and b
        np.testing.assert_allclose(rotation @ a, b, atol=1e-5)
        expected = np.linalg.norm(z_q) / np.linalg.norm(z) * rotation.T @ up
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-4)


def test_rotation_is_finite_at_zero():
    zero = np.zeros_like(Z)
    for z, z_q in ((zero, Z), (Z, zero), (zero, zero), (Z, -Z)):
        assert np.isfinite(_gradients(rotation_trick, z, z_q)[0]).all()
