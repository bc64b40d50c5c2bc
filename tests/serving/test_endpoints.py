"""Codes of several codebooks and a prior without classes, before any export."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.autoregressive import GatedPixelCNN
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.modalities.image.likelihood import Gaussian
from vq_vae_tf.prior import Prior, UniformPrior
from vq_vae_tf.quantizers import ProductQuantizer
from vq_vae_tf.serving.image import ImageEndpoints, to_uint8
from vq_vae_tf.vqvae import VQVAE


@pytest.fixture(scope="module")
def grey():
    """8x8 grey images, two codebooks of four codes."""
    keras.utils.set_random_seed(5)
    encoder = ImageEncoder(4, units=8, residual_units=2, residual_blocks=1)
    decoder = ImageDecoder(1, units=8, residual_units=2, residual_blocks=1)
    model = VQVAE(encoder, ProductQuantizer(2, 4, 4), decoder, Gaussian())
    model.build((None, 8, 8, 1))
    return model


def test_complete_keeps_every_codebook_of_a_kept_place(grey):
    prior = Prior(GatedPixelCNN(4, (2, 2, 2), num_channels=2, features=8, num_layers=1, kernel_size=3))
    endpoints = ImageEndpoints(grey, prior, (8, 8, 1), xla=False)
    arguments = {name: [spec.name for spec in specs] for name, (_, specs) in endpoints.endpoints().items()}
    assert arguments["complete"] == ["image", "keep_mask", "seed", "temperature"]
    assert arguments["log_prob"] == ["codes"]
    assert arguments["sample"] == ["seed", "label", "temperature"]

    image = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    mask = np.array([[[1, 0], [0, 1]], [[0, 0], [1, 0]], [[0, 1], [1, 1]]], np.int32)
    given = endpoints.complete(tf.constant(image), tf.constant(mask), tf.constant(3), tf.constant(1.0))
    codes, drawn = np.asarray(grey.encode(image)), given["codes"].numpy()
    np.testing.assert_array_equal(drawn[mask == 1], codes[mask == 1])
    ours = prior.sample(3, 3, given=codes, keep_mask=np.repeat(mask[..., None], 2, axis=-1))
    np.testing.assert_array_equal(drawn, ours)
    assert given["image"].shape == (3, 8, 8, 1)

    labels = tf.constant([-5, 7], tf.int32)  # without classes they only count
    sampled = endpoints.sample(tf.constant(3), labels, tf.constant(1.0))["codes"]
    np.testing.assert_array_equal(sampled, prior.sample(2, 3))


def test_a_uniform_prior_counts_every_code_in_full(grey):
    endpoints = ImageEndpoints(grey, UniformPrior(4, (2, 2, 2)), (8, 8, 1), xla=False)
    nats = endpoints.log_prob(tf.zeros((2, 2, 2, 2), tf.int32))["log_prob"]
    np.testing.assert_allclose(nats, [-8 * np.log(4)] * 2, rtol=1e-6)


def test_grey_pictures_stay_grey(grey):
    endpoints = ImageEndpoints(grey, None, (8, 8, 1), xla=False)
    assert "sample" not in endpoints.endpoints()
    image = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    files = tf.constant([tf.io.encode_png(one).numpy() for one in image])
    np.testing.assert_array_equal(endpoints.encode_png(files)["codes"], grey.encode(image))


def test_rounding_and_clipping():
    x = tf.constant([-3.0, 0.49, 0.51, 254.4, 254.6, 300.0])
    np.testing.assert_array_equal(to_uint8(x), [0, 0, 1, 254, 255, 255])
