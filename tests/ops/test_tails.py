"""Tails of the normal distribution against erfc in float64 and its asymptotic series."""

from __future__ import annotations

import math

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.ops.tails import log_normal_bin, log_normal_cdf, log_one_minus_exp


def _log_cdf(z):
    if z > -30:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2)))
    series = 1 - z**-2 + 3 * z**-4 - 15 * z**-6
    return -0.5 * z * z - math.log(-z * math.sqrt(2 * math.pi)) + math.log(series)


def test_log_cdf_far_into_both_tails():
    z = np.concatenate([np.linspace(-40, 6, 461), [-1000.0, 50.0]]).astype(np.float32)
    expected = np.array([_log_cdf(float(v)) for v in z])
    np.testing.assert_allclose(ops.convert_to_numpy(log_normal_cdf(z)), expected, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("half_width", [0.002, 0.02, 0.5, 5.0])
def test_log_mass_of_a_bin(half_width):
    center = np.linspace(-8, 8, 321).astype(np.float32)
    left = -np.abs(center.astype(np.float64))
    mass = [0.5 * (math.erfc(-(c + half_width) / 2**0.5) - math.erfc(-(c - half_width) / 2**0.5)) for c in left]
    got = ops.convert_to_numpy(log_normal_bin(center, half_width))
    np.testing.assert_allclose(got, np.log(mass), rtol=5e-5, atol=1e-6)


def test_log_one_minus_exp():
    delta = np.array([1e-6, 1e-3, 0.5, 3.0, 50.0], np.float32)
    expected = np.log(-np.expm1(-delta.astype(np.float64)))
    np.testing.assert_allclose(ops.convert_to_numpy(log_one_minus_exp(delta)), expected, rtol=1e-6, atol=1e-12)
    assert np.isfinite(ops.convert_to_numpy(log_one_minus_exp(np.float32(0.0))))
