"""The prior over codes: its numbers, plain compile and fit, and every way to save it."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import GatedPixelCNN
from vq_vae_tf.prior import Prior, UniformPrior

K = 4


def _prior(**changes):
    arguments = {"num_symbols": K, "symbol_shape": (3, 3), "features": 8, "num_layers": 2, **changes}
    return Prior(GatedPixelCNN(**arguments))


def _codes(count, shape=(3, 3), seed=0):
    return np.random.default_rng(seed).integers(0, K, (count, *shape)).astype(np.int32)


def _numpy(x):
    return ops.convert_to_numpy(x)


def _chain(count, seed=0):
    """Codes whose first is uniform and whose next is the one before plus 1 with chance 0.9, plus 2 with chance 0.1.

    Labels 0 and 1; label 1 counts down instead. Entropy: log K + 8 h(0.1) nats for nine codes.
    """
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, count).astype(np.int32)
    steps = np.where(rng.random((count, 8)) < 0.1, 2, 1) * np.where(label == 0, 1, -1)[:, None]
    codes = rng.integers(0, K, (count, 1)) + np.concatenate([np.zeros((count, 1), int), steps.cumsum(1)], axis=1)
    return {"codes": (codes % K).astype(np.int32).reshape(-1, 3, 3), "label": label}


ENTROPY = (math.log(K) + 8 * -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))) / 9


def test_plain_fit_learns_a_toy_distribution_to_near_its_entropy():
    keras.utils.set_random_seed(0)
    prior = _prior(num_labels=2, features=16)
    prior.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    data = _chain(2048)
    history = prior.fit(data, batch_size=128, epochs=12, verbose=0).history
    test = _chain(1024, seed=1)
    nats = -_numpy(prior.log_prob(test["codes"], {"label": test["label"]})).mean() / 9
    assert ENTROPY - 0.02 < nats < ENTROPY + 0.06
    assert history["bits_per_code"][-1] == pytest.approx(history["loss"][-1] / math.log(2), rel=1e-3)
    drawn = _numpy(prior.sample(64, 0, {"label": np.repeat([0, 1], 32).astype(np.int32)})).reshape(64, 9)
    steps = np.diff(drawn, axis=1) % K
    assert (steps[:32] == 1).mean() > 0.75
    assert (steps[32:] == 3).mean() > 0.75


def test_loss_is_the_mean_of_minus_log_prob_a_code_and_bits_are_nats_over_log_2():
    prior, codes = _prior(), _codes(5)
    logits = _numpy(prior(codes)).astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = np.log(np.take_along_axis(chances, codes[..., None], -1))[..., 0].reshape(5, 9).sum(-1)
    terms = prior.loss_terms(codes)
    np.testing.assert_allclose(_numpy(prior.log_prob(codes)), expected, rtol=1e-5)
    np.testing.assert_allclose(_numpy(terms["loss"]), -expected.mean() / 9, rtol=1e-5)
    np.testing.assert_allclose(_numpy(terms["bits_per_code"]), -expected.mean() / 9 / math.log(2), rtol=1e-5)
    np.testing.assert_allclose(_numpy(prior.bits_per_code(codes)), -expected / 9 / math.log(2), rtol=1e-5)


def test_a_label_is_used_by_a_prior_with_labels_and_ignored_by_one_without():
    codes = _codes(2)
    with_label = {"codes": codes, "label": np.array([0, 1], np.int32)}
    plain = _prior()
    np.testing.assert_array_equal(_numpy(plain(codes)), _numpy(plain(with_label)))
    labelled = _prior(num_labels=2)
    swapped = {"codes": codes, "label": np.array([1, 0], np.int32)}
    assert np.abs(_numpy(labelled(with_label)) - _numpy(labelled(swapped))).min(axis=-1).max() > 0
    with pytest.raises(ValueError, match="no condition\\['label'\\] given"):
        labelled.log_prob(codes)


def test_keras_file_weights_and_config_round_trips(tmp_path):
    prior = _prior(symbol_shape=(2, 3, 2), num_channels=2, num_labels=2, condition_features=1, dropout=0.1)
    condition = {"label": np.array([0, 1], np.int32), "map": np.ones((2, 2, 3, 1), np.float32)}
    codes = _codes(2, (2, 3, 2))
    expected = _numpy(prior.log_prob(codes, condition))
    prior.build()
    prior.save(tmp_path / "prior.keras")
    loaded = keras.saving.load_model(tmp_path / "prior.keras")
    np.testing.assert_array_equal(_numpy(loaded.log_prob(codes, condition)), expected)
    prior.save_weights(tmp_path / "prior.weights.h5")
    twin = Prior.from_config(prior.get_config())
    twin.build()
    twin.load_weights(tmp_path / "prior.weights.h5")
    np.testing.assert_array_equal(_numpy(twin.log_prob(codes, condition)), expected)


def test_the_uniform_prior_spends_log2_k_bits_draws_every_code_and_has_no_weights(tmp_path):
    prior = UniformPrior(K, (3, 3))
    np.testing.assert_allclose(_numpy(prior.log_prob(_codes(2))), -9 * math.log(K), rtol=1e-6)
    np.testing.assert_allclose(_numpy(prior.bits_per_code(_codes(2))), 2.0, rtol=1e-6)
    drawn = _numpy(prior.sample(500, 1, {"label": np.zeros(500, np.int32)}))
    np.testing.assert_allclose(np.bincount(drawn.ravel(), minlength=K) / drawn.size, 1 / K, atol=0.03)
    assert prior.trainable_weights == []
    prior.build()
    prior.save(tmp_path / "uniform.keras")
    loaded = keras.saving.load_model(tmp_path / "uniform.keras")
    assert loaded.get_config() == prior.get_config()


def test_completion_keeps_what_is_given():
    prior, codes = _prior(), _codes(2)
    mask = np.zeros((3, 3), np.int32)
    mask[0] = 1
    drawn = _numpy(prior.sample(2, 5, given=codes, keep_mask=mask))
    np.testing.assert_array_equal(drawn[:, 0], codes[:, 0])


def test_codes_of_another_model_are_refused():
    prior = _prior()
    with pytest.raises(ValueError, match="symbols of shape \\(2, 4, 4\\) given"):
        prior.log_prob(_codes(2, (4, 4)))
    with pytest.raises(ValueError, match=r"codes in 0\.\.4 given; expected 0\.\.3"):
        prior.log_prob(np.array([[[0, 4, 0]] * 3], np.int32))
    with pytest.raises(ValueError, match="codes of type float32 given; expected integers"):
        prior.log_prob(_codes(2).astype(np.float32))
