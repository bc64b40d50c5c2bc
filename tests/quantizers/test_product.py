"""A product quantizer is a quantizer for each slice."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.quantizers import ProductQuantizer, VectorQuantizer


@pytest.mark.parametrize("ema_decay", [None, 0.8])
def test_each_slice_is_a_vector_quantizer(ema_decay):
    fixed = {"initialization": "random_normal", "revive_below": 0, "ema_decay": ema_decay}
    product = ProductQuantizer(3, 5, 6, **fixed)
    product.build((None, 6))
    slices = [VectorQuantizer(5, 2, **fixed) for _ in range(3)]
    for book, layer in enumerate(slices):
        layer.build((None, 2))
        layer._book._codes.assign(product._book._codes[book])
    for step in range(5):
        z = np.random.default_rng(step).normal(size=(20, 6)).astype("float32")
        whole = product(z, training=True)
        parts = [layer(z[:, 2 * book : 2 * book + 2], training=True) for book, layer in enumerate(slices)]
        np.testing.assert_allclose(whole, np.concatenate([ops.convert_to_numpy(p) for p in parts], -1), atol=1e-6)
        losses = [float(sum(layer.losses)) for layer in slices]
        np.testing.assert_allclose(float(sum(product.losses)), np.mean(losses), rtol=1e-5)
    for book, layer in enumerate(slices):
        np.testing.assert_allclose(product.codebook[book], layer.codebook, atol=1e-6)
        np.testing.assert_array_equal(product.code_counts[book], layer.code_counts.value)


def test_codebooks_start_from_slices_of_the_data():
    layer = ProductQuantizer(2, 8, 4)
    z = np.random.default_rng(0).normal(size=(40, 4)).astype("float32") + np.float32([10, 10, -10, -10])
    layer(z, training=True)
    codebook = ops.convert_to_numpy(layer.codebook)
    for book in range(2):
        rows = [np.abs(z[:, 2 * book : 2 * book + 2] - code).max(-1).argmin() for code in codebook[book]]
        np.testing.assert_allclose(codebook[book], z[rows, 2 * book : 2 * book + 2], atol=1e-5)
        assert len(set(rows)) == 8


def test_codebooks_must_divide_the_vector():
    with pytest.raises(ValueError, match="num_codebooks=3; expected a divisor of embedding_dim=8"):
        ProductQuantizer(3, 4, 8)


def test_temperature_draws_codes_in_training_alone():
    layer = ProductQuantizer(2, 6, 4, temperature=5.0, initialization="random_normal", revive_below=0)
    z = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    draws = [ops.convert_to_numpy(layer(z, training=True)) for _ in range(2)]
    assert not np.array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(layer(z), layer.decode(layer.encode(z)))
    with pytest.raises(ValueError, match="ProductQuantizer received temperature=-1; expected"):
        ProductQuantizer(2, 6, 4, temperature=-1)
