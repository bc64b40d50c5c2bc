"""The cosine transform against its sum, and its inverse."""

from __future__ import annotations

import numpy as np
import pytest

from vq_vae_tf.ops.cosine import cosine_transform


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
def test_it_is_orthonormal_and_sums_cosines(size):
    matrix = cosine_transform(size)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(size), atol=1e-12)
    x = np.random.default_rng(size).normal(size=size)
    for k in range(size):
        direct = sum(x[b] * np.cos(np.pi * k * (2 * b + 1) / (2 * size)) for b in range(size))
        expected = direct * np.sqrt((2 if k else 1) / size)
        np.testing.assert_allclose((matrix @ x)[k], expected, atol=1e-12)
