"""The 3-D convolutional VQ-VAE: a past is coded and decoded whatever comes after it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.modalities.image.likelihood import Gaussian
from vq_vae_tf.modalities.video.convolutions import time_strides
from vq_vae_tf.modalities.video.decoder import ClipDecoder
from vq_vae_tf.modalities.video.encoder import ClipEncoder
from vq_vae_tf.quantizers import VectorQuantizer
from vq_vae_tf.vqvae import VQVAE

SIZES = {"units": 16, "residual_units": 8, "residual_blocks": 1}


def clip_model(time, frames=8, size=8):
    keras.utils.set_random_seed(0)
    encoder = ClipEncoder(8, downsamplings=2, time_downsamplings=time, **SIZES)
    decoder = ClipDecoder(3, upsamplings=2, time_upsamplings=time, **SIZES)
    model = VQVAE(encoder, VectorQuantizer(16, 8, ema_decay=0.9, revive_below=0.1), decoder, Gaussian(0.02))
    model.build((None, frames, size, size, 3))
    return model


def noise(*shape):
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)


@pytest.mark.parametrize("time", [0, 1, 2])
def test_a_code_sees_its_own_frames_and_those_before(time):
    model, x, block = clip_model(time), noise(1, 8, 8, 8, 3), 2**time
    z = ops.convert_to_numpy(model.encoder(x))
    assert z.shape == (1, 8 // block, 2, 2, 8) == model.encoder.compute_output_shape(x.shape)
    for changed in range(8):
        other = x.copy()
        other[:, changed] = 255 - other[:, changed]
        moved = np.abs(ops.convert_to_numpy(model.encoder(other)) - z).max((0, 2, 3, 4)) > 1e-6
        assert not moved[: changed // block].any(), "a code has seen the future"
        assert moved[changed // block], "a code has not seen its own frame"
    if time < 2:
        assert moved.size > 1
        first = x.copy()
        first[:, 0] = 255 - first[:, 0]
        assert np.abs(ops.convert_to_numpy(model.encoder(first)) - z)[:, 1].max() > 1e-6, "codes do not look back"


@pytest.mark.parametrize("time", [0, 1, 2])
def test_a_frame_is_decoded_from_the_codes_up_to_its_own(time):
    model, block = clip_model(time), 2**time
    z = noise(1, 8 // block, 2, 2, 8) / 255
    params = ops.convert_to_numpy(model.decoder(z))
    assert params.shape == (1, 8, 8, 8, 3) == model.decoder.compute_output_shape(z.shape)
    for changed in range(8 // block):
        other = z.copy()
        other[:, changed] = 1 - other[:, changed]
        moved = np.abs(ops.convert_to_numpy(model.decoder(other)) - params).max((0, 2, 3, 4)) > 1e-7
        assert not moved[: changed * block].any(), "a frame has seen a code of the future"
        assert moved[changed * block : (changed + 1) * block].all()


def test_it_learns_clips_and_is_kept(tmp_path):
    """Squares of one brightness that moves in time: three quarters of the variance are learned in 100 steps."""
    model, random = clip_model(1, frames=4, size=4), np.random.default_rng(1)
    levels = random.choice([30.0, 120.0, 220.0], (64, 2, 1, 1, 1)).repeat(2, axis=1)
    x = np.broadcast_to(levels, (64, 4, 4, 4, 3)).astype(np.float32)
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=False)
    model.fit(np.tile(x, (25, 1, 1, 1, 1)), batch_size=16, verbose=0)
    error = ops.convert_to_numpy(model.reconstruct(x)) - x
    assert np.square(error).mean() < 0.25 * x.var()
    model.save(tmp_path / "clips.keras")
    loaded = keras.saving.load_model(tmp_path / "clips.keras")
    np.testing.assert_array_equal(
        ops.convert_to_numpy(loaded.reconstruct(x[:2])), ops.convert_to_numpy(model.reconstruct(x[:2]))
    )


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"time a multiple of 2, height and width of 4; received shape \(None, 7, 8"):
        clip_model(1, frames=7)
    with pytest.raises(ValueError, match="3 strides in time given; expected 0 to 2"):
        time_strides(2, 3)
