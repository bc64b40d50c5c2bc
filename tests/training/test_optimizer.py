from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.training.optimizer import Adam, LossScale, WeightAverage, learning_rate
from vq_vae_tf.training.options import TrainingOptions

RNG = np.random.default_rng(0)


def numpy_adam(weights, gradients_of_steps, rates, clip_norm=0.0, weight_decay=0.0, decayed=()):
    """Algorithm 1 of Kingma & Ba in float64, with clipping and decoupled decay."""
    weights = [w.astype(np.float64) for w in weights]
    m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for t, (gradients, rate) in enumerate(zip(gradients_of_steps, rates, strict=True), start=1):
        norm = math.sqrt(sum(float(np.sum(g.astype(np.float64) ** 2)) for g in gradients))
        scale = min(1.0, clip_norm / norm) if clip_norm else 1.0
        for i, g in enumerate(gradients):
            m[i] = 0.9 * m[i] + 0.1 * g * scale
            v[i] = 0.999 * v[i] + 0.001 * (g * scale) ** 2
            step = rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m[i] / (np.sqrt(v[i]) + 1e-8)
            weights[i] = weights[i] * (1 - rate * weight_decay * (i in decayed)) - step
    return weights


def test_adam_is_the_papers_with_clipping_of_all_gradients_together_and_decay_of_kernels_only():
    options = TrainingOptions(
        steps=10, learning_rate=0.05, schedule="linear", warmup_steps=2, clip_norm=1.0, weight_decay=0.2
    )
    start = [RNG.normal(size=(3, 2)), RNG.normal(size=(2,)), RNG.normal(size=(5, 2))]
    variables = [
        keras.Variable(w, dtype="float32", name=n) for w, n in zip(start, ("kernel", "bias", "codebook"), strict=True)
    ]
    gradients = [[RNG.normal(size=w.shape) * size for w in start] for size in (0.01, 10.0, 0.3, 1e-4)]
    optimizer = Adam(variables, options)
    for step, each in enumerate(gradients):
        optimizer.apply([tf.constant(g, tf.float32) for g in each], tf.constant(step, tf.int64))
    rates = [0.05 * 1 / 2, 0.05 * 2 / 2, 0.05, 0.05 * (1 - 1 / 8)]
    expected = numpy_adam(start, gradients, rates, clip_norm=1.0, weight_decay=0.2, decayed={0})
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=2e-5, atol=1e-6)


def test_adam_without_extras_is_keras_adam():
    value = RNG.normal(size=(4, 3)).astype("float32")
    ours, theirs = keras.Variable(value, name="kernel"), keras.Variable(value, name="kernel")
    optimizer = Adam([ours], TrainingOptions(learning_rate=0.01))
    peer = keras.optimizers.Adam(0.01, epsilon=1e-8)
    for step in range(5):
        gradient = tf.constant(RNG.normal(size=(4, 3)), tf.float32)
        optimizer.apply([gradient], tf.constant(step, tf.int64))
        peer.apply([gradient], [theirs])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", {4: 1.0, 8: 1.0, 11: 1.0}),
        ("linear", {4: 1.0, 8: 0.5, 11: 1 / 8}),
        ("cosine", {4: 1.0, 8: 0.5, 11: 0.5 * (1 + math.cos(math.pi * 7 / 8))}),
    ],
)
def test_schedule(schedule, expected):
    options = TrainingOptions(steps=12, learning_rate=0.3, warmup_steps=4, schedule=schedule)
    for step, factor in {0: 0.25, 1: 0.5, 3: 1.0, **expected}.items():
        assert float(learning_rate(options, tf.constant(step))) == pytest.approx(0.3 * factor, rel=1e-5)


def test_warmup_of_the_whole_run():
    options = TrainingOptions(steps=4, learning_rate=1.0, warmup_steps=4, schedule="cosine")
    assert [float(learning_rate(options, tf.constant(i))) for i in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_loss_scale_halves_on_overflow_and_doubles_after_2000_good_steps():
    scale = LossScale()
    half = tf.constant([2.0**15, 2.0**14], tf.float16)
    gradients, finite = scale.unscale([half])
    assert bool(finite)
    np.testing.assert_array_equal(gradients[0].numpy(), [1.0, 0.5])
    _, finite = scale.unscale([half, tf.constant([np.inf], tf.float16)])
    assert not bool(finite)
    assert float(scale.scale) == 2.0**14
    for _ in range(2000):
        assert float(scale.scale) == 2.0**14
        scale.unscale([tf.constant([1.0])])
    assert float(scale.scale) == 2.0**15


def test_average_follows_its_equation_and_swaps_back():
    kernel, count = keras.Variable([1.0, 2.0], name="kernel"), keras.Variable([5.0], name="code_counts")
    state = keras.Variable([1, 2], dtype="int32", name="seed_generator_state")
    average = WeightAverage([kernel, count, state], decay=0.5)
    expected = np.array([1.0, 2.0])
    for step, value in enumerate(([3.0, 0.0], [7.0, -4.0], [0.0, 1.0])):
        kernel.assign(value)
        average.update(tf.constant(step, tf.int64))
        decay = min(0.5, (1 + step + 1) / (10 + step + 1))
        expected = decay * expected + (1 - decay) * np.array(value)
    count.assign([9.0])
    average.swap()
    np.testing.assert_allclose(kernel.numpy(), expected, rtol=1e-6)
    assert count.numpy().tolist() == [9.0]
    assert state.numpy().tolist() == [1, 2]
    average.swap()
    assert kernel.numpy().tolist() == [0.0, 1.0]


def test_no_average_keeps_nothing_and_swaps_nothing():
    kernel = keras.Variable([1.0], name="kernel")
    average = WeightAverage([kernel], decay=0.0)
    average.update(tf.constant(0, tf.int64))
    average.swap()
    assert average.variables == []
    assert kernel.numpy().tolist() == [1.0]
