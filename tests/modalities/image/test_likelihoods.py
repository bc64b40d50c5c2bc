"""Each likelihood against its equation in NumPy."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.build_likelihood import build_likelihood
from vq_vae_tf.config import from_values
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.likelihood import Categorical, DiscretizedLogisticMixture, Gaussian
from vq_vae_tf.ops.contrast import contrast_error, local_energies


def _x(shape=(4, 2, 3, 3), seed=0):
    x = np.random.default_rng(seed).integers(0, 256, shape)
    x.reshape(-1)[:2] = 0, 255
    return x.astype(np.uint8)


def _phi(z):
    return np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)))(z)


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


@pytest.mark.parametrize("variance", [1e-4, 0.03, 1.0])
def test_gaussian_is_the_normal_integrated_over_bins(variance):
    x = _x()
    mu = np.clip(x / 255.0 - 0.5 + 2 * math.sqrt(variance) * np.random.default_rng(1).normal(size=x.shape), -1, 1)
    mu = mu.astype(np.float32)
    s = math.sqrt(variance)
    upper = np.where(x == 255, np.inf, (x + 0.5) / 255.0 - 0.5 - mu) / s
    lower = np.where(x == 0, -np.inf, (x - 0.5) / 255.0 - 0.5 - mu) / s
    # From whichever tail is nearer, else 1 - 1 cancels in float64 too.
    mass = np.where(lower > 0, _phi(-lower) - _phi(-upper), _phi(upper) - _phi(lower))
    expected = np.log(mass).sum((1, 2, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(Gaussian(variance).log_prob(mu, x)), expected, rtol=2e-5)


def test_gaussian_loss_is_sonnets():
    x, data_variance = _x(), 0.0633
    mu = np.random.default_rng(1).normal(size=x.shape).astype(np.float32) * 0.3
    loss = ops.convert_to_numpy(Gaussian(0.5 * data_variance).loss(mu, x)) / 18
    error = np.square(x / 255.0 - 0.5 - mu).mean((1, 2, 3)) / data_variance
    constant = 0.5 * math.log(math.pi * data_variance) + math.log(255.0)
    np.testing.assert_allclose(loss, error + constant, rtol=1e-5)


def test_gaussian_trains_by_the_squared_error_also_beyond_the_ends():
    x = np.array([0, 0, 255, 255], np.uint8).reshape(4, 1, 1, 1)
    mu = np.array([-2.0, 0.3, 2.0, -0.3], np.float32).reshape(4, 1, 1, 1)
    gradient = _gradient(lambda p: ops.sum(Gaussian(0.1).loss(p, x)), mu)
    np.testing.assert_allclose(gradient.ravel(), (mu.ravel() - np.array([-0.5, -0.5, 0.5, 0.5])) / 0.1, rtol=1e-5)


def test_gaussian_tails_belong_to_the_ends():
    likelihood = Gaussian(0.01)
    for mu, x in ((-3.0, 0), (3.0, 255)):
        assert float(likelihood.log_prob(np.full((1, 1, 1, 1), mu, np.float32), np.full((1, 1, 1, 1), x))[0]) > -1e-6


def test_gaussian_refuses_a_variance_that_is_not_positive():
    with pytest.raises(ValueError, match="variance must be positive"):
        Gaussian(0.0)


def test_gaussian_asks_for_contrast_and_says_the_same_of_a_picture():
    x, weight = _x((3, 12, 9, 3)), 1.5
    mu = np.random.default_rng(1).normal(size=x.shape).astype(np.float32) * 0.3
    plain, sharp = Gaussian(0.02), Gaussian(0.02, contrast_weight=weight)
    missed = ops.convert_to_numpy(contrast_error(mu, x.astype(np.float32) / 255.0)) / (2 * 0.02)
    added = ops.convert_to_numpy(sharp.loss(mu, x)) - ops.convert_to_numpy(plain.loss(mu, x))
    np.testing.assert_allclose(added, weight * 12 * 9 * 3 * missed, rtol=1e-4)
    np.testing.assert_array_equal(sharp.log_prob(mu, x), plain.log_prob(mu, x))
    flat = np.zeros_like(mu)  # no slope anywhere: its gradient has to stay finite
    assert np.isfinite(_gradient(lambda p: ops.sum(sharp.loss(p, x)), flat)).all()


def _across(u):
    return float(ops.mean(local_energies(u)[..., 0]))


def test_gaussian_with_contrast_makes_a_blur_of_several_edges_as_sharp_as_they_are():
    """The best picture for all of them: their mean by squared error, with half the energy; with contrast all of it."""
    edges = np.zeros((2, 12, 12, 1), np.float32)
    edges[0, :, 4:] = edges[1, :, 8:] = 255.0

    def best(likelihood):
        mu = np.zeros((1, 12, 12, 1), np.float32)
        for _ in range(400):
            gradient = _gradient(lambda p: ops.sum(likelihood.loss(ops.repeat(p, 2, axis=0), edges)), mu)
            mu = mu - 0.0002 * gradient
        return mu

    found = [_across(best(likelihood)) for likelihood in (Gaussian(0.02), Gaussian(0.02, 9.0))]
    real = _across(edges / 255.0)
    assert found[0] < 0.65 * real
    assert found[1] == pytest.approx(real, rel=0.1)


def test_gaussian_refuses_a_negative_weight_of_contrast():
    with pytest.raises(ValueError, match="contrast_weight must not be negative"):
        Gaussian(0.02, contrast_weight=-1.0)


def test_contrast_is_for_the_gaussian_and_reaches_it():
    made = build_likelihood(from_values({"contrast_weight": 2.0, "data_variance": 0.05}), (8, 8, 3))
    assert (made.contrast_weight, made.variance) == (2.0, 0.025)
    assert Gaussian.from_config(made.get_config()).contrast_weight == 2.0
    for name in ("categorical", "pixelcnn"):
        with pytest.raises(UserError, match=f"--contrast_weight=2 is for --likelihood=gaussian; --likelihood={name}"):
            build_likelihood(from_values({"contrast_weight": 2.0, "likelihood": name}), (8, 8, 3))
    with pytest.raises(UserError, match="--contrast_weight=2 with images of 16x7; it compares pieces of 7x7 pixels"):
        build_likelihood(from_values({"contrast_weight": 2.0, "data_variance": 0.05}), (16, 7, 3))


def test_categorical_is_a_softmax_of_each_channel():
    x = _x()
    logits = np.random.default_rng(1).normal(size=(4, 2, 3, 3, 256)).astype(np.float32)
    logs = logits - np.log(np.exp(logits.astype(np.float64)).sum(-1, keepdims=True))
    expected = np.take_along_axis(logs, x[..., None].astype(int), axis=-1).sum((1, 2, 3, 4))
    params = logits.reshape(4, 2, 3, 3 * 256)
    np.testing.assert_allclose(ops.convert_to_numpy(Categorical().log_prob(params, x)), expected, rtol=1e-5)
    np.testing.assert_allclose(
        ops.convert_to_numpy(Categorical().mean(params)), (np.exp(logs) * np.arange(256)).sum(-1), rtol=1e-5
    )


def _sigmoid(z):
    return np.where(z >= 0, 1 / (1 + np.exp(-np.abs(z))), np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))))


def _mixture_oracle(params, x, m):
    """PixelCNN++'s equations, slopes times errors, in float64, one pixel, one component and one channel at a time."""
    total = np.zeros(len(x))
    c = x.shape[-1]
    for index in np.ndindex(x.shape[:-1]):
        p, value = params[index].astype(np.float64).reshape(-1, m), x[index].astype(np.float64)
        v = value / 127.5 - 1
        weights = np.exp(p[0]) / np.exp(p[0]).sum()
        mass = np.ones(m)
        pairs = iter(np.tanh(p[1 + 2 * c :]))
        for channel in range(c):
            mean = p[1 + channel] + sum(next(pairs) * (v[earlier] - p[1 + earlier]) for earlier in range(channel))
            s = np.exp(np.clip(p[1 + c + channel], -7, 7))
            high = 1.0 if value[channel] == 255 else _sigmoid((v[channel] + 1 / 255 - mean) / s)
            low = 0.0 if value[channel] == 0 else _sigmoid((v[channel] - 1 / 255 - mean) / s)
            mass = mass * (high - low)
        total[index[0]] += np.log((weights * mass).sum())
    return total


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_mixture_is_pixelcnn_plus_pluss(channels):
    x = _x((4, 2, 3, channels))
    likelihood = DiscretizedLogisticMixture(4)
    params = np.random.default_rng(1).normal(size=(4, 2, 3, likelihood.outputs(channels))).astype(np.float32)
    expected = _mixture_oracle(params, x, 4)
    np.testing.assert_allclose(ops.convert_to_numpy(likelihood.log_prob(params, x)), expected, rtol=2e-5)


def test_mixture_has_ten_parameters_a_component_for_colour():
    assert [DiscretizedLogisticMixture(7).outputs(c) for c in (1, 2, 3)] == [21, 42, 70]


def test_mixture_samples_follow_the_channels_before():
    """One component: v_c - mu_c(v_<c) of the samples, over s, is logistic noise (channels kept off the ends)."""
    n, slopes = 20_000, np.array([0.6, -0.5, 0.8])
    params = np.concatenate([[0.0], [0.1, -0.2, 0.05], [-3.0, -3.0, -3.0], np.arctanh(slopes)]).astype(np.float32)
    likelihood = DiscretizedLogisticMixture(1)
    x = ops.convert_to_numpy(likelihood.sample(np.broadcast_to(params, (n, 1, 1, 10)), seed=1)).reshape(n, 3)
    v, rng = x / 127.5 - 1, np.random.default_rng(0)
    means = np.stack(
        [
            np.full(n, 0.1),
            -0.2 + slopes[0] * (v[:, 0] - 0.1),
            0.05 + slopes[1] * (v[:, 0] - 0.1) + slopes[2] * (v[:, 1] + 0.2),
        ],
        axis=-1,
    )
    for channel in range(3):
        inside_the_bin = rng.uniform(-1 / 255, 1 / 255, n)
        z = np.sort(((v - means)[:, channel] + inside_the_bin) / np.exp(-3.0))
        assert np.abs(_sigmoid(z) - (np.arange(n) + 0.5) / n).max() < 1.95 / np.sqrt(n) + 0.002


def test_mixture_mean_is_that_of_its_samples_in_every_channel():
    likelihood = DiscretizedLogisticMixture(3)
    params = np.random.default_rng(2).normal(size=(1, 1, 1, likelihood.outputs(3))).astype(np.float32) * 0.5
    params[..., 12:21] -= 2.0
    drawn = ops.convert_to_numpy(likelihood.sample(np.broadcast_to(params, (20_000, 1, 1, params.shape[-1])), seed=1))
    mean = ops.convert_to_numpy(likelihood.mean(params))
    np.testing.assert_allclose(mean.ravel(), drawn.mean(0).ravel(), atol=2.0)


def test_mixture_refuses_parameters_that_do_not_fit():
    with pytest.raises(ValueError, match=r"expected 100 for 3 channels and 10 components"):
        DiscretizedLogisticMixture().log_prob(np.zeros((1, 2, 2, 99), np.float32), np.zeros((1, 2, 2, 3)))
    with pytest.raises(ValueError, match="at least 1"):
        DiscretizedLogisticMixture(0)
