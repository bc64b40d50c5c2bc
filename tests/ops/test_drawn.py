"""Drawn codes against the softmax of distances, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf.ops import nearest
from vq_vae_tf.ops.drawn import drawn_code, drawn_log_prob

TEMPERATURE = 1.5


def _vectors(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _log_probs(z, codebook, temperature=TEMPERATURE):
    """float64 `[n, num_codes]`."""
    distance = np.square(z.astype("float64")[:, None] - codebook.astype("float64")).sum(-1)
    log_weights = -distance / temperature
    highest = log_weights.max(-1, keepdims=True)
    return log_weights - highest - np.log(np.exp(log_weights - highest).sum(-1, keepdims=True))


def _draw(z, codebook, step=0):
    return ops.convert_to_numpy(drawn_code(z, codebook, TEMPERATURE, seed=1, step=ops.convert_to_tensor(step)))


@pytest.mark.parametrize("k", [5, 300])  # one level of groups, and two
def test_codes_come_as_often_as_the_softmax_of_distances_says(k):
    z, codebook = _vectors(1, 2), _vectors(k, 2, seed=1)
    many = np.repeat(z, 60_000, 0)
    codes = _draw(many, codebook)
    expected = np.exp(_log_probs(z, codebook)[0])
    found = np.bincount(codes, minlength=k) / len(codes)
    assert np.all(np.abs(found - expected) < 5 * np.sqrt(expected / len(codes)) + 1e-4)
    again = _draw(many, codebook, step=1)
    assert np.mean(codes != again) > 0.3  # another step, another draw
    np.testing.assert_array_equal(_draw(many, codebook), codes)


def test_every_slice_draws_for_itself_from_its_own_codebook():
    z, codebook = _vectors(1, 3, 2), _vectors(3, 40, 2, seed=1)
    codes = _draw(np.repeat(z, 40_000, 0), codebook)
    for book in range(3):
        expected = np.exp(_log_probs(z[:, book], codebook[book])[0])
        np.testing.assert_allclose(np.bincount(codes[:, book], minlength=40) / len(codes), expected, atol=0.01)
    same = np.repeat(_vectors(1, 1, 2), 3, axis=1), np.repeat(_vectors(1, 40, 2), 3, axis=0)
    alike = _draw(np.repeat(same[0], 1000, 0), same[1])
    assert np.mean(alike[:, 0] == alike[:, 1]) < 0.3


@pytest.mark.parametrize("shape", [(), (3,)])
def test_log_prob_is_the_oracles(shape):
    z, codebook = 3 * _vectors(70, *shape, 4), _vectors(*shape, 150, 4, seed=1)
    codes = np.random.default_rng(0).integers(0, 150, (70, *shape)).astype("int32")
    found = ops.convert_to_numpy(drawn_log_prob(z, codebook, TEMPERATURE, codes)).reshape(70, -1)
    for book in range(found.shape[1]):
        at = (slice(None), book) if shape else (slice(None),)
        expected = _log_probs(z[at], codebook[book] if shape else codebook)[np.arange(70), codes[at]]
        np.testing.assert_allclose(found[:, book], expected, rtol=1e-4, atol=1e-4)


def test_a_low_temperature_draws_the_nearest_and_is_sure_of_it():
    z, codebook = _vectors(50, 4), _vectors(200, 4, seed=1)
    codes = ops.convert_to_numpy(drawn_code(z, codebook, 1e-7, 0, ops.convert_to_tensor(0)))
    np.testing.assert_array_equal(codes, ops.convert_to_numpy(nearest.nearest_code(z, codebook)))
    np.testing.assert_allclose(ops.convert_to_numpy(drawn_log_prob(z, codebook, 1e-7, codes)), 0.0, atol=1e-3)


def test_tiles_change_nothing(monkeypatch):
    z, codebook = _vectors(331, 3, 4), _vectors(3, 140, 4, seed=1)
    codes = _draw(z, codebook)
    log_prob = ops.convert_to_numpy(drawn_log_prob(z, codebook, TEMPERATURE, codes))
    monkeypatch.setattr(nearest, "TILE", 1)
    np.testing.assert_array_equal(_draw(z, codebook), codes)
    np.testing.assert_allclose(
        ops.convert_to_numpy(drawn_log_prob(z, codebook, TEMPERATURE, codes)), log_prob, atol=1e-5
    )


def test_codes_are_in_range_whatever_comes():
    z = np.array([[np.nan, 0], [np.inf, 1], [-np.inf, 2], [3e38, -3e38]], "float32")
    for k in (3, 130):
        codes = _draw(z, _vectors(k, 2))
        assert codes.min() >= 0
        assert codes.max() < k
