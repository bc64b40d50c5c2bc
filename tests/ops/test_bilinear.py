"""Pictures read between their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.ops.bilinear import bilinear


def oracle(pictures, rows, columns):
    """A tent around every pixel, in float64; places outside are moved to the border."""
    height, width = pictures.shape[1:3]
    rows, columns = np.clip(rows, 0, height - 1.0), np.clip(columns, 0, width - 1.0)
    down = np.maximum(0, 1 - np.abs(rows[..., None] - np.arange(height)))
    right = np.maximum(0, 1 - np.abs(columns[..., None] - np.arange(width)))
    return np.einsum("b...i,b...j,bijc->b...c", down, right, pictures)


@pytest.mark.parametrize("size", [(5, 7), (1, 4), (4, 1), (2, 2), (1, 1)])
@pytest.mark.parametrize("places", [(6,), (2, 3, 4)])
def test_it_is_a_sum_of_tents(size, places):
    random = np.random.default_rng(0)
    pictures = random.normal(size=(3, *size, 2)).astype(np.float32)
    rows, columns = (random.uniform(-2, side + 1, (3, *places)).astype(np.float32) for side in size)
    found = ops.convert_to_numpy(bilinear(pictures, rows, columns))
    np.testing.assert_allclose(found, oracle(pictures.astype(np.float64), rows, columns), atol=1e-5)


def test_whole_places_are_pixels_and_so_are_the_borders():
    pictures = np.random.default_rng(0).normal(size=(2, 3, 4, 1)).astype(np.float32)
    rows, columns = (np.broadcast_to(each, (2, 3, 4)).astype(np.float32) for each in np.mgrid[:3, :4])
    np.testing.assert_array_equal(ops.convert_to_numpy(bilinear(pictures, rows, columns)), pictures)
    far = ops.convert_to_numpy(bilinear(pictures, rows * 0 + 99, columns * 0 - 99))
    np.testing.assert_array_equal(far, np.broadcast_to(pictures[:, -1:, :1], (2, 3, 4, 1)))


@pytest.mark.skipif(
    "not __import__('keras').backend.backend() == 'tensorflow'", reason="gradients by TensorFlow's tape"
)
def test_the_gradient_of_a_place_is_the_slope_there():
    import tensorflow as tf

    pictures = np.random.default_rng(0).normal(size=(1, 4, 5, 2)).astype(np.float32)
    rows, columns = tf.constant([[0.3, 2.6, -1.0]]), tf.constant([[1.2, 3.7, 2.5]])
    with tf.GradientTape() as tape:
        tape.watch([rows, columns])
        total = tf.reduce_sum(bilinear(pictures, rows, columns))
    step = 1e-3
    for found, shift in zip(tape.gradient(total, [rows, columns]), ((step, 0), (0, step)), strict=True):
        over = oracle(pictures.astype(np.float64), rows.numpy() + shift[0], columns.numpy() + shift[1])
        under = oracle(pictures.astype(np.float64), rows.numpy() - shift[0], columns.numpy() - shift[1])
        np.testing.assert_allclose(found, ((over - under) / (2 * step)).sum(-1), atol=2e-3)
