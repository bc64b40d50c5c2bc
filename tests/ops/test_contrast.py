"""Local contrast against loops in NumPy, and what it does and does not see."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.ops.contrast import local_contrast


def _in_numpy(u, window, stride):
    u = u.astype(np.float64)
    height, width = u.shape[1:3]
    energy = np.zeros_like(u)[:, 1:, 1:]
    for i in range(height - 1):
        for j in range(width - 1):
            energy[:, i, j] = (u[:, i, j + 1] - u[:, i, j]) ** 2 + (u[:, i + 1, j] - u[:, i, j]) ** 2
    rows = range(0, height - 1 - window + 1, stride)
    columns = range(0, width - 1 - window + 1, stride)
    means = [[energy[:, i : i + window, j : j + window].mean((1, 2)) for j in columns] for i in rows]
    return np.sqrt(np.moveaxis(np.array(means), 2, 0) + 1e-5)


@pytest.mark.parametrize(("window", "stride"), [(7, 3), (4, 4), (2, 1)])
def test_contrast_is_the_root_of_the_windows_mean_gradient_energy(window, stride):
    u = np.random.default_rng(0).normal(size=(2, 13, 10, 3)).astype(np.float32)
    found = ops.convert_to_numpy(local_contrast(u, window, stride))
    np.testing.assert_allclose(found, _in_numpy(u, window, stride), rtol=1e-5)


def test_brightness_is_no_contrast_and_an_edge_has_it_wherever_in_the_window_it_is():
    edge = np.zeros((1, 9, 9, 1), np.float32)
    edge[:, :, 4:] = 1.0
    moved = np.zeros_like(edge)
    moved[:, :, 2:] = 1.0
    first, second = (ops.convert_to_numpy(local_contrast(u, 7, 7)) for u in (edge, moved + 0.25))
    np.testing.assert_allclose(first, second, rtol=1e-6)
    np.testing.assert_allclose(first, np.sqrt(1.0 / 7.0 + 1e-5), rtol=1e-6)


def test_a_picture_of_one_windows_size_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 7, 30, 3\); expected more than 7 pixels"):
        local_contrast(np.zeros((2, 7, 30, 3), np.float32))
