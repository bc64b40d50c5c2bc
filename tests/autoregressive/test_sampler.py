"""The sampler, driven by a network whose probabilities are known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive.sampler import draw, sample, sample_naive, truncate

CHANCES = np.array([0.4, 0.3, 0.2, 0.1])
ROWS = 6000


class Known:
    """At position t, symbol s has probability `CHANCES[(s + t + previous) % 4]`; position 0 has previous 0."""

    num_symbols = 4
    symbol_shape = (2, 2)
    num_positions = 4

    def init_cache(self, batch_size, condition=None):
        return (ops.zeros((batch_size,), dtype="int32"),)

    def step(self, previous, cache, position):
        order = (ops.arange(4)[None] + position + previous[:, None]) % 4
        return ops.take(np.log(CHANCES).astype(np.float32), order, axis=0), cache

    def __call__(self, symbols, condition=None, training=None):
        flat = ops.reshape(symbols, (-1, 4))
        before = ops.pad(flat[:, :-1], ((0, 0), (1, 0)))
        logits = [self.step(before[:, t], (), t)[0] for t in range(4)]
        return ops.reshape(ops.stack(logits, axis=1), (-1, 2, 2, 4))


def _ranks(symbols):
    """Which entry of CHANCES each symbol of `Known` had: `[rows, positions]`."""
    flat = ops.convert_to_numpy(symbols).reshape(len(symbols), -1)
    before = np.concatenate([np.zeros((len(flat), 1), int), flat[:, :-1]], axis=1)
    return (flat + np.arange(4) + before) % 4


def _compiled(function):
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, autograph=False)


def _frequencies(**settings):
    return np.bincount(_ranks(_compiled(lambda: sample(Known(), ROWS, 3, **settings))()).ravel(), minlength=4) / (
        4 * ROWS
    )


def _expected(weights):
    return np.asarray(weights) / np.sum(weights)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, CHANCES),
        ({"temperature": 0.5}, _expected(CHANCES**2)),
        ({"temperature": 3.0}, _expected(CHANCES ** (1 / 3))),
        ({"top_k": 2}, _expected([4, 3, 0, 0])),
        ({"top_k": 4}, CHANCES),
        ({"top_p": 0.65}, _expected([4, 3, 0, 0])),  # 0.4 falls short of 0.65, 0.4 + 0.3 reaches it
        ({"top_p": 0.75}, _expected([4, 3, 2, 0])),
        ({"top_p": 0.01}, [1, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.7, "temperature": 0.5}, _expected([16, 9, 0, 0])),  # 16, 9, 4 of 29: 0.55 then 0.86
        ({"top_k": 1, "temperature": 9.0}, [1, 0, 0, 0]),
    ],
)
def test_symbols_come_with_the_probabilities_asked_for(settings, expected):
    frequencies = _frequencies(**settings)
    np.testing.assert_allclose(frequencies, expected, atol=0.013)  # 4 standard deviations of 24,000 draws
    assert (frequencies[np.asarray(expected) == 0] == 0).all()


def test_positions_are_independent_draws_given_the_past():
    ranks = _ranks(_compiled(lambda: sample(Known(), ROWS, 5))())
    joint = np.histogram2d(ranks[:, 0], ranks[:, 3], bins=4)[0] / ROWS
    np.testing.assert_allclose(joint, CHANCES[:, None] * CHANCES, atol=0.02)


def test_the_same_seed_gives_the_same_sample_naive_and_in_a_smaller_batch():
    whole = ops.convert_to_numpy(sample(Known(), 50, 11))
    np.testing.assert_array_equal(whole, ops.convert_to_numpy(sample_naive(Known(), 50, 11)))
    np.testing.assert_array_equal(whole[:7], ops.convert_to_numpy(sample(Known(), 7, 11)))
    np.testing.assert_array_equal(whole, ops.convert_to_numpy(sample(Known(), 50, 11 + 2**32)))
    assert (whole != ops.convert_to_numpy(sample(Known(), 50, 12))).mean() > 0.4


def test_kept_symbols_stay_and_the_others_are_drawn_given_them():
    given = np.random.default_rng(0).integers(0, 4, (ROWS, 2, 2)).astype(np.int32)
    mask = np.array([[0, 1], [0, 1]], np.uint8)
    drawn = ops.convert_to_numpy(_compiled(lambda: sample(Known(), ROWS, 3, given=given, keep_mask=mask))())
    np.testing.assert_array_equal(drawn[:, :, 1], given[:, :, 1])
    ranks = _ranks(drawn)
    for position in (0, 2):
        np.testing.assert_allclose(np.bincount(ranks[:, position], minlength=4) / ROWS, CHANCES, atol=0.03)


def test_a_mask_may_differ_from_example_to_example_and_be_boolean():
    given = np.arange(12).reshape(3, 2, 2) % 4
    mask = np.arange(12).reshape(3, 2, 2) % 3 == 0
    drawn = ops.convert_to_numpy(sample(Known(), 3, 3, given=given.astype(np.int32), keep_mask=mask))
    free = ops.convert_to_numpy(sample(Known(), 3, 3))
    np.testing.assert_array_equal(drawn[mask], given[mask])
    assert (free[mask] != given[mask]).any()


@pytest.mark.parametrize("shape", [(5, 0), (5, 3), (5, 1, 2), (5, 2, 2)])
def test_a_prefix_is_kept(shape):
    prefix = np.random.default_rng(0).integers(0, 4, shape).astype(np.int32)
    drawn = ops.convert_to_numpy(sample(Known(), 5, 3, given=prefix)).reshape(5, 4)
    flat = prefix.reshape(5, -1)
    np.testing.assert_array_equal(drawn[:, : flat.shape[1]], flat)


def test_ties_at_the_edge_are_kept_and_masked_symbols_never_win():
    logits = ops.convert_to_tensor([[0.0, 1.0, 1.0, -1.0]])
    np.testing.assert_array_equal(ops.convert_to_numpy(truncate(logits, top_k=1))[0] > -1e29, [0, 1, 1, 0])
    noise = ops.convert_to_tensor([[0.0, 0.0, 1.0, 1e6]])
    assert ops.convert_to_numpy(draw(logits, noise, top_k=2)).tolist() == [2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature=0.0 given; expected a finite number above 0"),
        ({"temperature": -1.0}, "temperature=-1.0 given"),
        ({"temperature": float("nan")}, "temperature=nan given"),
        ({"top_k": 5}, "top_k=5 given; expected 0 \\(all\\) to 4"),
        ({"top_k": -1}, "top_k=-1 given"),
        ({"top_p": 0.0}, "top_p=0.0 given"),
        ({"top_p": 1.5}, "top_p=1.5 given"),
        ({"given": np.zeros((2, 5), np.int32)}, "a prefix of 5 symbols given; expected at most 4"),
        ({"given": np.full((2, 1), 4, np.int32)}, "given symbols in 4..4; expected 0..3"),
        ({"given": np.zeros((2, 1), np.float32)}, "symbols of type float32 given; expected integers"),
        ({"given": np.zeros((3, 2), np.int32)}, "given holds 3 examples; expected 2"),
        ({"keep_mask": np.ones((2, 2))}, "keep_mask given without the symbols to keep"),
        ({"given": np.zeros((2, 2), np.int32), "keep_mask": np.ones((2, 2))}, "given of shape \\(2, 2\\); expected"),
        ({"given": np.zeros((2, 2, 2), np.int32), "keep_mask": np.ones((2, 3))}, "keep_mask of shape \\(2, 3\\) given"),
        ({"given": np.zeros((2, 2, 2), np.int32), "keep_mask": np.ones((3, 2, 2))}, "keep_mask holds 3 examples"),
    ],
)
def test_settings_that_cannot_be_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        sample(Known(), 2, 0, **settings)
