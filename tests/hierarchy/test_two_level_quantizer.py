"""Two levels of codes where one quantizer stands."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.hierarchy import TwoLevelQuantizer
from vq_vae_tf.hierarchy.layout import unpack
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.modalities.image.likelihood import Gaussian
from vq_vae_tf.quantizers import FiniteScalarQuantizer, VectorQuantizer
from vq_vae_tf.vqvae import VQVAE

K, DIM = 8, 3
SIZES = {"units": 8, "residual_units": 4, "residual_blocks": 1}


def _quantizer(levels_apart=1, **codebook):
    keras.utils.set_random_seed(1)
    top, bottom = (VectorQuantizer(K, DIM, seed=seed, **codebook) for seed in (1, 2))
    return TwoLevelQuantizer(top, bottom, levels_apart, **SIZES)


def _z(batch=4, side=4, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, side, side, DIM)).astype(np.float32)


def _learned(levels_apart=1, **codebook):
    quantizer = _quantizer(levels_apart, **codebook)
    for _ in range(2):  # codes come from the first batches
        quantizer(_z(), training=True)
    return quantizer


def _numpy(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("levels_apart", [1, 2])
def test_what_is_decoded_is_what_was_quantized(levels_apart):
    quantizer, z = _learned(levels_apart), _z(seed=3)
    codes = quantizer.encode(z)
    side = 4 // 2**levels_apart
    assert tuple(codes.shape) == (4, *quantizer.code_shape((4, 4, DIM))) == (4, side, side, 1 + 4**levels_apart)
    codes = _numpy(codes)
    assert (codes.dtype, codes.min() >= 0, codes.max() < K) == (np.int32, True, True)
    out = quantizer(z, training=False)
    assert tuple(out.shape) == quantizer.compute_output_shape(z.shape)
    np.testing.assert_array_equal(_numpy(out), _numpy(quantizer.decode(codes)))


def test_each_level_takes_the_nearest_of_its_codes():
    """The bottom's vectors depend on the codes of the top alone, not on what the top was made of."""
    quantizer, z = _learned(), _z(seed=3)
    top, bottom = (_numpy(level) for level in unpack(quantizer.encode(z)))
    coarse = z
    for layer in quantizer.down:
        coarse = layer(coarse)
    guide = quantizer.top.decode(top)
    for layer in quantizer.up:
        guide = layer(guide)
    joined = quantizer.join(np.concatenate([z, _numpy(guide)], axis=-1))
    for codes, vectors, book in ((top, coarse, quantizer.top.codebook), (bottom, joined, quantizer.bottom.codebook)):
        distances = np.square(_numpy(vectors)[..., None, :] - _numpy(book)).sum(-1)
        np.testing.assert_array_equal(codes, distances.argmin(-1))
    assert len(np.unique(top)) > 1
    assert len(np.unique(bottom)) > 1


def test_a_bottom_code_is_local_and_a_top_code_is_not():
    quantizer, codes = _learned(), _numpy(_learned().encode(_z()))
    before = _numpy(quantizer.decode(codes))
    for channel, local in ((2, True), (0, False)):
        other = codes.copy()
        other[:, 0, 1, channel] = (other[:, 0, 1, channel] + 1) % K
        changed = (before != _numpy(quantizer.decode(other))).any((0, 3))
        if local:  # channel 2 of site (0, 1) is the place (0, 3)
            assert np.argwhere(changed).tolist() == [[0, 3]]
        else:
            assert changed.sum() > 4


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_every_weight_gets_a_gradient_and_both_levels_learn(ema_decay):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("one backend shows it")
    import tensorflow as tf

    quantizer = _learned(ema_decay=ema_decay)
    z = tf.constant(_z(seed=5))
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = ops.sum(quantizer(z, training=True)) + sum(quantizer.losses)
    assert len(quantizer.losses) == 2
    gradients = tape.gradient(loss, [z, *quantizer.trainable_variables])
    assert all(g is not None and np.abs(_numpy(g)).max() > 0 for g in gradients)
    books = [_numpy(quantizer.top.code_counts), _numpy(quantizer.bottom.code_counts)]
    assert [book.sum() for book in books] == [3 * 4 * 4, 3 * 4 * 16]


def test_config_round_trip_and_other_quantizers():
    keras.utils.set_random_seed(0)
    quantizer = TwoLevelQuantizer(FiniteScalarQuantizer([3, 3]), FiniteScalarQuantizer([3, 3]), **SIZES)
    z = _z()[..., :2]
    expected = _numpy(quantizer(z))
    twin = TwoLevelQuantizer.from_config(quantizer.get_config())
    twin.build(z.shape)
    twin.set_weights(quantizer.get_weights())
    np.testing.assert_array_equal(_numpy(twin(z)), expected)


def test_in_a_vqvae_it_learns_and_is_saved(tmp_path):
    keras.utils.set_random_seed(0)
    quantizer = _quantizer(ema_decay=0.9)
    model = VQVAE(
        ImageEncoder(DIM, downsamplings=1, **SIZES),
        quantizer,
        ImageDecoder(3, upsamplings=1, **SIZES),
        Gaussian(0.05),
    )
    x = np.random.default_rng(0).integers(0, 256, (32, 2, 2, 3)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 200)), jit_compile=False)
    model.fit(np.tile(x, (100, 1, 1, 1)), batch_size=16, verbose=0)
    assert np.square(_numpy(model.reconstruct(x)) - x).mean() < 0.5 * x.var()
    codes = _numpy(model.encode(x))
    bound = model.elbo(x)
    np.testing.assert_allclose(_numpy(bound["rate"]), codes[0].size * np.log(K), rtol=1e-6)
    model.save(tmp_path / "two.keras")
    loaded = keras.saving.load_model(tmp_path / "two.keras")
    np.testing.assert_array_equal(_numpy(loaded.encode(x)), codes)
    np.testing.assert_array_equal(_numpy(loaded.decode(codes)), _numpy(model.decode(codes)))


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="top has 8 codes in 1 codebooks, bottom 9"):
        TwoLevelQuantizer(VectorQuantizer(8, 3), VectorQuantizer(9, 3))
    with pytest.raises(ValueError, match="levels_apart=0; expected at least 1"):
        _quantizer(0)
    with pytest.raises(ValueError, match="multiples of 4"):
        _quantizer(2).build((None, 6, 8, DIM))
    with pytest.raises(ValueError, match=r"codes of shape \(1, 2, 2, 4\); expected \[batch, h, w, 5\]"):
        _learned().decode(np.zeros((1, 2, 2, 4), np.int32))
