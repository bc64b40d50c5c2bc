"""Ordered symbols from a mixture of logistics: against NumPy, and that sampling sees what training sees."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from vq_vae_tf.autoregressive import WaveNet
from vq_vae_tf.autoregressive.head import LogisticHead


def test_masses_against_numpy_and_their_sum():
    head = LogisticHead(1, 5, 4, logistics=2)
    head.build((None, 3), (None, 3))
    context = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    weights = {name: np.asarray(w) for name, w in head.weights_of(0).items()}
    hidden = np.maximum(context @ weights["from_context"] + weights["context_bias"], 0)
    hidden = hidden + np.maximum(hidden @ weights["mix"] + weights["mix_bias"], 0)
    weight, mean, log_scale = np.split(hidden @ weights["to_logits"] + weights["logits_bias"], 3, axis=-1)
    share = np.exp(weight) / np.exp(weight).sum(-1, keepdims=True)
    edges = np.array([-np.inf, -0.75, -0.25, 0.25, 0.75, np.inf])[None, :, None]
    below = 1 / (1 + np.exp(-(edges - mean[:, None]) / np.exp(log_scale)[:, None]))
    expected = (share[:, None] * np.diff(below, axis=1)).sum(-1)
    got = np.exp(np.asarray(head.logits(head.weights_of(0), context, context)))
    np.testing.assert_allclose(got, expected, atol=2e-6)
    np.testing.assert_allclose(got.sum(-1), 1.0, atol=1e-5)


def test_a_wavenet_of_logistics_steps_as_it_trains_and_comes_back_from_its_config():
    network = WaveNet(16, (9,), features=8, num_layers=3, dilation_cycle=2, logistics=3)
    symbols = np.random.default_rng(1).integers(0, 16, (2, 9)).astype(np.int32)
    whole = np.asarray(network(symbols))
    cache = network.init_cache(2)
    for t in range(9):
        logits, cache = network.step(symbols[:, t - 1], cache, t)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-4)
    copy = WaveNet.from_config(network.get_config())
    copy.build()
    copy.set_weights(network.get_weights())
    np.testing.assert_array_equal(copy(symbols), whole)


def test_it_learns_where_the_levels_lie():
    keras.utils.set_random_seed(0)
    network = WaveNet(32, (8,), features=8, num_layers=2, dilation_cycle=2, logistics=2)
    network.build()
    symbols = np.clip(np.random.default_rng(2).normal(20, 2, (64, 8)).round(), 0, 31).astype(np.int32)
    model = keras.Sequential([keras.layers.Input((8,), dtype="int32"), network])
    model.compile(
        keras.optimizers.Adam(0.03), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
    )
    model.fit(*2 * [np.tile(symbols, (60, 1))], batch_size=64, verbose=0)
    share = np.asarray(ops.softmax(network(symbols)[:, 4])).mean(0)
    level = (share * np.arange(32)).sum()
    spread = np.sqrt((share * (np.arange(32) - level) ** 2).sum())
    assert abs(level - 20) < 0.5
    assert 1.5 < spread < 3.0
