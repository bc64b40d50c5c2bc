"""Shifts, taps and the triangular mask against loops."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.ops.masks import causal_mask, causal_taps, delayed

X = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("delay", [0, 1, 3, 4, 5, 9])
def test_delayed(axis, delay):
    expected = np.zeros_like(X)
    for t in range(delay, X.shape[axis]):
        np.moveaxis(expected, axis, 0)[t] = np.moveaxis(X, axis, 0)[t - delay]
    np.testing.assert_array_equal(ops.convert_to_numpy(delayed(X, delay, axis)), expected)


def test_causal_taps_are_oldest_first():
    taps = ops.convert_to_numpy(causal_taps(X, 3, axis=1, dilation=2))
    np.testing.assert_array_equal(taps[:, 4], np.concatenate([X[:, 0], X[:, 2], X[:, 4]], axis=-1))
    np.testing.assert_array_equal(taps[:, 1], np.concatenate([0 * X[:, 0], 0 * X[:, 0], X[:, 1]], axis=-1))


def test_causal_mask_is_the_lower_triangle():
    np.testing.assert_array_equal(ops.convert_to_numpy(causal_mask(5)), np.tri(5, dtype=bool))
