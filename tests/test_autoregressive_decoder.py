"""A PixelCNN as the decoder: a distribution, causal, conditioned on the codes, trainable inside a VQ-VAE."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import NETWORKS
from vq_vae_tf.autoregressive_decoder import AutoregressivePixels
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.quantizers import QUANTIZERS
from vq_vae_tf.vqvae import VQVAE

SHAPE, MAP = (4, 4, 3), 5


def _likelihood(shape=SHAPE, use_codes=True, **changes):
    sizes = {"features": 8, "num_layers": 1, "condition_features": MAP, "num_channels": shape[-1], "num_symbols": 256}
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
    near, far = (ops.convert_to_numpy(likelihood.log_prob(_map(2) + d, x)) for d in (0.0, 1.0))
    np.testing.assert_array_equal(near, far)
    np.testing.assert_allclose(near, _chain(likelihood, 0 * _map(2), x), rtol=1e-5)
    drawn = [ops.convert_to_numpy(likelihood.sample(100 * _map(1, seed=m), seed=1)) for m in (0, 1)]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("use_codes", [True, False])
def test_the_config_makes_the_same_likelihood(use_codes):
    likelihood = _likelihood(use_codes=use_codes)
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
    ],
)
def test_a_network_that_does_not_fit_is_refused(changes, message):
    shape = changes.pop("shape", SHAPE)
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
            )
        )
