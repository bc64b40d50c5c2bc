"""Reconstruction scores against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.reconstruction import (
    ReconstructionMetrics,
    as_served,
    data_variance,
    reconstruction_scores,
)


def _images(seed=0, n=7, side=12, channels=3):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, side, side, channels)).astype(np.uint8)
    y = x + rng.normal(0, 30, x.shape)  # reaches below 0 and above 255, and is not integer
    return x, y.astype(np.float32)


def _numpy_ssim(x, y, size=11, sigma=1.5):
    """Wang et al. 2004, equation 13, on one pair of images, with explicit loops over windows."""
    offset = np.arange(size) - (size - 1) / 2
    window = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * sigma**2))
    window /= window.sum()
    x, y = x.astype(np.float64), y.astype(np.float64)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for channel in range(x.shape[-1]):
        for i in range(x.shape[0] - size + 1):
            for j in range(x.shape[1] - size + 1):
                a = x[i : i + size, j : j + size, channel]
                b = y[i : i + size, j : j + size, channel]
                ma, mb = (window * a).sum(), (window * b).sum()
                va, vb = (window * a * a).sum() - ma**2, (window * b * b).sum() - mb**2
                cov = (window * a * b).sum() - ma * mb
                values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return np.mean(values)


def test_scores_are_those_of_numpy_on_served_pixels():
    x, y = _images()
    metrics = ReconstructionMetrics(0.05)
    metrics.update(tf.constant(x), tf.constant(y))
    scores = metrics.result()
    served = np.clip(np.rint(y.astype(np.float64)), 0, 255)
    mse = np.mean((x / 255.0 - served / 255.0) ** 2)
    assert scores.mse == pytest.approx(mse, rel=1e-12)
    assert scores.normalized_mse == pytest.approx(mse / 0.05, rel=1e-12)
    assert scores.psnr == pytest.approx(10 * math.log10(1 / mse), rel=1e-12)
    assert scores.ssim == pytest.approx(np.mean([_numpy_ssim(a, b) for a, b in zip(x, served, strict=True)]), abs=2e-5)
    assert scores.num_examples == 7


def test_any_cut_into_batches_gives_the_same_scores():
    x, y = _images()
    lookup = dict(zip([image.tobytes() for image in x], y, strict=True))

    def reconstruct(batch):
        return np.stack([lookup[image.tobytes()] for image in np.asarray(batch["x"])])

    def scores(size):
        return reconstruction_scores(
            reconstruct, [{"x": tf.constant(x[i : i + size])} for i in range(0, len(x), size)], 0.05
        )

    whole, parts = scores(7), scores(3)
    assert (whole.mse, whole.psnr, whole.num_examples) == (parts.mse, parts.psnr, parts.num_examples)
    assert whole.ssim == pytest.approx(parts.ssim, abs=1e-6)


def test_psnr_is_of_the_mean_error_and_not_a_mean_of_decibels():
    x = np.full((2, 8, 8, 1), 100, np.uint8)
    y = x.copy()
    y[0] += 2
    y[1] += 50
    metrics = ReconstructionMetrics(1.0)
    metrics.update(x, y)
    assert metrics.result().psnr == pytest.approx(10 * math.log10(255**2 / ((2**2 + 50**2) / 2)))


def test_perfect_reconstruction():
    x, _ = _images()
    metrics = ReconstructionMetrics(0.05)
    metrics.update(x, x)
    scores = metrics.result()
    assert (scores.mse, scores.psnr) == (0.0, math.inf)
    assert scores.ssim == pytest.approx(1.0, abs=1e-6)


def test_served_pixels_are_rounded_and_clipped():
    np.testing.assert_array_equal(as_served([-3.0, 0.4, 0.6, 254.7, 300.0]), np.uint8([0, 0, 1, 255, 255]))


def test_data_variance_is_numpys_variance():
    x, _ = _images(n=10)
    batches = [{"x": tf.constant(x[:4])}, {"x": tf.constant(x[4:])}]
    assert data_variance(batches) == pytest.approx(np.var(x / 255.0), rel=1e-12)


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(UserError, match="variance of the data is 0"):
        ReconstructionMetrics(0.0)
    with pytest.raises(UserError, match="No image"):
        ReconstructionMetrics(1.0).result()
    with pytest.raises(UserError, match="No image"):
        data_variance([])
    with pytest.raises(ValueError, match="expected equal"):
        ReconstructionMetrics(1.0).update(np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8, 1)))
