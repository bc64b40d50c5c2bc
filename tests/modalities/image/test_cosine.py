"""A folded encoder and decoder start as a transform and its inverse."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from vq_vae_tf import build
from vq_vae_tf import config as config_lib
from vq_vae_tf.modalities.image.cosine import _information, cosine_kernel
from vq_vae_tf.modalities.image.fold import fold
from vq_vae_tf.modalities.image.likelihood import Categorical, DiscretizedLogisticMixture, Gaussian


@pytest.mark.parametrize(("side", "channels", "groups"), [(4, 3, 10), (2, 1, 1), (4, 1, 4)])
def test_with_room_for_every_coefficient_the_kernel_is_orthonormal(side, channels, groups):
    values = side * side * channels
    dim = groups * -(-values // groups)
    kernel = cosine_kernel(side, channels, dim, groups)
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(values), atol=1e-6)


def test_a_flat_grey_square_has_one_coefficient_and_it_is_in_the_first_run():
    z = np.full((1, 48), 0.25) @ cosine_kernel(4, 3, 50, 10)
    assert np.flatnonzero(np.abs(z[0]) > 1e-6).tolist() == [0]
    assert z[0, 0] == pytest.approx(0.25 * np.sqrt(48))


def test_runs_share_the_information_evenly():
    """The strongest coefficients lie apart: no run has two of the strongest ten."""
    alone, dealt = cosine_kernel(4, 3, 48, 1), cosine_kernel(4, 3, 50, 10)
    strongest = alone[:, :10].T @ dealt
    assert np.bincount(np.argmax(np.abs(strongest), axis=1) // 5, minlength=10).tolist() == [1] * 10


@pytest.mark.parametrize("bits", [0.5, 9.0, 90.0, 1000.0])
def test_information_is_what_there_is_and_fills_from_below(bits):
    loss = np.random.default_rng(0).uniform(0.0, 12.0, 48)
    information = _information(loss, bits)
    assert information.sum() == pytest.approx(bits)
    taking = information > 0
    level = loss + 2 * np.log(2) * information  # of those that take bits, all at one height; the rest stick out
    np.testing.assert_allclose(level[taking], level[taking][0])
    assert (loss[~taking] >= level[taking][0]).all()


def test_a_wave_has_its_strength_whatever_the_square():
    """The same waves lead in squares of 4 and of 8 pixels: grey first, then half waves over rows and columns."""
    for side in (4, 8):
        kernel = cosine_kernel(side, 3, 3, 1).reshape(side, side, 3, 3)
        assert np.ptp(kernel[..., 0]) < 1e-6
        assert all(np.ptp(kernel[..., 0, i].mean(axis)) < 1e-6 for i, axis in ((1, 1), (2, 0)))


def test_without_room_the_weakest_are_left_out():
    kernel, whole = cosine_kernel(4, 3, 12, 3), cosine_kernel(4, 3, 48, 1)
    kept = np.abs(whole.T @ kernel).max(axis=1)
    np.testing.assert_allclose(kept, [1.0] * 12 + [0.0] * 36, atol=1e-6)


def model(likelihood, precision="float32"):
    values = {
        "likelihood": likelihood, "quantizer": "product", "num_codebooks": 2, "num_embeddings": 64, "embedding_dim": 12,
        "units": 8, "residual_units": 4, "resampling": "folded", "downsamplings": 1, "data_variance": 0.05,
        "mixture_components": 2,
    }  # fmt: skip
    return build.build_vqvae(config_lib.from_values(values), (4, 4, 3), precision)


@pytest.mark.parametrize("likelihood", ["gaussian", "logistic_mixture"])
def test_the_model_starts_as_the_transform_and_its_inverse(likelihood):
    vqvae = model(likelihood)
    x = np.random.default_rng(0).integers(20, 236, (3, 4, 4, 3)).astype(np.uint8)
    z = vqvae.encoder(x)
    expected = ops.convert_to_numpy(fold(x / 255.0 - 0.5, 2)) @ cosine_kernel(2, 3, 12, 2, 6.0)
    np.testing.assert_allclose(ops.convert_to_numpy(z), expected, atol=1e-5)
    picture = ops.convert_to_numpy(vqvae.likelihood.mean(vqvae.decoder(z)))
    np.testing.assert_allclose(picture, x, atol=1.5)  # the mixture's mean feels the ends


def test_what_goes_round_the_networks_is_exact_under_bfloat16():
    exact, mixed = (model("logistic_mixture", precision) for precision in ("float32", "mixed_bfloat16"))
    x = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)
    z = ops.convert_to_numpy(exact.encoder(x))
    np.testing.assert_allclose(ops.convert_to_numpy(mixed.encoder(x)), z, atol=1e-6)
    parameters = [ops.convert_to_numpy(vqvae.decoder(z)) for vqvae in (exact, mixed)]
    bias = np.abs(parameters[0]).max() * 2.0**-8  # only what starts at zero goes through bfloat16, and its bias
    np.testing.assert_allclose(parameters[1], parameters[0], atol=bias)


@pytest.mark.parametrize("likelihood", [Gaussian(0.01), DiscretizedLogisticMixture(3)])
def test_location_puts_the_distribution_about_the_pixel(likelihood):
    matrix, bias = likelihood.location(3)
    x = np.random.default_rng(0).integers(20, 236, (5, 1, 1, 3))
    params = ((x / 255.0 - 0.5) @ matrix + bias).astype(np.float32)
    at, off = (ops.convert_to_numpy(likelihood.log_prob(params, value)) for value in (x, (x + 90) % 256))
    assert (at > off).all()
    np.testing.assert_allclose(ops.convert_to_numpy(likelihood.mean(params)), x, atol=1.5)


def test_a_softmax_has_no_location_and_starts_from_chance():
    assert Categorical().location(3) is None
    vqvae = model("categorical")
    assert np.abs(ops.convert_to_numpy(vqvae.encoder.project.kernel)).max() > 0
