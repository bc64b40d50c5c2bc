"""Search for a better coding: exact where places do not touch, never worse where they do."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import GatedPixelCNN
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.modalities.image.likelihood import DiscretizedLogisticMixture, Gaussian
from vq_vae_tf.prior import Prior
from vq_vae_tf.quantizers import ProductQuantizer, ResidualQuantizer, VectorQuantizer
from vq_vae_tf.search import coordinate_search
from vq_vae_tf.vqvae import VQVAE


@pytest.mark.parametrize("shape", [(3, 7, 5), (2, 1, 1), (2, 6, 9, 3)])
def test_where_places_do_not_touch_every_code_is_the_best_of_its_candidates(shape):
    rng = np.random.default_rng(0)
    num_codes, count = 11, 4
    cost = rng.normal(size=(*shape, num_codes)).astype(np.float32)
    codes = rng.integers(0, num_codes, shape).astype(np.int32)
    candidates = rng.integers(0, num_codes, (count, *shape)).astype(np.int32)

    def loss_map(codes):
        losses = ops.take_along_axis(ops.convert_to_tensor(cost), codes[..., None], axis=-1)[..., 0]
        return losses if len(shape) == 3 else ops.sum(losses, axis=-1)

    found = np.asarray(coordinate_search(ops.convert_to_tensor(codes), ops.convert_to_tensor(candidates), loss_map))
    offered = np.moveaxis(np.concatenate([codes[None], candidates]), 0, -1)
    best = np.take_along_axis(cost, offered, -1).argmin(-1)
    np.testing.assert_array_equal(found, np.take_along_axis(offered, best[..., None], -1)[..., 0])


def test_where_places_touch_no_image_gets_worse_and_more_sweeps_help():
    rng = np.random.default_rng(1)
    table, target = rng.normal(size=16).astype(np.float32), rng.normal(size=(8, 9, 9)).astype(np.float32)
    kernel = np.full((5, 5, 1, 1), 0.3, np.float32)

    def loss_map(codes):
        values = ops.take(ops.convert_to_tensor(table), codes, axis=0)[..., None]
        return ops.square(ops.conv(values, kernel, padding="same")[..., 0] - target)

    codes = ops.convert_to_tensor(rng.integers(0, 16, target.shape).astype(np.int32))
    candidates = ops.convert_to_tensor(
        np.broadcast_to(np.arange(16, dtype=np.int32)[:, None, None, None], (16, 8, 9, 9))
    )
    losses = [np.asarray(loss_map(codes)).sum((1, 2))]
    for sweeps in (1, 3):
        losses.append(np.asarray(loss_map(coordinate_search(codes, candidates, loss_map, sweeps))).sum((1, 2)))
    assert (losses[1] < losses[0]).all()
    assert (losses[2] <= losses[1]).all()
    assert losses[2].sum() < losses[1].sum()


@pytest.mark.parametrize("shape", [(3, 7, 5), (2, 6, 9, 3)])
def test_with_costs_every_code_is_the_best_by_loss_and_cost(shape):
    rng = np.random.default_rng(0)
    num_codes, count = 11, 4
    loss, cost = rng.normal(size=(2, *shape, num_codes)).astype(np.float32)
    codes = rng.integers(0, num_codes, shape).astype(np.int32)
    candidates = rng.integers(0, num_codes, (count, *shape)).astype(np.int32)

    def loss_map(codes):
        losses = ops.take_along_axis(ops.convert_to_tensor(loss), codes[..., None], axis=-1)[..., 0]
        return losses if len(shape) == 3 else ops.sum(losses, axis=-1)

    tensors = [ops.convert_to_tensor(a) for a in (codes, candidates)]
    found = np.asarray(coordinate_search(*tensors, loss_map, costs=lambda codes: ops.convert_to_tensor(cost)))
    offered = np.moveaxis(np.concatenate([codes[None], candidates]), 0, -1)
    best = np.take_along_axis(loss + cost, offered, -1).argmin(-1)
    np.testing.assert_array_equal(found, np.take_along_axis(offered, best[..., None], -1)[..., 0])


def test_what_a_code_makes_later_codes_cost_is_charged_at_the_end_of_the_round():
    dear = np.array([0.0, 5.0], np.float32)  # of code 0 after a 1 at (0, 0), which gains 1 itself

    def loss_map(codes):
        return ops.cast(ops.equal(codes, 0), "float32") * (np.arange(64).reshape(8, 8) == 0)

    def costs(codes):
        after = ops.take(ops.convert_to_tensor(dear), codes[:, 0, 0])[:, None, None, None]
        return after * (np.arange(64).reshape(8, 8, 1) == 63) * np.array([1.0, 1.0], np.float32)

    codes = ops.zeros((2, 8, 8), "int32")
    np.testing.assert_array_equal(coordinate_search(codes, ops.ones((1, 2, 8, 8), "int32"), loss_map)[:, 0, 0], [1, 1])
    kept = coordinate_search(codes, ops.ones((1, 2, 8, 8), "int32"), loss_map, costs=costs)
    np.testing.assert_array_equal(kept[:, 0, 0], [0, 0])


def test_an_image_that_a_round_makes_worse_keeps_its_codes():
    weight = np.zeros((2, 8, 8), np.float32)  # of what a place adds where it is, and at place (0, 0)
    weight[0, 0, 0], weight[0, 0, 4], weight[1, 0, 4] = 0.5, 2.0, -1.0

    def loss_map(codes):
        set_ = ops.cast(codes, "float32")
        told = ops.sum(set_ * weight[1], axis=(1, 2))[:, None, None]
        return set_ * weight[0] + told * (np.arange(64).reshape(8, 8) == 0)

    codes = ops.zeros((3, 8, 8), "int32")
    # Tried together, (0, 4) makes (0, 0) look better than it is; refused itself, it leaves (0, 0) worse.
    np.testing.assert_array_equal(coordinate_search(codes, ops.ones((1, 3, 8, 8), "int32"), loss_map), codes)


def model(quantizer, likelihood, downsamplings=1):
    keras.utils.set_random_seed(0)
    sizes = {"units": 8, "residual_units": 4, "residual_blocks": 1}
    encoder = ImageEncoder(quantizer.embedding_dim, downsamplings=downsamplings, **sizes)
    made = VQVAE(
        encoder, quantizer, ImageDecoder(likelihood.outputs(3), upsamplings=downsamplings, **sizes), likelihood
    )
    made.build((None, 8, 8, 3))
    made(images(16), training=True)  # the codebook starts from data
    return made


def with_prior(books):
    """A model of one codebook or two, and a prior of its codes that is far from uniform."""
    quantizer = ProductQuantizer(2, 8, 4, ema_decay=0.9) if books > 1 else VectorQuantizer(16, 4, ema_decay=0.9)
    vqvae = model(quantizer, Gaussian(0.02))
    shape = (4, 4, 2) if books > 1 else (4, 4)
    prior = Prior(GatedPixelCNN(quantizer.num_codes, shape, books if books > 1 else None, features=8, num_layers=2))
    prior.build()
    for weight in prior.trainable_weights:
        weight.assign_add(np.random.default_rng(len(weight.path)).normal(0, 0.5, weight.shape).astype(np.float32))
    return vqvae, prior


def compiled(function):
    """One graph where operations would run one by one: JAX compiles its loops anyway."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, autograph=False)


def images(count):
    return np.random.default_rng(2).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)


def test_with_one_place_it_finds_the_best_of_all_codes():
    vqvae = model(VectorQuantizer(6, 4, ema_decay=0.9), Gaussian(0.02), downsamplings=3)
    x = images(5)
    found = np.asarray(vqvae.search(x, candidates=6))
    squares = [
        np.asarray(vqvae.likelihood.loss(vqvae.decode_params(np.full((5, 1, 1), k, np.int32)), x)) for k in range(6)
    ]
    np.testing.assert_array_equal(found[:, 0, 0], np.argmin(squares, axis=0))


@pytest.mark.parametrize(
    ("quantizer", "likelihood"),
    [
        (VectorQuantizer(16, 4, ema_decay=0.9), Gaussian(0.02)),
        (ProductQuantizer(2, 8, 4, ema_decay=0.9), DiscretizedLogisticMixture(2)),
    ],
    ids=["vector, Gaussian", "product, logistics"],
)
def test_the_bound_of_searched_codes_is_tighter(quantizer, likelihood):
    vqvae, x = model(quantizer, likelihood), images(6)
    own, found = vqvae.encode(x), vqvae.search(x, candidates=4, sweeps=2)
    assert found.shape == own.shape
    before, after = (np.asarray(vqvae.code_loss(c, x)) for c in (own, found))
    assert (after <= before * (1 + 1e-6)).all()
    assert after.sum() < before.sum()


@pytest.mark.parametrize("books", [1, 2])
def test_with_a_prior_the_weighted_sum_of_loss_and_rate_falls_and_so_does_the_rate(books):
    (vqvae, prior), x = with_prior(books), images(6)

    def measured(codes):
        return np.asarray(vqvae.code_loss(codes, x)), -np.asarray(prior.log_prob(codes))

    own, rates = vqvae.encode(x), []
    free, weighed = (vqvae.search(x, 4, 1, prior, rate_weight=weight) for weight in (0.0, 1.0))
    for weight, found in ((0.0, free), (1.0, weighed)):
        (loss, rate), (own_loss, own_rate) = measured(found), measured(own)
        assert (loss + weight * rate <= (own_loss + weight * own_rate) * (1 + 1e-6)).all()
        rates.append(rate.sum())
    assert rates[0] > rates[1]
    np.testing.assert_array_equal(free, vqvae.search(x, 4, 1))


@pytest.mark.parametrize("books", [1, 2])
def test_the_codes_of_a_model_keep_the_bits_under_its_prior(books):
    (vqvae, prior), x = with_prior(books), images(6)

    def bits(codes):
        return -np.asarray(prior.log_prob(codes)) / math.log(2)

    own = vqvae.encode(x)
    most = 0.6 * float(bits(own).mean())
    found = compiled(lambda: vqvae.search(x, 4, 6, prior, most_bits=most))()
    assert (bits(found) <= most + 1e-3).all()
    alike = compiled(lambda: vqvae.search(x, 4, 6, prior, 30.0))()
    assert np.asarray(vqvae.code_loss(found, x)).sum() < np.asarray(vqvae.code_loss(alike, x)).sum()


def test_a_budget_wants_bits_and_a_prior():
    vqvae = model(VectorQuantizer(6, 4, ema_decay=0.9), Gaussian(0.02))
    prior = Prior(GatedPixelCNN(6, (4, 4), features=4, num_layers=1))
    for given, bits in ((None, 9.0), (prior, 0.0), (prior, -1.0)):
        with pytest.raises(ValueError, match=r"most_bits=.*expected a positive number of bits, and the prior"):
            vqvae.search(images(1), 2, 1, given, most_bits=bits)


def test_bad_input_is_named():
    vqvae = model(VectorQuantizer(6, 4, ema_decay=0.9), Gaussian(0.02))
    for candidates in (1, 7):
        with pytest.raises(ValueError, match=f"candidates={candidates}; expected 2 to 6"):
            vqvae.search(images(1), candidates=candidates)
    with pytest.raises(ValueError, match=r"rate_weight=-1\.0; expected"):
        vqvae.search(images(1), rate_weight=-1.0)
    with pytest.raises(ValueError, match="residual"):
        model(ResidualQuantizer(2, 6, 4, ema_decay=0.9), Gaussian(0.02)).search(images(1), candidates=2)
    rows = VQVAE(keras.layers.Dense(4), VectorQuantizer(6, 4, ema_decay=0.9), keras.layers.Dense(3), Gaussian(0.02))
    with pytest.raises(ValueError, match=r"codes are \(2, 5\)"):
        rows.search(np.zeros((2, 5, 3), np.float32), candidates=2)
    codes = np.zeros((2, 5), np.int32)
    with pytest.raises(ValueError, match=r"codes are \(2, 5\)"):
        coordinate_search(codes, codes[None], lambda codes: codes)
    codes = np.zeros((2, 3, 3), np.int32)
    with pytest.raises(ValueError, match="candidates are"):
        coordinate_search(codes, codes[None, :, :2], lambda codes: codes)


def test_maps_of_losses_add_up_to_the_loss_of_the_image():
    rng = np.random.default_rng(3)
    x = rng.integers(0, 256, (3, 4, 4, 3))
    for likelihood in (Gaussian(0.02), DiscretizedLogisticMixture(2)):
        params = rng.normal(0, 0.3, (3, 4, 4, likelihood.outputs(3))).astype(np.float32)
        for parts, whole in (("loss_map", "loss"), ("log_prob_map", "log_prob")):
            each = np.asarray(getattr(likelihood, parts)(params, x))
            assert each.shape == (3, 4, 4)
            np.testing.assert_allclose(each.sum((1, 2)), getattr(likelihood, whole)(params, x), rtol=1e-5)
