"""Mu-law against NumPy, and as an inverse pair."""

from __future__ import annotations

import numpy as np
import pytest

from vq_vae_tf.ops.mu_law import mu_law_decode, mu_law_encode


def oracle(x: np.ndarray, mu: int) -> np.ndarray:
    return np.rint((np.sign(x) * np.log(1 + mu * np.abs(x)) / np.log(1 + mu) + 1) / 2 * mu).astype(np.int32)


@pytest.mark.parametrize("values", [16, 256])
def test_symbols_are_those_of_the_formula(values):
    x = np.random.default_rng(0).uniform(-1, 1, 1000)
    np.testing.assert_array_equal(np.asarray(mu_law_encode(x.astype(np.float32), values)), oracle(x, values - 1))


def test_the_ends_and_what_lies_beyond():
    np.testing.assert_array_equal(np.asarray(mu_law_encode(np.array([-7.0, -1.0, 1.0, 7.0]))), [0, 0, 255, 255])
    np.testing.assert_allclose(np.asarray(mu_law_decode(np.array([0, 255]))), [-1, 1], atol=1e-6)


def test_every_symbol_comes_back():
    symbols = np.arange(256)
    np.testing.assert_array_equal(np.asarray(mu_law_encode(mu_law_decode(symbols))), symbols)


def test_quiet_sound_is_kept_more_exactly_than_loud():
    x = np.array([0.001, 0.9], np.float32)
    error = np.abs(np.asarray(mu_law_decode(mu_law_encode(x))) - x)
    assert error[0] < 2e-4 < error[1] < 0.03
