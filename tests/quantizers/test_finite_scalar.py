"""The grid, its numbering and its gradient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.quantizers import FiniteScalarQuantizer


@pytest.mark.parametrize("levels", [(2,), (3, 2), (8, 5, 5), (7, 4, 2, 3)])
def test_codes_number_the_whole_grid(levels):
    layer = FiniteScalarQuantizer(levels)
    axes = [(np.arange(n) - n // 2) / (n // 2) for n in levels]
    grid = np.array([point[::-1] for point in itertools.product(*axes[::-1])], "float32")  # first dimension fastest
    np.testing.assert_allclose(layer.codebook, grid)
    assert layer.num_codes == len(grid)
    # Far beyond both ends and at every level's centre, encode finds the level.
    middle, offset = np.array(levels) // 2, np.where(np.array(levels) % 2, 0, 0.5)
    half = (np.array(levels) - 1) * 1.001 / 2
    z = np.arctanh((grid * middle + offset) / half) - np.arctanh(offset / half)
    np.testing.assert_array_equal(layer.encode(z.astype("float32")), np.arange(len(grid)))


def test_extremes_stay_in_range_also_with_many_levels():
    layer = FiniteScalarQuantizer((2001, 2))
    codes = ops.convert_to_numpy(layer.encode(np.float32([[1e9, 1e9], [-1e9, -1e9]])))
    np.testing.assert_array_equal(codes, [2001 * 2 - 1, 0])


def test_zero_is_a_level_of_odd_and_even_dimensions():
    layer = FiniteScalarQuantizer((5, 4, 2))
    np.testing.assert_array_equal(layer(np.float32([[0.0, 0.0, 0.0], [1e-3, 1e-3, 1e-3], [-1e-3, -1e-3, -1e-3]])), 0)


def test_gradient_is_that_of_the_squashed_vector():
    import keras

    layer = FiniteScalarQuantizer((5, 4))
    layer.build((None, 2))
    z = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
    half, offset, middle = np.array([2.002, 1.5015]), np.array([0, 0.5]), np.array([2, 2])
    expected = half * (1 - np.tanh(z + np.arctanh(offset / half)) ** 2) / middle

    def total(z):
        return ops.sum(layer(z))

    if keras.backend.backend() == "jax":
        import jax

        gradient = jax.grad(total)(z)
    else:
        import tensorflow as tf

        x = tf.constant(z)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = total(x)
        gradient = tape.gradient(value, x)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
