"""Codes to messages and back: nothing lost, and as short as the prior's likelihood says."""

from __future__ import annotations

import math
from contextlib import suppress

import keras
import numpy as np
import pytest

from vq_vae_tf.autoregressive import NETWORKS, GatedPixelCNN
from vq_vae_tf.compression import CHUNK, Compressor
from vq_vae_tf.hierarchy import TwoLevelNetwork, TwoLevelPrior
from vq_vae_tf.prior import Prior, UniformPrior


def prior(kind, shape, num_codes, **options):
    keras.utils.set_random_seed(0)
    made = Prior(NETWORKS[kind](num_codes, shape, features=8, **options))
    made.build()
    for weight in made.trainable_weights:  # far from uniform
        noise = np.random.default_rng(len(weight.path)).normal(0, 0.3, weight.shape)
        weight.assign_add(noise.astype(np.float32))
    return made


@pytest.mark.parametrize(
    ("kind", "shape", "options"),
    [
        ("pixelcnn", (4, 5), {"num_layers": 2}),
        ("pixelcnn", (3, 3, 2), {"num_layers": 2, "num_channels": 2}),
        ("wavenet", (17,), {"num_layers": 3}),
    ],
)
def test_every_map_comes_back_from_as_many_bits_as_its_likelihood_says(kind, shape, options):
    p = prior(kind, shape, 11, **options)
    compressor = Compressor(p)
    codes = np.concatenate(
        [np.random.default_rng(1).integers(0, 11, (3, *shape)), np.asarray(p.sample(CHUNK, seed=3))]
    ).astype(np.int32)  # one more chunk than whole ones
    messages = compressor.compress(codes)
    np.testing.assert_array_equal(compressor.decompress(messages), codes)
    bits = -np.asarray(p.log_prob(codes)) / math.log(2)
    sizes = np.array([8 * len(m) for m in messages])
    assert (sizes <= bits + 8.01).all()
    assert (sizes >= bits - 8.01 - np.log2(256)).mean() > 0.9  # a lucky one may end early
    np.testing.assert_array_equal(compressor.decompress(messages[5:9]), codes[5:9])  # wherever they stand


def test_codes_of_as_many_bits_as_bytes_hold_fit_into_them():
    p = prior("pixelcnn", (4, 5), 300, num_layers=2)
    compressor = Compressor(p)
    codes = np.asarray(p.sample(3 * CHUNK, seed=1))
    bits = -np.asarray(p.log_prob(codes)) / math.log(2)
    sizes = np.array([len(m) for m in compressor.compress(codes)])
    spare = compressor.bits_within(0)
    assert -0.1 < spare < 0  # what 20 codes of 300 may lose by counting in whole shares
    most = np.ceil((bits - spare) / 8)
    assert (bits <= [compressor.bits_within(int(n)) for n in most]).all()
    assert (sizes <= most).all()
    assert (sizes == most).mean() > 0.7


def test_messages_are_read_under_their_condition():
    p = prior("pixelcnn", (4, 4), 7, num_layers=2, num_labels=3)
    compressor = Compressor(p)
    label = np.arange(CHUNK + 10) % 3
    codes = np.asarray(p.sample(CHUNK + 10, seed=0, condition={"label": label}))
    messages = compressor.compress(codes, {"label": label})
    np.testing.assert_array_equal(compressor.decompress(messages, {"label": label}), codes)
    rest = compressor.compress(codes[CHUNK:], {"label": label[CHUNK:]})
    assert rest == messages[CHUNK:]
    for shift in (1, 2):
        other = {"label": (label + shift) % 3}
        bits = -np.asarray(p.log_prob(codes, other)) / math.log(2)
        assert all(8 * len(m) <= b + 8.01 for m, b in zip(compressor.compress(codes, other), bits, strict=True))
        with suppress(ValueError):  # or they are refused
            assert (compressor.decompress(messages, other) != codes).any()


def test_a_uniform_prior_takes_log_k_bits():
    compressor = Compressor(UniformPrior(512, (8, 8)))
    codes = np.random.default_rng(0).integers(0, 512, (3, 8, 8)).astype(np.int32)
    messages = compressor.compress(codes)
    np.testing.assert_array_equal(compressor.decompress(messages), codes)
    assert [len(m) for m in messages] == [72, 72, 72]


def test_nothing_is_nothing():
    compressor = Compressor(UniformPrior(5, (2, 2)))
    assert compressor.compress(np.zeros((0, 2, 2), np.int32)) == []
    assert compressor.decompress([]).shape == (0, 2, 2)


def test_bad_input_is_named():
    top, bottom = GatedPixelCNN(5, (2, 2), features=8), GatedPixelCNN(5, (4, 4), features=8, condition_features=4)
    with pytest.raises(ValueError, match="cannot be asked code by code"):
        Compressor(TwoLevelPrior(TwoLevelNetwork(top, bottom)))
    compressor = Compressor(UniformPrior(5, (2, 2)))
    with pytest.raises(ValueError, match=r"codes of shape \(1, 2, 3\) given; expected \[n, \(2, 2\)\]"):
        compressor.compress(np.zeros((1, 2, 3), np.int32))
    with pytest.raises(ValueError, match=r"codes in 0..5 given; expected 0..4"):
        compressor.compress(np.array([[[0, 5], [1, 2]]], np.int32))
    with pytest.raises(ValueError, match="codes of type float32 given; expected integers"):
        compressor.compress(np.full((1, 2, 2), 0.5, np.float32))
    with pytest.raises(ValueError, match="damaged"):
        compressor.decompress([b"\xff" * 20])
