"""Coefficients over the contrast of their square, and back."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf import build
from vq_vae_tf import config as config_lib
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.contrast import FLOOR, LEVELS, MEANS, ContrastCoding
from vq_vae_tf.modalities.image.cosine import contrast_bands, cosine_kernel
from vq_vae_tf.modalities.image.fold import fold

CODING = ContrastCoding(bands=(-1, 0, 1, 0, 2, 2), slots=(6, 8, 10))


def _coefficients(n=50, seed=0):
    z = np.random.default_rng(seed).normal(size=(n, 12)).astype("float32")
    z[:, 6:] = 0.0
    return z


def test_divided_is_the_equation_in_numpy():
    y = _coefficients()
    z = ops.convert_to_numpy(CODING.divide(y))
    for i, band in enumerate(CODING.bands):
        if band < 0:
            np.testing.assert_allclose(z[:, i], MEANS * y[:, i], rtol=1e-6)
            continue
        mean = np.square(y[:, :6].astype(float))[:, np.array(CODING.bands) == band].mean(1)
        log = 0.5 * np.log(mean + FLOOR**2) - LEVELS[band]
        np.testing.assert_allclose(z[:, i], y[:, i] / np.exp(log), rtol=1e-5)
        np.testing.assert_allclose(z[:, CODING.slots[band]], log, rtol=1e-5, atol=1e-6)
    assert not z[:, [7, 9, 11]].any()


def test_multiplied_is_the_inverse_and_leaves_the_slots():
    y = _coefficients()
    y[:, [7, 9, 11]] = 0.5  # what the network says of its own
    z = CODING.divide(y)
    again = ops.convert_to_numpy(CODING.multiply(z))
    np.testing.assert_allclose(again[:, :6], y[:, :6], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(again[:, 6:], ops.convert_to_numpy(z)[:, 6:])


def test_contrast_alone_changes_the_slots_alone():
    y = _coefficients()
    y[:, 0] = 0.0  # the mean is no contrast
    weak, strong = (ops.convert_to_numpy(CODING.divide(factor * y)) for factor in (1e3, 7e3))
    np.testing.assert_allclose(strong[:, :6], weak[:, :6], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose((strong - weak)[:, list(CODING.slots)], np.log(7.0), atol=1e-3)


def test_flat_squares_and_wild_codes_stay_finite():
    flat = ops.convert_to_numpy(CODING.divide(np.zeros((1, 12), "float32")))
    assert np.isfinite(flat).all()
    assert not flat[:, :6].any()
    wild = ops.convert_to_numpy(CODING.multiply(np.full((1, 12), 1e4, "float32")))
    assert np.isfinite(wild).all()


def test_bands_are_low_and_high_brightness_and_colour_and_each_contrast_has_a_code():
    side, dim, groups = 4, 60, 20
    coding = contrast_bands(side, 3, dim, groups)
    assert coding.slots == (51, 54, 57)
    kernel = cosine_kernel(side, 3, 51, 17)
    assert len(coding.bands) == 51
    for column, band in zip(kernel.T.reshape(-1, side, side, 3), coding.bands, strict=True):
        flat = np.allclose(column, column[:1, :1])
        grey = np.allclose(column, column[..., :1])
        waves = np.square(np.diff(column, axis=0)).sum() + np.square(np.diff(column, axis=1)).sum()
        assert (band == -1) == flat
        if not flat:
            assert (band in (0, 1)) == grey
        if band == 0:
            assert waves < 1.0


def _model(**changes):
    values = {
        "likelihood": "gaussian", "quantizer": "product", "num_codebooks": 7, "num_embeddings": 64, "embedding_dim": 21,
        "units": 8, "residual_units": 4, "resampling": "folded", "downsamplings": 1, "data_variance": 0.05,
        "contrast_codes": True,
    }  # fmt: skip
    return build.build_vqvae(config_lib.from_values(values | changes), (4, 4, 3))


def test_the_model_starts_as_the_transform_over_its_contrast_and_its_inverse():
    vqvae = _model()
    x = np.random.default_rng(0).integers(20, 236, (3, 4, 4, 3)).astype(np.uint8)
    z = vqvae.encoder(x)
    y = ops.convert_to_numpy(fold(x / 255.0 - 0.5, 2)) @ np.pad(cosine_kernel(2, 3, 12, 4, 6.0), [(0, 0), (0, 9)])
    expected = ops.convert_to_numpy(vqvae.encoder.contrast.divide(y))
    np.testing.assert_allclose(ops.convert_to_numpy(z), expected, atol=1e-4)
    picture = ops.convert_to_numpy(vqvae.likelihood.mean(vqvae.decoder(z)))
    np.testing.assert_allclose(picture, x, atol=0.1)


def test_a_config_round_trip_keeps_the_contrast():
    vqvae = _model()
    for layer in (vqvae.encoder, vqvae.decoder):
        again = type(layer).from_config(keras.saving.deserialize_keras_object(layer.get_config()))
        assert again.contrast == layer.contrast


@pytest.mark.parametrize(
    "changes",
    [{"resampling": "strided"}, {"quantizer": "vector"}, {"num_codebooks": 3, "embedding_dim": 21}],
    ids=["strided", "one code", "no room"],
)
def test_contrast_that_cannot_be_had_is_refused(changes):
    with pytest.raises(UserError, match="--contrast_codes"):
        _model(**changes)
