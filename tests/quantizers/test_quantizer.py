"""What `fit` shows, and what is counted."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from vq_vae_tf.ops.entropy import perplexity
from vq_vae_tf.quantizers import ProductQuantizer, VectorQuantizer


def _z(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_fit_shows_the_perplexity_of_the_whole_epoch():
    layer = VectorQuantizer(16, 3, ema_decay=0.9)
    model = keras.Sequential([keras.Input((5, 3)), layer])
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(0.0))
    model.add(keras.layers.Dense(3))
    model.compile(optimizer="sgd", loss="mse")
    z = _z(12, 5, 3)
    history = model.fit(z, z, epochs=2, batch_size=4, verbose=0).history
    counts = ops.convert_to_numpy(layer.code_counts.value)
    assert counts.sum() == 60  # of the second epoch alone
    np.testing.assert_allclose(history["perplexity"][-1], float(perplexity(counts)), rtol=1e-5)
    assert history["codes_in_use"][-1] == np.count_nonzero(counts)


def test_counts_are_the_codes_of_training_calls_alone():
    layer = ProductQuantizer(2, 4, 6, initialization="random_normal", revive_below=0)
    z = _z(7, 3, 6)
    codes = ops.convert_to_numpy(layer.encode(z)).reshape(-1, 2)
    layer(z, training=True)
    layer(z, training=False)
    layer.encode(z)
    expected = [np.bincount(codes[:, book], minlength=4) for book in range(2)]
    np.testing.assert_array_equal(layer.code_counts.value, expected)
    layer.reset_code_counts()
    np.testing.assert_array_equal(layer.code_counts.value, np.zeros((2, 4)))


def test_a_keras_mask_reaches_the_quantizer():
    layer = VectorQuantizer(4, 2, ema_decay=0.9)
    x = np.array([[[0, 0], [1, 2], [0, 0]], [[3, 4], [0, 0], [0, 0]]], "float32")
    layer(keras.layers.Masking()(x), training=True)
    assert float(ops.sum(layer.code_counts.value)) == 2
