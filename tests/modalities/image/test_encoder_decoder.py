from __future__ import annotations

import keras
import numpy as np
import pytest

from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.modalities.image.fold import fold, unfold
from vq_vae_tf.modalities.image.residual import ResidualStack
from vq_vae_tf.modalities.image.scale import from_unit, to_unit


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A stride-1 convolution with zero padding, by its definition."""
    size = kernel.shape[0]
    padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    out = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for i in range(size):
        for j in range(size):
            out += padded[:, i : i + x.shape[1], j : j + x.shape[2]] @ kernel[i, j]
    return out + bias


def test_residual_stack_is_the_papers_block_in_numpy():
    keras.utils.set_random_seed(0)
    stack = ResidualStack(units=6, residual_units=3, blocks=2)
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 6))
    got = np.asarray(stack(x.astype(np.float32)))
    expected = x
    for wide, narrow in zip(stack.wide, stack.narrow, strict=True):
        inner = np.maximum(convolved(np.maximum(expected, 0), *map(np.asarray, wide.get_weights())), 0)
        expected = expected + convolved(inner, *map(np.asarray, narrow.get_weights()))
    np.testing.assert_allclose(got, np.maximum(expected, 0), atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_decoder_mirrors_the_encoder(depth):
    encoder = ImageEncoder(5, units=8, residual_units=4, residual_blocks=1, downsamplings=depth)
    decoder = ImageDecoder(7, units=8, residual_units=4, residual_blocks=1, upsamplings=depth)
    x = np.zeros((2, 16, 8, 3), np.uint8)
    z = encoder(x)
    assert tuple(z.shape) == (2, 16 >> depth, 8 >> depth, 5) == tuple(encoder.compute_output_shape(x.shape))
    assert tuple(decoder(z).shape) == (2, 16, 8, 7) == tuple(decoder.compute_output_shape(z.shape))


def test_first_strided_layer_has_half_the_units():
    encoder = ImageEncoder(5, units=8, downsamplings=2)
    encoder.build((None, 8, 8, 3))
    assert [layer.kernel.shape for layer in encoder.strided] == [(4, 4, 3, 4), (4, 4, 4, 8)]


def test_uint8_and_float_images_are_the_same_to_the_encoder():
    encoder = ImageEncoder(5, units=8, residual_blocks=1)
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3))
    np.testing.assert_array_equal(np.asarray(encoder(x.astype(np.uint8))), np.asarray(encoder(x.astype(np.float32))))


def test_scales_are_inverse():
    x = np.arange(256)
    np.testing.assert_allclose(np.asarray(from_unit(to_unit(x))), x, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(from_unit(np.array([-9.0, 9.0], np.float32))), [0, 255])


@pytest.mark.parametrize("layer", [ImageEncoder(5, units=8), ImageDecoder(7, units=8), ResidualStack(8, 4, 2)])
def test_config_round_trip(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_folded_squares_are_rows_then_columns_then_channels_and_unfold_is_the_inverse():
    x = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    folded = np.asarray(fold(x, 2))
    np.testing.assert_array_equal(folded[1, 0, 2], x[1, 0:2, 4:6].reshape(-1))
    np.testing.assert_array_equal(np.asarray(unfold(folded, 2)), x)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_folded_decoder_mirrors_a_folded_encoder(depth):
    sizes = {"units": 8, "residual_units": 4, "residual_blocks": 1, "resampling": "folded"}
    encoder, decoder = ImageEncoder(5, downsamplings=depth, **sizes), ImageDecoder(7, upsamplings=depth, **sizes)
    x = np.zeros((2, 16, 8, 3), np.uint8)
    z = encoder(x)
    assert tuple(z.shape) == (2, 16 >> depth, 8 >> depth, 5) == tuple(encoder.compute_output_shape(x.shape))
    assert tuple(decoder(z).shape) == (2, 16, 8, 7) == tuple(decoder.compute_output_shape(z.shape))
    assert ImageEncoder.from_config(encoder.get_config()).resampling == "folded"
    assert ImageDecoder.from_config(decoder.get_config()).resampling == "folded"


def test_a_folded_decoder_without_blocks_puts_each_vector_into_its_own_square():
    """Through the 1x1 convolution alone a pixel hangs on the code of its own square and of no other."""
    decoder = ImageDecoder(1, units=4, residual_blocks=0, upsamplings=1, resampling="folded")
    z = np.zeros((1, 5, 5, 3), np.float32)
    before = np.asarray(decoder(z))
    z[0, 2, 2] = 1.0
    changed = np.argwhere(np.asarray(decoder(z)) != before)[:, 1:3]
    assert changed.min() >= 2  # the 3x3 convolution reaches one square further, rows 2 to 7
    assert changed.max() <= 7


def test_an_unknown_resampling_is_refused():
    with pytest.raises(ValueError, match="resampling must be one of"):
        ImageEncoder(5, resampling="nearest")
    with pytest.raises(ValueError, match="resampling must be one of"):
        ImageDecoder(5, resampling="nearest")
