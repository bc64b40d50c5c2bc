"""The paper's quantizer against NumPy: losses and gradients term by term, moving averages, initial and dead codes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.quantizers import VectorQuantizer


def _z(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _fixed(**kwargs):
    """A layer with the codebook that its initializer gave it: neither set from data nor revived."""
    layer = VectorQuantizer(6, 3, initialization="random_normal", revive_below=0, **kwargs)
    layer.build((None, 3))
    return layer


def _oracle_codes(z, codebook):
    return np.square(z[:, None].astype("float64") - codebook).sum(-1).argmin(1)


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_gradients_are_equation_3s(ema_decay, gradients):
    layer = _fixed(commitment_cost=0.7, ema_decay=ema_decay)
    z, upstream = _z(10, 3), _z(10, 3, seed=1)
    codebook = ops.convert_to_numpy(layer.codebook)
    codes = _oracle_codes(z, codebook)
    to_z, *to_codebook = gradients(layer, z, upstream)
    difference = 2 * (z - codebook[codes]) / z.size
    np.testing.assert_allclose(to_z, upstream + 0.7 * difference, atol=1e-6)
    if ema_decay is not None:
        assert to_codebook == []
        return
    expected = np.zeros_like(codebook)
    np.add.at(expected, codes, -difference)
    np.testing.assert_allclose(to_codebook[0], expected, atol=1e-6)


def test_loss_is_equation_3s_means():
    layer = _fixed(commitment_cost=0.7)
    z = _z(10, 3)
    error = np.square(z - ops.convert_to_numpy(layer.decode(layer.encode(z)))).mean()
    layer(z)
    np.testing.assert_allclose(float(sum(layer.losses)), 1.7 * error, rtol=1e-5)


def test_moving_averages_are_appendix_a1s():
    layer, decay = _fixed(ema_decay=0.8), 0.8
    start = np.array(ops.convert_to_numpy(layer.codebook), "float64")
    layer._book.usage.assign(np.full(6, 3.0, "float32"))
    m, n_mean = 3.0 * start, np.full(6, 3.0)
    for step in range(30):
        z = _z(9, 3, seed=step)
        codes = _oracle_codes(z, m / n_mean[:, None])
        layer(z, training=True)
        m = decay * m + (1 - decay) * np.stack([z[codes == k].sum(0) for k in range(6)])
        n_mean = decay * n_mean + (1 - decay) * np.bincount(codes, minlength=6)
    np.testing.assert_allclose(layer.codebook, m / n_mean[:, None], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("usage", [0.0, 1.0])
def test_first_step_leaves_unused_codes_where_they_were(usage):
    layer = _fixed(ema_decay=0.99)
    layer._book.usage.assign(np.full(6, usage, "float32"))
    before = ops.convert_to_numpy(layer.codebook).copy()
    z = np.tile(before[2] + 0.001, (20, 1))
    layer(z, training=True)
    after = ops.convert_to_numpy(layer.codebook)
    unused = np.arange(6) != 2
    np.testing.assert_array_equal(after[unused], before[unused])
    assert not np.array_equal(after[2], before[2])


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_codes_start_as_different_vectors_of_the_first_batch(ema_decay):
    layer = VectorQuantizer(8, 3, ema_decay=ema_decay)
    z = _z(40, 3) + 50
    output = ops.convert_to_numpy(layer(z, training=True))
    assert len(np.unique(output, axis=0)) == 8
    drawn = ops.convert_to_numpy(layer.codebook)
    if ema_decay is None:  # moving averages have moved on already
        assert all(np.abs(z - code).max(-1).min() < 1e-4 for code in drawn)
    layer(_z(40, 3, seed=1) + 50, training=True)
    second = ops.convert_to_numpy(layer.codebook)
    assert np.abs(second - drawn).max() < 3  # the state survives step two
    if ema_decay is None:
        np.testing.assert_array_equal(second, drawn)


def test_a_codebook_larger_than_the_batch_fills_over_the_first_batches():
    layer = VectorQuantizer(20, 3, ema_decay=0.9)
    for step in range(12):
        layer(_z(8, 3, seed=step) + 50, training=True)
    assert np.all(ops.convert_to_numpy(layer.codebook).min(-1) > 40)


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_dead_codes_come_back_with_all_their_state(ema_decay):
    layer = VectorQuantizer(8, 3, ema_decay=ema_decay, revive_below=0.2, initialization="random_normal")
    layer(_z(40, 3), training=True)
    usage = np.full(8, 5.0, "float32")
    usage[[2, 6]] = 0.5  # the share of one code is 5
    layer._book.usage.assign(usage)
    before = ops.convert_to_numpy(layer.codebook).copy()
    z = _z(40, 3, seed=1) + 9
    layer(z, training=True)
    after, usage = ops.convert_to_numpy(layer.codebook), ops.convert_to_numpy(layer._book.usage.value)
    assert np.all(after[[2, 6]].min(-1) > 4)
    assert np.all(usage[[2, 6]] > 4)
    alive = [0, 1, 3, 4, 5, 7]
    assert np.abs(after[alive] - before[alive]).max() < (1e-6 if ema_decay is None else 9)


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_a_code_is_revived_below_the_threshold_and_not_above(ema_decay):
    """The share of 8 codes of 40 vectors is 5, a fifth of it 1; the vectors lie far from all but the new code."""
    layer = VectorQuantizer(8, 3, ema_decay=ema_decay, revive_below=0.2, initialization="random_normal")
    layer.build((None, 3))
    usage = np.full(8, 5.0, "float32")
    usage[[2, 6]] = 1.05, 0.95
    layer._book.usage.assign(usage)
    layer(_z(40, 3) + 9, training=True)
    decay = 0.99 if ema_decay is None else ema_decay
    expected = decay * usage
    expected[6] = decay * 5 + (1 - decay) * 40
    np.testing.assert_allclose(layer._book.usage.value, expected, rtol=1e-5)


def test_without_moving_averages_of_codes_their_use_has_one_of_decay_099():
    layer = _fixed()
    codebook = ops.convert_to_numpy(layer.codebook)
    first, second = [0, 0, 0, 1], [1, 2, 2, 2, 2, 3]
    for codes in (first, second):
        layer(codebook[codes], training=True)
    counts = [np.bincount(codes, minlength=6) for codes in (first, second)]
    np.testing.assert_allclose(layer._book.usage.value, 0.01 * (0.99 * counts[0] + counts[1]), rtol=1e-4)


def test_data_without_revival_and_revival_without_data():
    kept = VectorQuantizer(8, 3, ema_decay=0.5, revive_below=0)
    for step in range(40):
        kept(_z(8, 3) + (50 if step else 0), training=True)
    assert (ops.convert_to_numpy(kept.codebook).min(-1) < 40).any()  # a dead code stays
    set_ = VectorQuantizer(8, 3, initialization="ones")
    set_(_z(8, 3) + 50, training=True)
    np.testing.assert_array_equal(set_.codebook, np.ones((8, 3)))


def test_cosine_compares_directions_and_gives_unit_vectors():
    layer = VectorQuantizer(6, 3, distance="cosine", ema_decay=0.9)
    for step in range(3):
        output = ops.convert_to_numpy(layer(_z(30, 3, seed=step) * (1 + step), training=True))
    np.testing.assert_allclose(np.linalg.norm(output, axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(layer.codebook, axis=-1), 1, rtol=1e-5)
    z = _z(30, 3, seed=9)
    similarity = (z / np.linalg.norm(z, axis=-1, keepdims=True)) @ ops.convert_to_numpy(layer.codebook).T
    np.testing.assert_array_equal(layer.encode(z), similarity.argmax(-1))
    np.testing.assert_array_equal(layer.encode(7 * z), layer.encode(z))


def test_temperature_samples_in_training_alone():
    layer = VectorQuantizer(6, 3, temperature=5.0, initialization="random_normal", revive_below=0.01)
    z = _z(50, 3)
    draws = [ops.convert_to_numpy(layer(z, training=True)) for _ in range(2)]
    assert not np.array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(layer(z), layer.decode(layer.encode(z)))


def test_temperature_follows_a_schedule_of_what_was_learned():
    cool_then_hot = keras.optimizers.schedules.PiecewiseConstantDecay([2], [1e-9, 1e9])
    options = {"initialization": "random_normal", "revive_below": 0}
    layer = VectorQuantizer(6, 3, temperature=cool_then_hot, **options)
    z = _z(600, 3)
    nearest = ops.convert_to_numpy(layer.decode(layer.encode(z)))
    shares = []
    for _ in range(4):
        shares.append(np.mean(np.all(ops.convert_to_numpy(layer(z, training=True)) == nearest, axis=-1)))
        layer(z)  # teaches nothing, so nothing grows warmer
    assert shares[:2] == [1, 1]
    np.testing.assert_allclose(shares[2:], 1 / 6, atol=0.06)  # so hot that all codes are as likely
    np.testing.assert_allclose(layer.temperature, 1e9)
    again = VectorQuantizer.from_config(layer.get_config())
    np.testing.assert_allclose(again.temperature, 1e-9)
    for _ in range(3):
        again(z, training=True)
    np.testing.assert_allclose(again.temperature, 1e9)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_embeddings", 1),
        ("embedding_dim", 0),
        ("commitment_cost", -1.0),
        ("ema_decay", 1.0),
        ("revive_below", 1.5),
        ("gradient", "none"),
        ("distance", "manhattan"),
        ("temperature", -1.0),
    ],
)
def test_impossible_arguments_are_refused_by_name(argument, value):
    with pytest.raises(ValueError, match=f"VectorQuantizer received .*={value!r}; expected"):
        VectorQuantizer(**{"num_embeddings": 6, "embedding_dim": 3, argument: value})
