"""A PixelCNN as the decoder: a distribution, causal, conditioned on the codes, trainable inside a VQ-VAE."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import NETWORKS, sample_naive
from vq_vae_tf.autoregressive_decoder import AutoregressivePixels
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.modalities.image.fold import unfold
from vq_vae_tf.quantizers import QUANTIZERS
from vq_vae_tf.vqvae import VQVAE

SHAPE, MAP = (4, 4, 3), 5


def _likelihood(shape=SHAPE, use_codes=True, **changes):
    width = MAP if use_codes else 0
    sizes = {"features": 8, "num_layers": 1, "condition_features": width, "num_channels": shape[-1], "num_symbols": 256}
    keras.utils.set_random_seed(0)
    likelihood = AutoregressivePixels(NETWORKS["pixelcnn"](symbol_shape=shape, **{**sizes, **changes}), use_codes)
    likelihood.build()
    return likelihood


def _map(batch, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, *shape[:2], MAP)).astype(np.float32)


def _pictures(batch, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (batch, *SHAPE)).astype(np.uint8)


def _chain(likelihood, params, x):
    """log p(x) by the chain rule over logits, in NumPy."""
    logits = ops.convert_to_numpy(likelihood.network(x.astype("int32"), {"map": params})).astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.take_along_axis(logs, x[..., None].astype(int), axis=-1).sum((1, 2, 3, 4))


def _squares(side=2, map_width=MAP, **changes):
    """Over 4x4 pixels of three channels, square by square."""
    keras.utils.set_random_seed(0)
    inner = 3 * side**2
    sizes = {"features": 8, "num_layers": 1, "num_symbols": 256, "condition_features": map_width * side**2, **changes}
    network = NETWORKS["pixelcnn"](symbol_shape=(4 // side, 4 // side, inner), num_channels=inner, **sizes)
    likelihood = AutoregressivePixels(network, side=side)
    likelihood.build()
    return likelihood


@pytest.mark.parametrize("logistics", [0, 3])
def test_by_squares_log_prob_is_the_chain_rule_over_the_pixels_of_a_square_then_the_squares(logistics):
    likelihood, params, x = _squares(logistics=logistics), _map(2), _pictures(2)
    assert likelihood.outputs(3) == MAP
    logits = np.zeros((2, 4, 4, 3, 256))
    condition = np.zeros((2, 2, 2, 4 * MAP), np.float32)
    order = [(2 * r + i, 2 * c + j, k) for r, c, i, j in itertools.product((0, 1), repeat=4) for k in range(3)]
    symbols = np.stack([x[:, row, column, k] for row, column, k in order], axis=1).reshape(2, 2, 2, 12).astype("int32")
    for r in (0, 1):
        for c in (0, 1):
            condition[:, r, c] = params[:, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].reshape(2, -1)
    found = ops.convert_to_numpy(likelihood.network(symbols, {"map": condition})).reshape(2, 48, 256)
    for place, (row, column, k) in enumerate(order):
        logits[:, row, column, k] = found[:, place]
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = np.take_along_axis(logs, x[..., None].astype(int), axis=-1).sum((3, 4))
    np.testing.assert_allclose(ops.convert_to_numpy(likelihood.log_prob_map(params, x)), expected, rtol=2e-4)


def test_by_squares_a_pixel_knows_only_those_before_it():
    likelihood, params, x = _squares(), _map(1), _pictures(1)
    known = ops.convert_to_numpy(likelihood.log_prob_map(params, x))
    x[0, 1, 2] ^= 255  # the third pixel of the second square
    changed = ops.convert_to_numpy(likelihood.log_prob_map(params, x)) != known
    before = np.zeros((4, 4), bool)
    before[:2, :2], before[0, 2:] = True, True
    assert not changed[0][before].any()
    assert changed[0][~before].all()


def test_by_squares_samples_are_those_of_the_naive_sampler_put_in_place():
    likelihood = _squares(logistics=3)
    drawn = ops.convert_to_numpy(likelihood.sample(_map(3), seed=4))
    assert drawn.shape == (3, 4, 4, 3)
    assert drawn.max() <= 255
    naive = sample_naive(likelihood.network, 3, 4, likelihood._condition(_map(3)))
    np.testing.assert_array_equal(ops.convert_to_numpy(unfold(naive, 2)), drawn)


def test_the_map_starts_as_what_the_codes_say_of_the_pixel():
    matrix, bias = _squares().location(3)
    np.testing.assert_array_equal(matrix, 2 * np.eye(3, MAP))
    np.testing.assert_array_equal(bias, np.zeros(MAP))
    assert _squares(map_width=2).location(3) is None


def test_a_side_that_does_not_fit_is_refused():
    network = NETWORKS["pixelcnn"](symbol_shape=SHAPE, num_channels=3, num_symbols=256, condition_features=8)
    with pytest.raises(ValueError, match="multiples of 4"):
        AutoregressivePixels(network, side=2)


def test_log_prob_is_the_chain_rule():
    likelihood, params, x = _likelihood(), _map(3), _pictures(3)
    np.testing.assert_allclose(
        ops.convert_to_numpy(likelihood.log_prob(params, x)), _chain(likelihood, params, x), rtol=1e-5
    )


def test_probabilities_of_a_pixel_sum_to_one():
    shape = (1, 1, 2)
    likelihood = _likelihood(shape)
    x = np.stack(np.meshgrid(np.arange(256), np.arange(256), indexing="ij"), axis=-1).reshape(-1, *shape)
    params = np.broadcast_to(_map(1, shape), (len(x), 1, 1, MAP))
    assert np.exp(ops.convert_to_numpy(likelihood.log_prob(params, x))).sum() == pytest.approx(1.0, abs=1e-3)


def test_samples_are_pixels_that_a_seed_fixes_and_the_map_moves():
    shape = (2, 2, 3)
    likelihood = _likelihood(shape)
    likelihood.network.head.to_logits.assign(20.0 * likelihood.network.head.to_logits)  # what the map says weighs
    first, again, other, elsewhere = (
        ops.convert_to_numpy(likelihood.sample(100 * _map(2, shape, seed=m), seed=s))
        for m, s in ((0, 1), (0, 1), (0, 2), (1, 1))
    )
    assert first.shape == (2, *shape)
    assert (first == np.rint(first)).all()
    assert first.min() >= 0
    assert first.max() <= 255
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != elsewhere).any()


def _vqvae(likelihood):
    encoder = ImageEncoder(4, units=8, residual_units=4, residual_blocks=1, downsamplings=1)
    quantizer = QUANTIZERS["vector"](num_embeddings=8, embedding_dim=4)
    decoder = ImageDecoder(likelihood.outputs(SHAPE[-1]), units=8, residual_units=4, residual_blocks=1, upsamplings=1)
    model = VQVAE(encoder, quantizer, decoder, likelihood)
    model.build((None, *SHAPE))
    return model


def test_a_vqvae_learns_through_it():
    model, x = _vqvae(_likelihood()), _pictures(4)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(x, batch_size=4, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert any("vertical" in v.path for v in model.trainable_variables)  # the PixelCNN's own weights are the model's
    bound = model.elbo(x)
    assert ops.convert_to_numpy(bound["distortion"]).shape == (4,)
    assert ops.convert_to_numpy(model.reconstruct(x)).shape == (4, *SHAPE)


def test_every_picture_depends_on_its_map():
    likelihood, x = _likelihood(), _pictures(2)
    near, far = (ops.convert_to_numpy(likelihood.log_prob(_map(2) + d, x)) for d in (0.0, 1.0))
    assert (near != far).all()


def test_without_codes_the_map_says_nothing():
    likelihood, x = _likelihood(use_codes=False), _pictures(2)
    assert likelihood.outputs(3) == 3
    near, far = (ops.convert_to_numpy(likelihood.log_prob(_map(2) + d, x)) for d in (0.0, 1.0))
    np.testing.assert_array_equal(near, far)
    np.testing.assert_allclose(near, _chain(likelihood, 0 * _map(2), x), rtol=1e-5)
    drawn = [ops.convert_to_numpy(likelihood.sample(100 * _map(1, seed=m), seed=1)) for m in (0, 1)]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("make", [_likelihood, lambda: _likelihood(use_codes=False), _squares])
def test_the_config_makes_the_same_likelihood(make):
    likelihood = make()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(likelihood))
    copy.build()
    for mine, theirs in zip(copy.weights, likelihood.weights, strict=True):
        mine.assign(ops.copy(theirs))
    np.testing.assert_allclose(
        ops.convert_to_numpy(copy.log_prob(_map(2), _pictures(2))),
        ops.convert_to_numpy(likelihood.log_prob(_map(2), _pictures(2))),
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_symbols": 16}, "expected 256"),
        ({"condition_features": 0}, "width of the map"),
        ({"use_codes": False}, "0 without"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(changes, message):
    shape, use_codes = changes.pop("shape", SHAPE), changes.pop("use_codes", True)
    with pytest.raises(ValueError, match=message):
        AutoregressivePixels(
            NETWORKS["pixelcnn"](
                symbol_shape=shape,
                **{
                    "num_symbols": 256,
                    "num_channels": 3,
                    "condition_features": MAP,
                    "features": 8,
                    "num_layers": 1,
                    **changes,
                },
            ),
            use_codes,
        )
