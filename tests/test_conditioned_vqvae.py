"""A decoder that is told more than the codes, such as who speaks."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import vq_vae_tf as vq


class Shifted(keras.layers.Layer):
    """z_q + 10 label: shows exactly which condition arrived."""

    takes_condition = True

    def call(self, z, condition=None, training=None):
        shift = 10.0 * keras.ops.cast(condition["label"], "float32")
        return z + shift[:, None, None, None]

    def compute_output_shape(self, shape):
        return shape


class Identity(keras.layers.Layer):
    def call(self, z):
        return z

    def compute_output_shape(self, shape):
        return shape


def model() -> vq.VQVAE:
    quantizer = vq.VectorQuantizer(4, 3, initialization="random_normal", revive_below=0.0, name="quantizer")
    built = vq.VQVAE(Identity(), quantizer, Shifted(), vq.Gaussian(0.5))
    built.build((None, 2, 2, 3))
    return built


def test_condition_reaches_the_decoder_on_every_path():
    m, x = model(), np.random.default_rng(0).normal(size=(3, 2, 2, 3)).astype(np.float32)
    label = np.array([0, 2, 1], np.int32)
    batch = {"x": x, "label": label}
    codes = m.encode(batch)
    expected = np.asarray(m.quantizer.decode(codes)) + 10.0 * label[:, None, None, None]
    np.testing.assert_allclose(m.decode_params(codes, {"label": label}), expected, rtol=1e-6)
    np.testing.assert_allclose(m(batch, training=False), expected, rtol=1e-6)
    np.testing.assert_allclose(m.reconstruct(batch), m.likelihood.mean(expected), rtol=1e-6)
    distortion = -m.likelihood.log_prob(expected, x)
    np.testing.assert_allclose(m.elbo(batch)["distortion"], distortion, rtol=1e-6)


def test_missing_condition_is_one_sentence():
    m = model()
    with pytest.raises(ValueError, match="conditioned, but no condition came"):
        m.decode(np.zeros((1, 2, 2), np.int32))
