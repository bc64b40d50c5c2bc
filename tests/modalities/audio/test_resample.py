"""Rate conversion against sines whose samples are known at every rate."""

from __future__ import annotations

import numpy as np
import pytest

from vq_vae_tf.modalities.audio.resample import resample


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(16000, 8000), (8000, 16000), (44100, 16000), (48000, 22050), (8000, 8000)]
)
def test_a_sine_keeps_its_frequency_phase_and_height(rate_in, rate_out):
    frequency, seconds = 0.35 * min(rate_in, rate_out), 0.3
    x = np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate_in)) / rate_in)
    y = resample(x, rate_in, rate_out)
    assert len(y) == -(-len(x) * rate_out // rate_in)
    assert y.dtype == np.float32
    expected = np.sin(2 * np.pi * frequency * np.arange(len(y)) / rate_out)
    edge = len(y) // 5
    np.testing.assert_allclose(y[edge:-edge], expected[edge:-edge], atol=1e-3)


def test_what_the_lower_rate_cannot_hold_is_gone():
    x = np.sin(2 * np.pi * 5000 * np.arange(8000) / 16000)
    assert np.abs(resample(x, 16000, 8000)[500:-500]).max() < 1e-3


def test_long_sounds_are_the_same_in_blocks(monkeypatch):
    from vq_vae_tf.modalities.audio import resample as module

    x = np.random.default_rng(0).normal(size=5000)
    whole = resample(x, 44100, 16000)
    monkeypatch.setattr(module, "_BLOCK", 100)
    np.testing.assert_array_equal(resample(x, 44100, 16000), whole)
