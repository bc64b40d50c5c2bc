"""Contrast against loops in NumPy, and what it does and does not see."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.ops.contrast import contrast_error, gradient_energies, local_energies


def _in_numpy(u, window, stride):
    u = u.astype(np.float64)
    height, width = u.shape[1:3]
    energy = np.zeros((len(u), height - 1, width - 1, 3, u.shape[-1]))
    for i in range(height - 1):
        for j in range(width - 1):
            corner, right, below, beyond = u[:, i, j], u[:, i, j + 1], u[:, i + 1, j], u[:, i + 1, j + 1]
            steps = (right - corner, below - corner, beyond - below - right + corner)
            energy[:, i, j] = np.square(np.stack(steps, axis=1))
    rows = range(0, height - 1 - window + 1, stride)
    columns = range(0, width - 1 - window + 1, stride)
    means = [[energy[:, i : i + window, j : j + window].mean((1, 2)) for j in columns] for i in rows]
    return np.moveaxis(np.array(means), 2, 0).reshape(len(u), len(rows), len(columns), -1)


@pytest.mark.parametrize(("window", "stride"), [(7, 3), (4, 4), (2, 1)])
def test_energy_is_the_windows_mean_of_squared_differences(window, stride):
    u = np.random.default_rng(0).normal(size=(2, 13, 10, 3)).astype(np.float32)
    found = ops.convert_to_numpy(local_energies(u, window, stride))
    np.testing.assert_allclose(found, _in_numpy(u, window, stride), rtol=1e-5)


def test_brightness_is_no_contrast_and_an_edge_has_it_wherever_in_the_window_it_is():
    edge = np.zeros((1, 9, 9, 1), np.float32)
    edge[:, :, 4:] = 1.0
    moved = np.zeros_like(edge)
    moved[:, :, 2:] = 1.0
    for u in (edge, moved + 0.25):
        found = ops.convert_to_numpy(local_energies(u, 7, 7)).ravel()
        np.testing.assert_allclose(found, [1.0 / 7.0, 0.0, 0.0], rtol=1e-6)
    error = ops.convert_to_numpy(contrast_error(edge, moved + 0.25))  # in the one window of 7 on 9 pixels
    np.testing.assert_allclose(error, 0.0, atol=1e-9)


def test_a_chequered_pattern_is_told_from_texture():
    """As much of both differences as noise has, and more than noise of what changes both ways."""
    chequered = 0.5 * np.indices((1, 30, 30, 1)).sum(0).astype(np.float32) % 1.0
    noise = np.random.default_rng(0).normal(0, chequered.std() * np.sqrt(2), (1, 30, 30, 1)).astype(np.float32)
    pattern, texture = (ops.convert_to_numpy(local_energies(u)).mean((0, 1, 2)) for u in (chequered, noise))
    np.testing.assert_allclose(pattern[:2], texture[:2], rtol=0.1)
    assert pattern[2] > 1.8 * texture[2]


def test_the_error_is_that_of_the_equation():
    made, real = np.random.default_rng(0).normal(0, 0.1, size=(2, 3, 11, 14, 3)).astype(np.float32)
    made[0] *= 0.3  # an eleventh of the energy
    f, e = _in_numpy(made, 7, 3), _in_numpy(real, 7, 3)
    expected = ((e - f) ** 2 / (4 * (np.maximum(f, e / 4) + 1e-4))).mean((1, 2, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(contrast_error(made, real)), expected, rtol=1e-4)


def test_a_picture_of_one_windows_size_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 7, 30, 3\); expected more than 7 pixels"):
        local_energies(np.zeros((2, 7, 30, 3), np.float32))


def test_gradient_energies_are_mean_squared_differences_of_each_picture():
    x = np.random.default_rng(0).integers(0, 256, (3, 9, 11, 3)).astype(np.uint8)
    u = x / 255.0
    expected = np.square(np.diff(u, axis=1)).mean((1, 2, 3)) + np.square(np.diff(u, axis=2)).mean((1, 2, 3))
    np.testing.assert_allclose(np.asarray(gradient_energies(ops.convert_to_tensor(x))), expected, rtol=1e-5)
