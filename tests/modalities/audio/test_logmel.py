"""Log-mel frames: where they stand, what they forget; their likelihood; the encoder that sees them; jitter."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from vq_vae_tf.modalities.audio.jitter import TimeJitter
from vq_vae_tf.modalities.audio.likelihood import LogMelGaussian, logmel
from vq_vae_tf.modalities.audio.logmel import FLOOR, LogMel, lifted_cepstra, mel_matrix
from vq_vae_tf.modalities.audio.logmel_encoder import LogMelEncoder
from vq_vae_tf.ops.cosine import cosine_transform

RATE, HOP, BINS = 4000, 40, 12


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def test_frames_against_numpy():
    x = noise(1, 8 * HOP)
    got = np.asarray(LogMel(RATE, HOP, BINS, centred=False)(x))[0]
    size = 100  # 2.5 hops
    padded = np.pad(x[0], size)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    for t in range(8):
        begin = size + t * HOP + HOP // 2 - size // 2
        power = np.abs(np.fft.rfft(padded[begin : begin + size] * window, 128)) ** 2
        np.testing.assert_allclose(got[t], np.log(power @ mel_matrix(BINS, 128, RATE) + FLOOR), atol=2e-3)


def triangles(bins, fft_size, rate):
    """Evenly spaced on the mel scale as the HTK book has it, from 60 Hz to 0.475 of the rate, by loops."""
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (60, 0.475 * rate))
    places = lowest + (highest - lowest) * np.arange(bins + 2) / (bins + 1)
    edges = 700 * (10 ** (places / 2595) - 1)
    matrix = np.zeros((fft_size // 2 + 1, bins))
    for band, (left, peak, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for line in range(fft_size // 2 + 1):
            hertz = line * rate / fft_size
            if left < hertz <= peak:
                matrix[line, band] = (hertz - left) / (peak - left)
            elif peak < hertz < right:
                matrix[line, band] = (right - hertz) / (right - peak)
    return matrix


@pytest.mark.parametrize(("bins", "fft_size", "rate"), [(BINS, 128, RATE), (40, 512, 16000)])
def test_bands_are_triangles_on_the_mel_scale(bins, fft_size, rate):
    np.testing.assert_allclose(mel_matrix(bins, fft_size, rate), triangles(bins, fft_size, rate), atol=1e-5)


def test_cepstra_are_lifted_by_065_unless_asked_otherwise():
    """Row k of the orthonormal cosine transform times (1 + k)^0.65 / 2, by its cosines."""
    k, n = np.arange(1, 5), np.arange(BINS)[:, None] + 0.5
    cosines = np.concatenate([np.full((BINS, 1), BINS**-0.5), (2 / BINS) ** 0.5 * np.cos(np.pi * n * k / BINS)], axis=1)
    expected = cosines * np.arange(1, 6) ** 0.65 / 2
    np.testing.assert_allclose(lifted_cepstra(BINS, 5), expected, atol=1e-6)
    np.testing.assert_allclose(LogMelGaussian(RATE, HOP, BINS, cepstra=5).transform, expected, atol=1e-6)


def test_centred_frames_forget_loudness_and_silence_around():
    layer = LogMel(RATE, HOP, BINS)
    x = noise(1, 12 * HOP)
    np.testing.assert_allclose(layer(x), layer(0.3 * x), atol=0.02)
    longer = np.asarray(layer(np.pad(x, [(0, 0), (0, 8 * HOP)])))
    inner = slice(0, 10)
    np.testing.assert_allclose(longer[:, inner], np.asarray(layer(x))[:, inner], atol=0.3)
    assert np.isfinite(np.asarray(layer(np.zeros((1, 2 * HOP), np.float32)))).all()


def test_log_prob_is_a_normalised_density_of_the_cepstra():
    x = noise(1, 4 * HOP)
    likelihood = LogMelGaussian(RATE, HOP, BINS, cepstra=3, lift=0.5, scale=0.7)
    frames = np.asarray(likelihood.frames(x))
    params = frames + noise(1, 4, BINS, seed=1)
    deviation = 0.7 / (1 + np.arange(3)) ** 0.5
    error = (frames - params) @ cosine_transform(BINS)[:3].T / deviation
    expected = -(0.5 * error**2 + np.log(deviation) + 0.5 * np.log(2 * np.pi)).sum((1, 2))
    np.testing.assert_allclose(likelihood.log_prob(params, x), expected, rtol=1e-4)


def test_the_sound_of_frames_has_about_these_frames():
    t = np.arange(40 * HOP) / RATE
    x = (0.2 * np.sin(2 * np.pi * (400 + 300 * t) * t))[None].astype(np.float32)
    likelihood = LogMelGaussian(RATE, HOP, BINS, cepstra=BINS)
    frames = np.asarray(likelihood.frames(x))
    made = np.asarray(likelihood.mean(frames))
    assert made.shape == x.shape
    again = np.asarray(likelihood.frames(made))
    loud = frames > frames.max() - 4
    assert np.abs(again - frames)[loud].mean() < 0.8
    assert np.abs(np.asarray(likelihood.mean(frames - 2)) - made).max() > 0.05


def test_momentum_brings_the_sound_nearer_to_its_spectra(monkeypatch):
    likelihood = LogMelGaussian(8000, 64)

    def spectra(x):
        real, imaginary = keras.ops.stft(np.pad(x, [(0, 0), (96, 96)]), 160, 64, 256, window="hann", center=False)
        return np.hypot(real, imaginary)

    wanted = spectra(noise(2, 60 * 64))

    def error():
        return np.linalg.norm(spectra(np.asarray(likelihood._waveform(wanted))) - wanted) / np.linalg.norm(wanted)

    fast = error()
    assert fast < 0.15
    monkeypatch.setattr(logmel, "_MOMENTUM", 0.0)
    assert fast < 0.85 * error()


def test_the_encoder_gives_a_vector_for_each_hop_and_comes_back_from_its_config():
    encoder = LogMelEncoder(5, RATE, (HOP, 2, 2), units=8, residual_units=4, residual_blocks=1)
    x = noise(2, 3 * 4 * HOP)
    z = encoder(x)
    assert z.shape == (2, 3, 5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    copy.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(copy(x), z)
    with pytest.raises(ValueError, match="multiple of 160"):
        LogMelEncoder(5, RATE, (HOP, 2, 2))(noise(1, 170))


def test_a_cepstral_encoder_starts_as_the_mean_lifted_cepstra_and_learns_on():
    encoder = LogMelEncoder(6, RATE, (HOP, 2, 2), units=8, residual_units=4, residual_blocks=1, cepstral=True)
    x = noise(2, 3 * 4 * HOP)
    cepstra = np.asarray(encoder.frames(x)) @ cosine_transform(encoder.frames.bins)[:6].T
    lifted = cepstra * (1.0 + np.arange(6)) ** 0.65 / 2.0
    np.testing.assert_allclose(encoder(x), lifted.reshape(2, 3, 4, 6).mean(axis=2), atol=1e-3)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(encoder))
    np.testing.assert_array_equal(copy(x), encoder(x))
    encoder.project.kernel.assign(np.ones(encoder.project.kernel.shape, np.float32))
    assert np.abs(np.asarray(encoder(x)) - np.asarray(copy(x))).max() > 0.01


def test_jitter_takes_neighbours_at_its_rate_in_training_only():
    z = np.arange(4000, dtype=np.float32).reshape(1, 4000, 1)
    layer = TimeJitter(0.3, seed=1)
    np.testing.assert_array_equal(layer(z), z)
    step = np.asarray(layer(z, training=True) - z).ravel()[1:-1]
    assert set(step) == {-1, 0, 1}
    for side in (-1, 1):
        assert np.mean(step == side) == pytest.approx(0.15, abs=0.02)
    assert np.any(np.asarray(layer(z, training=True)) != np.asarray(layer(z, training=True)))
    with pytest.raises(ValueError, match="below 1"):
        TimeJitter(1.0)


def test_more_cepstra_than_bins_are_refused():
    with pytest.raises(ValueError, match="cepstra=13; expected 1 to bins=12"):
        LogMelGaussian(RATE, HOP, 12, cepstra=13)
