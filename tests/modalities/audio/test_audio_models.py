"""Encoder, decoder and the two likelihoods: what each may and may not depend on."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import WaveNet, sample
from vq_vae_tf.autoregressive_waveform import AutoregressiveWaveform
from vq_vae_tf.modalities.audio.decoder import AudioDecoder
from vq_vae_tf.modalities.audio.encoder import AudioEncoder
from vq_vae_tf.modalities.audio.likelihood import Spectral
from vq_vae_tf.ops.mu_law import mu_law_decode


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


@pytest.mark.parametrize("strides", [(2, 2, 2, 2, 2, 2), (2,) * 7, (5, 4, 4, 2, 2, 2)])
def test_encoder_and_decoder_are_inverse_in_shape(strides):
    hop = int(np.prod(strides))
    sizes = {"strides": strides, "units": 16, "residual_units": 4, "residual_blocks": 1}
    z = AudioEncoder(5, **sizes)(np.zeros((2, 3 * hop), np.float32))
    assert z.shape == (2, 3, 5)
    assert AudioDecoder(1, **sizes)(z).shape == (2, 3 * hop, 1)


def test_a_length_that_is_no_multiple_is_named():
    with pytest.raises(ValueError, match="multiple of 64"):
        AudioEncoder(5, name="encoder")(np.zeros((1, 100), np.float32))


def test_the_decoder_hears_its_own_speaker_only():
    decoder = AudioDecoder(1, units=16, residual_units=4, num_speakers=3)
    z, labels = noise(2, 4, 5), np.array([0, 1])
    before = decoder(z, condition={"label": labels})
    changed = np.array([0, 2])
    after = decoder(z, condition={"label": changed})
    np.testing.assert_array_equal(before[0], after[0])
    assert np.abs(before[1] - after[1]).max() > 1e-4
    with pytest.raises(ValueError, match="label"):
        decoder(z)


def test_spectral_loss_against_numpy():
    x, y = noise(2, 256), noise(2, 256, seed=1)
    size = 64
    got = Spectral(sizes=(size,), waveform_weight=0.5).loss(y[..., None], x)

    def spectra(a):
        a = np.pad(a, [(0, 0), (size // 2, size // 2)], mode="reflect")
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        frames = np.stack([a[:, i : i + size] * window for i in range(0, 256 + 1, size // 4)], 1)
        return np.sqrt(np.abs(np.fft.rfft(frames)) ** 2 + 1e-5)

    s, t = spectra(x), spectra(y)
    expected = 0.5 * np.abs(np.log(s) - np.log(t)).mean((1, 2)) + 4 / 8 * np.abs(s - t).mean((1, 2))
    np.testing.assert_allclose(got, 256 * (expected + 0.5 * np.abs(x - y).mean(1)), rtol=1e-4)


def test_spectral_loss_is_zero_for_the_sound_itself_and_finite_for_silence():
    x = noise(1, 512)
    likelihood = Spectral(sizes=(64, 128))
    np.testing.assert_allclose(likelihood.loss(x[..., None], x), 0, atol=1e-3)
    assert np.isfinite(likelihood.loss(np.zeros((1, 512, 1), np.float32), x))[0]


def wavenet(time=6, symbols=4):
    keras.utils.set_random_seed(0)
    network = WaveNet(symbols, (time,), condition_features=3, features=8, num_layers=3, dilation_cycle=2)
    likelihood = AutoregressiveWaveform(network)
    likelihood.build()
    return likelihood


def test_probabilities_of_all_waveforms_sum_to_one():
    likelihood = wavenet(4, 3)
    symbols = np.stack(np.meshgrid(*[np.arange(3)] * 4, indexing="ij"), -1).reshape(-1, 4)
    params = np.repeat(noise(1, 4, 3), len(symbols), 0)
    nats = likelihood.log_prob(params, mu_law_decode(symbols, 3))
    assert float(ops.sum(ops.exp(nats))) == pytest.approx(1.0, rel=1e-5)


def test_draws_follow_the_seed_and_the_map():
    likelihood = wavenet()
    params = noise(4, 6, 3)
    np.testing.assert_array_equal(likelihood.sample(params, 3), likelihood.sample(params, 3))
    assert np.any(np.asarray(likelihood.sample(params, 3)) != np.asarray(likelihood.sample(params, 4)))
    levels = np.asarray(mu_law_decode(np.arange(4), 4))
    drawn = np.asarray(likelihood.sample(params, 3))
    assert np.abs(drawn[..., None] - levels).min(-1).max() < 1e-6


def test_what_is_decoded_is_a_draw_at_the_temperature():
    likelihood, params = wavenet(), noise(4, 6, 3)
    np.testing.assert_array_equal(likelihood.mean(params), likelihood.sample(params, 0))
    cold = AutoregressiveWaveform(likelihood.network, 1e-6)  # no near tie of these seeded weights is as near as that
    likeliest = sample(likelihood.network, 4, 0, {"map": params}, top_k=1)
    np.testing.assert_array_equal(cold.mean(params), mu_law_decode(likeliest, 4))
    np.testing.assert_array_equal(cold.sample(params, 0), likelihood.sample(params, 0))
    assert AutoregressiveWaveform.from_config(cold.get_config()).temperature == 1e-6


def test_a_network_that_is_not_conditioned_is_refused():
    with pytest.raises(ValueError, match="condition_features=0"):
        AutoregressiveWaveform(WaveNet(4, (6,), features=8, num_layers=2))
