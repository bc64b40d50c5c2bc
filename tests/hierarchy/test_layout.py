"""Codes of two levels in one array, against loops."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.hierarchy.layout import depth_from_space, pack, space_from_depth, unpack


@pytest.mark.parametrize("factor", [2, 4])
def test_pack_puts_each_code_where_the_equation_says(factor):
    top = np.arange(2 * 2 * 3).reshape(2, 2, 3).astype(np.int32)
    bottom = 100 + np.arange(2 * 6 * factor * factor).reshape(2, 2 * factor, 3 * factor).astype(np.int32)
    packed = ops.convert_to_numpy(pack(top, bottom))
    assert packed.shape == (2, 2, 3, 1 + factor**2)
    for y, x in np.ndindex(2, 3):
        np.testing.assert_array_equal(packed[:, y, x, 0], top[:, y, x])
        for i, j in np.ndindex(factor, factor):
            expected = bottom[:, y * factor + i, x * factor + j]
            np.testing.assert_array_equal(packed[:, y, x, 1 + i * factor + j], expected)
    for given, back in zip((top, bottom), unpack(packed), strict=True):
        np.testing.assert_array_equal(given, ops.convert_to_numpy(back))


def test_space_and_depth_are_inverse_with_features():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    deep = ops.convert_to_numpy(depth_from_space(x, 2))
    np.testing.assert_array_equal(deep[1, 1, 2].reshape(2, 2, 3), x[1, 2:4, 4:6])
    np.testing.assert_array_equal(ops.convert_to_numpy(space_from_depth(deep, 2)), x)
