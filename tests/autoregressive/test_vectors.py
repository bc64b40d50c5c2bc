"""Codes as vectors: smooth features of them, and what predicts them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import GatedPixelCNN
from vq_vae_tf.autoregressive.vectors import along_axes, feature_count, vector_features

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(2.0, 3.0, size=(3, 9, 2))
COUNTS = RNG.integers(0, 50, (3, 9))
SYMBOLS = RNG.integers(0, 9, (5, 2, 3, 3)).astype(np.int32)


def _network(show=True):
    keras.utils.set_random_seed(1)
    network = GatedPixelCNN(9, (2, 3, 3), num_channels=3, features=8, num_layers=2, vector_dim=2)
    network.build()
    if show:
        network.show(VECTORS, COUNTS)
    return network


def _stirred():
    network = _network()
    network.head.to_logits.assign(keras.random.normal(network.head.to_logits.shape, stddev=0.3, seed=1))
    return network


def test_features_are_standard_and_smooth_functions_of_the_vectors():
    features = vector_features(VECTORS)
    assert features.shape == (3, 9, feature_count(2))
    np.testing.assert_allclose(features.mean(1), 0.0, atol=1e-6)
    np.testing.assert_allclose(features.std(1), 1.0, rtol=1e-5)
    u = (VECTORS - VECTORS.mean(1, keepdims=True)) / VECTORS.std(1, keepdims=True)
    expected = [u[..., 0], u[..., 1], abs(u[..., 0]), abs(u[..., 1]), np.tanh(2 * u[..., 0]), np.tanh(2 * u[..., 1])]
    expected += [np.log1p(4 * u[..., i] ** 2) for i in (0, 1)]
    expected += [u[..., 0] ** 2, u[..., 0] * u[..., 1], u[..., 1] ** 2]
    for found, value in zip(np.moveaxis(features, -1, 0), expected, strict=True):
        standard = (value - value.mean(1, keepdims=True)) / value.std(1, keepdims=True)
        np.testing.assert_allclose(found, standard, rtol=1e-4, atol=1e-5)


def test_the_axes_of_most_difference_come_first_and_keep_distances():
    random = np.random.default_rng(1)
    spread = np.array([0.1, 3.0, 0.5, 1.5])
    turn = np.linalg.qr(random.normal(size=(2, 4, 4)))[0]
    vectors = (random.normal(size=(2, 40, 4)) * spread) @ turn + 7.0
    seen = along_axes(vectors, 4)
    apart = np.linalg.norm(vectors[:, :, None] - vectors[:, None], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(seen[:, :, None] - seen[:, None], axis=-1), apart, atol=1e-9)
    variance = np.stack([np.linalg.eigvalsh(np.cov(v.T, bias=True))[::-1] for v in vectors])
    np.testing.assert_allclose(seen.var(axis=1), variance, rtol=1e-9)
    np.testing.assert_array_equal(along_axes(vectors, 2), seen[..., :2])
    np.testing.assert_allclose(along_axes(vectors[:, ::-1], 4)[:, ::-1], seen, atol=1e-9)  # whatever the order
    np.testing.assert_allclose(np.abs(along_axes(-vectors, 4)), np.abs(seen), atol=1e-9)


def test_a_dimension_that_no_code_uses_has_no_features():
    flat = VECTORS * [1.0, 0.0]
    features = vector_features(flat)
    assert np.isfinite(features).all()
    assert not features[..., 1].any()


def test_it_starts_from_how_often_each_code_comes():
    nats = ops.convert_to_numpy(_network().nats(SYMBOLS))
    frequency = (COUNTS + 1.0) / (COUNTS + 1.0).sum(1, keepdims=True)
    expected = -np.log(frequency[np.arange(3), SYMBOLS])
    np.testing.assert_allclose(nats, expected, rtol=1e-4)


def test_nats_are_the_cross_entropy_of_the_logits():
    network = _stirred()
    logits = ops.convert_to_numpy(network(SYMBOLS)).astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.take_along_axis(logs, SYMBOLS[..., None], -1)[..., 0]
    assert expected.std() > 0.5
    nats = ops.convert_to_numpy(network.nats(SYMBOLS))
    np.testing.assert_allclose(nats, expected, rtol=1e-4, atol=1e-6)  # -log of a float32 near 1


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients by tf.GradientTape")
def test_the_gradient_is_that_of_the_cross_entropy():
    import tensorflow as tf

    network = _stirred()
    weights = np.random.default_rng(2).normal(size=SYMBOLS.shape).astype("float32")
    with tf.GradientTape(persistent=True) as tape:
        ours = ops.sum(weights * network.nats(SYMBOLS))
        logits = network(SYMBOLS)
        theirs = ops.sum(weights * ops.sparse_categorical_crossentropy(SYMBOLS, logits, from_logits=True))
    for weight in network.trainable_variables:
        expected = tape.gradient(theirs, weight)
        assert (expected is None) == (tape.gradient(ours, weight) is None)
        if expected is not None:
            np.testing.assert_allclose(tape.gradient(ours, weight), expected, rtol=1e-3, atol=1e-4)


def test_a_neighbour_learns_with_a_code():
    """Trained to expect one code alone, it expects the codes near it more than those far from it."""
    network = _network()
    model = keras.Sequential([network])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    always = np.full((16, 2, 3, 3), 4, np.int32)
    model.fit(always, always, epochs=20, verbose=0)
    logits = ops.convert_to_numpy(network(always))[0, 1, 1] - np.log(COUNTS + 1.0)
    distance = np.linalg.norm(VECTORS - VECTORS[:, 4:5], axis=-1)
    assert (logits.argmax(-1) == 4).all()
    for channel in range(3):
        near, far = np.argsort(distance[channel])[[1, -1]]
        assert logits[channel, near] > logits[channel, far]


def test_both_kinds_of_order_at_once_are_refused():
    with pytest.raises(ValueError, match="logistics=2 and vector_dim=3; give one of them"):
        GatedPixelCNN(9, (2, 2), logistics=2, vector_dim=3)
