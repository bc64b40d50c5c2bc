"""Codes chosen under a network that is trained with them."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import GatedPixelCNN
from vq_vae_tf.joint import JointQuantizer
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.modalities.image.likelihood import Gaussian
from vq_vae_tf.prior import Prior
from vq_vae_tf.vqvae import VQVAE

K, DIM, GRID = 6, 3, (2, 3)


def _network(symbols=K, grid=GRID, **changes):
    arguments = {"features": 8, "num_layers": 2, "head_features": 16, **changes}
    return GatedPixelCNN(num_symbols=symbols, symbol_shape=grid, **arguments)


def _quantizer(bit_cost=0.5, certain=1.0, **changes):
    """With codes from a first batch, and a network that has opinions of size `certain`."""
    keras.utils.set_random_seed(1)
    quantizer = JointQuantizer(K, DIM, _network(), bit_cost, **changes)
    quantizer(_z(8), training=True)
    for weight in quantizer.network.trainable_weights:
        weight.assign(weight + certain * 0.3 * keras.random.normal(weight.shape))
    return quantizer


def _z(batch=4, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, *GRID, DIM)).astype(np.float32)


def _numpy(x):
    return ops.convert_to_numpy(x)


def _distances(quantizer, z):
    return np.square(z[..., None, :] - _numpy(quantizer.codebook)).sum(-1).astype(np.float64)


def test_free_bits_give_the_nearest_code():
    quantizer, z = _quantizer(bit_cost=0.0), _z(seed=3)
    np.testing.assert_array_equal(_numpy(quantizer.encode(z)), _distances(quantizer, z).argmin(-1))


def test_the_choice_is_the_equations():
    """Bits from the network's own logits, all sites given the nearest codes before them."""
    quantizer, z = _quantizer(), _z(16, seed=3)
    distances = _distances(quantizer, z)
    nearest = distances.argmin(-1).astype(np.int32)
    logits = _numpy(quantizer.network(nearest)).astype(np.float64)
    bits = (np.log(np.exp(logits).sum(-1, keepdims=True)) - logits) / math.log(2)
    expected = (distances + 0.5 * bits).argmin(-1)
    codes = _numpy(quantizer.encode(z))
    np.testing.assert_array_equal(codes, expected)
    assert 0.05 < (codes != nearest).mean() < 0.95
    np.testing.assert_array_equal(_numpy(quantizer(z)), _numpy(quantizer.decode(codes)))


def test_a_network_that_knows_nothing_changes_no_code():
    quantizer, z = _quantizer(), _z(seed=3)
    for weight in quantizer.network.trainable_weights:
        weight.assign(ops.zeros_like(weight))
    np.testing.assert_array_equal(_numpy(quantizer.encode(z)), _distances(quantizer, z).argmin(-1))


def test_the_losses_are_the_codebooks_and_the_nats_of_the_chosen_codes():
    quantizer, z = _quantizer(commitment_cost=0.3), _z(seed=4)
    quantizer(z)
    error = np.square(z - _numpy(quantizer.decode(quantizer.encode(z)))).mean()
    nats = _numpy(Prior(quantizer.network).loss_terms(quantizer.encode(z))["loss"])
    np.testing.assert_allclose(float(sum(quantizer.losses)), 1.3 * error + nats, rtol=1e-5)


def test_bits_teach_the_network_and_move_neither_encoder_nor_codes():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("one backend shows it")
    import tensorflow as tf

    quantizer, z = _quantizer(commitment_cost=0.3, revive_below=0.0), tf.constant(_z(seed=4))
    with tf.GradientTape() as tape:
        tape.watch(z)
        output = quantizer(z)
        loss = sum(quantizer.losses)
    book = next(v for v in quantizer.trainable_variables if v.name == "codebook")
    network = quantizer.network.trainable_variables
    of_z, of_book, *of_network = tape.gradient(loss, [z, book, *network])
    far = 2 * (z.numpy() - output.numpy()) / z.numpy().size  # of the mean of the squares
    np.testing.assert_allclose(of_z, 0.3 * far, rtol=1e-4, atol=1e-7)
    codes, expected = _numpy(quantizer.encode(z)), np.zeros((K, DIM), np.float32)
    np.add.at(expected, codes.reshape(-1), -far.reshape(-1, DIM))
    np.testing.assert_allclose(tf.convert_to_tensor(of_book), expected, rtol=1e-4, atol=1e-7)
    assert all(g is not None and np.abs(_numpy(g)).max() > 0 for g in of_network)


def test_config_gives_the_same_quantizer():
    quantizer, z = _quantizer(ema_decay=0.9), _z(seed=5)
    twin = JointQuantizer.from_config(quantizer.get_config())
    twin.build((None, *GRID, DIM))
    twin.set_weights(quantizer.get_weights())
    assert twin.get_config() == quantizer.get_config()
    np.testing.assert_array_equal(_numpy(twin.encode(z)), _numpy(quantizer.encode(z)))


def _trained(bit_cost, path=None):
    """Pictures of one grey each, with noise: the first code of a picture tells the others."""
    keras.utils.set_random_seed(0)
    sizes = {"units": 8, "residual_units": 4, "residual_blocks": 1}
    quantizer = JointQuantizer(16, DIM, _network(16, (2, 2)), bit_cost, ema_decay=0.9)
    model = VQVAE(
        ImageEncoder(DIM, downsamplings=1, **sizes), quantizer, ImageDecoder(3, upsamplings=1, **sizes), Gaussian(0.05)
    )
    random = np.random.default_rng(0)
    x = random.integers(60, 196, (64, 1, 1, 1)) + random.integers(-30, 31, (64, 4, 4, 3))
    x = x.astype(np.uint8)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    model.fit(np.tile(x, (50, 1, 1, 1)), batch_size=32, verbose=0)
    bits = _numpy(Prior(quantizer.network).bits_per_code(model.encode(x))).mean()
    if path is not None:
        model.save(path)
        loaded = keras.saving.load_model(path)
        np.testing.assert_array_equal(_numpy(loaded.encode(x)), _numpy(model.encode(x)))
    return bits


def test_training_lowers_the_bits_and_a_price_lowers_them_further(tmp_path):
    free, priced = _trained(0.0), _trained(0.5, tmp_path / "joint.keras")
    assert free < 0.95 * 4
    assert priced < 0.8 * free


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="network=\\(7, 1, 0, 0\\); expected \\(6, 1, 0, 0\\)"):
        JointQuantizer(K, DIM, _network(7))
    with pytest.raises(ValueError, match=r"network=\(6, 1, 2, 0\)"):
        JointQuantizer(K, DIM, _network(num_labels=2))
    with pytest.raises(ValueError, match=r"bit_cost=-1"):
        JointQuantizer(K, DIM, _network(), -1)
    with pytest.raises(ValueError, match=r"over the grid \(3, 3\); expected that of its network, \(2, 3\)"):
        _quantizer().encode(np.zeros((1, 3, 3, DIM), np.float32))
    with pytest.raises(ValueError, match=r"over the grid \(\)"):
        _quantizer().encode(np.zeros((6, DIM), np.float32))
