"""How exactly each dimension is told: what it changes, what it costs, and that it is learned as it should be."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.quantizers import ProductQuantizer
from vq_vae_tf.quantizers.product import SLOW

TEMPERATURE, RATE_COST = 0.3, 0.7


def _layer(**changes):
    values = {"temperature": TEMPERATURE, "rate_cost": RATE_COST, "ema_decay": 0.9, "commitment_cost": 0.5} | changes
    layer = ProductQuantizer(2, 16, 4, **values)
    layer(_z(), training=True)
    layer.precision.assign(np.array([0.5, -1.0, 0.0, 1.5]) / SLOW)
    return layer


def _z(n=400, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 4)).astype("float32")


def _codebook(layer):
    """The codes as vectors of z: `[2, 16, 2]`."""
    codes = np.repeat(np.arange(16)[:, None], 2, axis=1)
    return ops.convert_to_numpy(layer.decode(codes)).reshape(16, 2, 2).transpose(1, 0, 2).astype(np.float64)


def test_distances_are_of_weighted_dimensions():
    layer, z = _layer(), _z(seed=1)
    book, weight = _codebook(layer), np.exp([0.5, -1.0, 0.0, 1.5]).reshape(2, 1, 2)
    differences = (z.reshape(-1, 2, 1, 2) - book) * weight
    np.testing.assert_array_equal(layer.encode(z), np.square(differences).sum(-1).argmin(-1))


def test_codes_stay_where_they_are_when_the_precision_changes():
    layer = _layer()
    before = _codebook(layer)
    layer.precision.assign(np.array([-0.5, 0.3, 1.0, 0.0]) / SLOW)
    np.testing.assert_allclose(_codebook(layer), before, rtol=1e-5)


def test_a_new_layer_without_a_rate_cost_quantizes_alike():
    z = _z()
    outputs = []
    for rate_cost in (0.0, RATE_COST):
        layer = ProductQuantizer(2, 16, 4, temperature=TEMPERATURE, rate_cost=rate_cost, ema_decay=0.9)
        for _ in range(3):
            outputs.append(ops.convert_to_numpy(layer(z, training=True)))
    np.testing.assert_allclose(outputs[:3], outputs[3:], atol=1e-6)


def test_the_loss_is_the_commitment_and_the_rate():
    layer, z = _layer(), _z(seed=2)
    weight, book = np.exp([0.5, -1.0, 0.0, 1.5]), _codebook(layer)
    z_q = ops.convert_to_numpy(layer(z))
    commitment = 0.5 * np.square((z - z_q) * weight).mean()
    variance = book.var(axis=1).reshape(4) * weight**2
    rate = 0.5 * np.log1p(2.0 * variance / TEMPERATURE).sum()
    np.testing.assert_allclose(float(sum(layer.losses)), commitment + RATE_COST * rate, rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients by tf.GradientTape")
def test_the_gradient_of_the_precision_is_the_hand_derived_one():
    """z_q = z + n, n = exp(-s) m: c . z_q has the derivative -c . n; commitment has none; the rate has v / (1 + v)."""
    import tensorflow as tf

    layer, z = _layer(revive_below=0), _z(seed=3)
    slopes = np.random.default_rng(4).normal(size=z.shape).astype("float32")
    book = _codebook(layer)
    with tf.GradientTape() as tape:
        z_q = layer(z, training=True)
        loss = ops.sum(slopes * z_q) + sum(layer.losses)
    gradient = tape.gradient(loss, layer.precision)
    variance = 2.0 * book.var(axis=1).reshape(4) * np.exp([1.0, -2.0, 0.0, 3.0]) / TEMPERATURE
    noise = ops.convert_to_numpy(z_q).astype(np.float64) - z
    expected = -(slopes * noise).sum(0) + RATE_COST * variance / (1.0 + variance)
    np.testing.assert_allclose(gradient, SLOW * expected, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients by tf.GradientTape")
def test_each_dimension_is_told_as_exactly_as_its_errors_cost():
    """Of a quadratic cost, lambda_i n_i^2 / 2 nats, the best noise has the variance 1 / (lambda_i + 1 / var_i)."""
    import tensorflow as tf

    costs = np.array([30.0, 300.0], np.float32)
    layer = ProductQuantizer(1, 256, 2, temperature=0.02, rate_cost=1.0, ema_decay=0.9, commitment_cost=0.0)
    optimizer = keras.optimizers.Adam(0.02 / SLOW)

    @tf.function
    def step(z):
        with tf.GradientTape() as tape:
            noise = layer(z, training=True) - z
            loss = ops.mean(ops.sum(0.5 * costs * ops.square(noise), axis=-1)) + sum(layer.losses)
        optimizer.apply(tape.gradient(loss, [layer.precision]), [layer.precision])
        return ops.mean(ops.square(noise), axis=0)

    layer(_z()[:, :2], training=True)
    variances = [step(_z(400, seed)[:, :2]) for seed in range(200)]
    measured = np.mean([v.numpy() for v in variances[-50:]], axis=0)
    np.testing.assert_allclose(measured, 1.0 / (costs + 1.0), rtol=0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate_cost": -1.0, "temperature": 1.0}, "rate_cost=-1.0; expected a number that is not negative"),
        ({"rate_cost": 0.1}, "rate_cost=0.1; expected 0 beside temperature=0"),
    ],
)
def test_impossible_rate_costs_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ProductQuantizer(2, 4, 4, **arguments)
