"""Sequences of any length from a prior and a decoder of one window."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import WaveNet, sample
from vq_vae_tf.prior import Prior, UniformPrior
from vq_vae_tf.windows import added, by_windows, next_window

SYMBOLS = 7


class Counting:
    """A network that is sure that the next symbol is one more than the last; of the first it knows nothing."""

    num_symbols = SYMBOLS

    def __init__(self, window):
        self.symbol_shape, self.num_positions = (window,), window

    def init_cache(self, batch_size, condition):
        return ops.zeros((batch_size,))

    def step(self, symbol, cache, position, condition=None):
        sure = 100.0 * ops.one_hot((symbol + 1) % SYMBOLS, SYMBOLS)
        return ops.where(position > 0, sure, 0.0 * sure), cache


class CountingPrior:
    def __init__(self, window):
        self.network = Counting(window)

    def sample(self, batch_size, seed, condition=None, temperature=1.0, top_k=0, top_p=1.0, given=None):
        return sample(self.network, batch_size, seed, condition, temperature, top_k, top_p, given)


def long(prior, batch, seed, windows):
    """All codes of so many windows, int `[batch, n]`."""
    codes = last = np.asarray(prior.sample(batch, seed))
    for number in range(1, windows):
        last = np.asarray(next_window(prior, last, number, seed))
        codes = np.concatenate([codes, added(last)], axis=1)
    return codes


@pytest.mark.parametrize("window", [2, 5, 8])
def test_what_goes_on_follows_from_what_was_before(window):
    codes = long(CountingPrior(window), 3, 1, 6)
    assert codes.shape == (3, window + 5 * (window - window // 2))
    np.testing.assert_array_equal(codes[:, 1:], (codes[:, :-1] + 1) % SYMBOLS)


def test_every_window_has_noise_of_its_own():
    window = 32
    codes = long(UniformPrior(SYMBOLS, (window,)), 1, 3, 5)[0]
    parts = codes.reshape(-1, window // 2)
    equal = [(one == other).mean() for i, one in enumerate(parts) for other in parts[:i]]
    assert max(equal) < 0.6, "parts of independent noise agree in a seventh of the places"
    other = long(UniformPrior(SYMBOLS, (window,)), 1, 4, 5)[0]
    assert (codes == other).mean() < 0.4


def test_labels_and_temperature_reach_every_window():
    prior = Prior(WaveNet(SYMBOLS, (6,), features=8, num_layers=2, num_labels=2))
    prior.build()
    for weight in prior.weights:  # far from uniform, so that a label shows
        weight.assign(10.0 * np.random.default_rng(weight.shape[0]).standard_normal(weight.shape))
    first = np.tile(np.arange(6, dtype=np.int32), (2, 1))
    drawn = np.asarray(next_window(prior, first, 2, 5, {"label": np.array([0, 1])}, 0.01))
    np.testing.assert_array_equal(drawn[:, :3], first[:, 3:])
    for row, label in enumerate((0, 1)):  # so cold a draw is the likeliest symbol of each place
        logits = np.asarray(prior.network(drawn[row : row + 1], {"label": np.array([label])}))
        np.testing.assert_array_equal(drawn[row, 3:], logits[0, 3:].argmax(-1))


@pytest.mark.parametrize("frames", [0, 1, 4, 5, 12, 13])
def test_windows_of_sound_are_those_of_a_loop(frames):
    window, hop = 4, 3
    place = np.arange(window * hop)

    def decode(codes, label):
        return ops.repeat(codes, hop, axis=1) * 1000 + label[:, None] * 100 + place

    codes = np.random.default_rng(0).integers(0, 9, (2, frames)).astype(np.int64)
    label = np.array([3, 5])
    made = np.asarray(by_windows(decode, codes, label, window))
    expected = np.repeat(codes, hop, axis=1) * 1000 + label[:, None] * 100 + np.arange(frames * hop) % (window * hop)
    np.testing.assert_array_equal(made, expected)
