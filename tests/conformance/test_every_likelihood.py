"""What every registered likelihood promises."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.modalities.image.likelihood import LIKELIHOODS

NAMES = sorted(LIKELIHOODS)
N = 20_000


def _make(name):
    return LIKELIHOODS[name](name="likelihood")


def _params(likelihood, channels, shape=(1, 1, 1), scale=0.5, seed=0):
    values = scale * np.random.default_rng(seed).normal(size=(*shape, likelihood.outputs(channels)))
    return values.astype(np.float32)


def _every_value(channels):
    """All images of one pixel, `[256 ** channels, 1, 1, channels]`."""
    axes = np.meshgrid(*[np.arange(256)] * channels, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=-1)[:, None, None]


def _probabilities(likelihood, params, channels):
    """float64 `[256] * channels`."""
    x = _every_value(channels)
    logs = likelihood.log_prob(np.broadcast_to(params, (len(x), *params.shape[1:])), x)
    return np.exp(ops.convert_to_numpy(logs).astype(np.float64)).reshape([256] * channels)


def _gradient(function, x):
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(ops.convert_to_tensor(x)))
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x).numpy()


@pytest.mark.parametrize(("channels", "scale"), [(1, 0.0), (1, 30.0), (2, 1.0)])
@pytest.mark.parametrize("name", NAMES)
def test_probabilities_sum_to_one_over_all_images(name, scale, channels):
    likelihood = _make(name)
    total = _probabilities(likelihood, _params(likelihood, channels, scale=scale), channels).sum()
    assert total == pytest.approx(1.0, abs=2e-4)


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("name", NAMES)
def test_log_prob_and_its_gradients_are_finite_at_both_ends_and_for_extreme_parameters(name, scale):
    likelihood = _make(name)
    x = np.broadcast_to(np.uint8([0, 128, 255])[:, None, None, None], (3, 2, 2, 3))
    params = _params(likelihood, 3, (3, 2, 2), scale)
    assert np.isfinite(ops.convert_to_numpy(likelihood.log_prob(params, x))).all()
    for function in (likelihood.log_prob, likelihood.loss):
        gradient = _gradient(lambda p, f=function: ops.sum(f(p, x)), params)
        assert np.isfinite(gradient).all()
        assert (np.abs(gradient).reshape(3, -1).max(axis=1) > 0).all() or scale == 1e4


@pytest.mark.parametrize("name", NAMES)
def test_a_step_down_the_loss_makes_each_image_more_likely(name):
    likelihood = _make(name)
    x = np.broadcast_to(np.uint8([0, 100, 255])[:, None, None, None], (3, 4, 4, 3))
    params = _params(likelihood, 3, (3, 4, 4), scale=0.1)
    gradient = _gradient(lambda p: ops.sum(likelihood.loss(p, x)), params)
    better = params - 1e-3 * gradient / np.abs(gradient).max(axis=(1, 2, 3), keepdims=True)
    before, after = (ops.convert_to_numpy(likelihood.log_prob(p, x)) for p in (params, better))
    assert (after > before).all()


@pytest.mark.parametrize("name", NAMES)
def test_loss_is_a_bound_in_nats_close_to_log_prob_away_from_the_ends(name):
    likelihood = _make(name)
    params = _params(likelihood, 3, (6, 4, 4), scale=0.1)
    x = np.random.default_rng(1).integers(60, 196, (6, 4, 4, 3)).astype(np.uint8)
    loss, nats = (ops.convert_to_numpy(v) for v in (likelihood.loss(params, x), -likelihood.log_prob(params, x)))
    assert loss.shape == (6,)
    np.testing.assert_allclose(loss, nats, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_added_up(name):
    likelihood = _make(name)
    params = _params(likelihood, 3, (1, 2, 3))
    x = np.random.default_rng(1).integers(0, 256, (1, 2, 3, 3))
    parts = likelihood.log_prob(params.reshape(6, 1, 1, -1), x.reshape(6, 1, 1, 3))
    assert float(ops.sum(parts)) == pytest.approx(float(likelihood.log_prob(params, x)[0]), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_samples_follow_the_probabilities(name):
    likelihood = _make(name)
    params = _params(likelihood, 2)
    exact = _probabilities(likelihood, params, 2)
    drawn = ops.convert_to_numpy(likelihood.sample(np.broadcast_to(params, (N, *params.shape[1:])), seed=3))
    assert drawn.shape == (N, 1, 1, 2)
    assert (drawn == np.rint(drawn)).all()
    assert drawn.min() >= 0
    assert drawn.max() <= 255
    # Chi-square over 8 x 8 coarse cells: both channels and how they hang together.
    expected = N * exact.reshape(8, 32, 8, 32).sum(axis=(1, 3))
    cells = (drawn.reshape(N, 2) // 32).astype(int)
    counts = np.zeros((8, 8))
    np.add.at(counts, (cells[:, 0], cells[:, 1]), 1)
    chance = expected > 5
    statistic = ((counts - expected)[chance] ** 2 / expected[chance]).sum()
    freedom = chance.sum() - 1
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)
    # Kolmogorov-Smirnov on each channel, value by value: 1.95 / sqrt(N) is passed once in a thousand.
    for channel in range(2):
        cdf = np.cumsum(exact.sum(axis=1 - channel))
        empirical = np.cumsum(np.bincount(drawn[:, 0, 0, channel].astype(int), minlength=256)) / N
        assert np.abs(cdf - empirical).max() < 1.95 / np.sqrt(N)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_fixes_the_draw(name):
    likelihood = _make(name)
    params = _params(likelihood, 3, (2, 4, 4))
    first, again, other = (ops.convert_to_numpy(likelihood.sample(params, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    seeds = keras.random.SeedGenerator(5)
    one, two = (ops.convert_to_numpy(likelihood.sample(params, seed=seeds)) for _ in range(2))
    assert (one != two).any()


@pytest.mark.parametrize("name", NAMES)
def test_mean_is_the_expectation_where_the_tails_do_not_matter(name):
    likelihood = _make(name)
    params = _params(likelihood, 1, scale=0.02)
    exact = (_probabilities(likelihood, params, 1) * np.arange(256)).sum()
    mean = ops.convert_to_numpy(likelihood.mean(params))
    assert mean.shape == (1, 1, 1, 1)
    assert mean.item() == pytest.approx(exact, abs=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_parameters_are_computed_with_in_float32(name):
    likelihood = _make(name)
    params = ops.cast(_params(likelihood, 3, (2, 4, 4)), "bfloat16")
    x = np.random.default_rng(1).integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    wide = ops.cast(params, "float32")
    for method in ("mean", "sample"):
        arguments = {"seed": 1} if method == "sample" else {}
        half, full = (getattr(likelihood, method)(p, **arguments) for p in (params, wide))
        assert keras.backend.standardize_dtype(half.dtype) == "float32"
        np.testing.assert_array_equal(ops.convert_to_numpy(half), ops.convert_to_numpy(full))
    log_prob = likelihood.log_prob(params, x)
    assert keras.backend.standardize_dtype(log_prob.dtype) == "float32"
    np.testing.assert_array_equal(ops.convert_to_numpy(log_prob), ops.convert_to_numpy(likelihood.log_prob(wide, x)))


@pytest.mark.parametrize("name", NAMES)
def test_the_config_makes_the_same_likelihood(name):
    likelihood = _make(name)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(likelihood))
    assert type(copy) is type(likelihood)
    assert copy.get_config() == likelihood.get_config()
    assert copy.outputs(3) == likelihood.outputs(3)
