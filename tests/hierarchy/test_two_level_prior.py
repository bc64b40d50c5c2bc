"""A prior over two levels: its probabilities, its order, its draws."""

from __future__ import annotations

import itertools
import math

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import NETWORKS, sample_naive
from vq_vae_tf.hierarchy import TwoLevelNetwork, TwoLevelPrior
from vq_vae_tf.hierarchy.layout import pack, unpack
from vq_vae_tf.hierarchy.prior import BOTTOM_SEED

K = 3


def _prior(name="pixelcnn", grid=(2, 2), labels=2, symbols=K, **changes):
    keras.utils.set_random_seed(1)
    shared = {"num_symbols": symbols, "num_labels": labels, "features": 8, "num_layers": 2, "head_features": 32}
    top = NETWORKS[name](symbol_shape=grid, **shared)
    below = {"symbol_shape": tuple(2 * side for side in grid), "condition_features": 6, **shared, **changes}
    prior = TwoLevelPrior(TwoLevelNetwork(top, NETWORKS[name](**below)))
    prior.build()
    for weight in prior.trainable_weights:
        weight.assign(weight + 0.2 * keras.random.normal(weight.shape, dtype=weight.dtype))
    return prior


def _codes(count, grid=(2, 2), seed=0):
    return np.random.default_rng(seed).integers(0, K, (count, *grid, 5)).astype(np.int32)


def _label(count):
    return {"label": (np.arange(count) % 2).astype(np.int32)}


def _numpy(x):
    return ops.convert_to_numpy(x)


def test_probabilities_of_all_codings_sum_to_one():
    prior = _prior(grid=(1, 1), symbols=2)
    every = np.array(list(itertools.product(range(2), repeat=5)), np.int32).reshape(-1, 1, 1, 5)
    nats = _numpy(prior.log_prob(every, {"label": np.zeros(32, np.int32)})).astype(np.float64)
    assert np.exp(nats).sum() == pytest.approx(1.0, abs=1e-5)
    assert np.exp(nats).max() > 1.5 / 32


def test_log_prob_is_the_sum_over_both_levels():
    prior, codes = _prior(), _codes(3)
    top, bottom = unpack(codes)
    network, condition = prior.network, _label(3)
    expected = 0.0
    for part, symbols, given in (
        (network.top, top, condition),
        (network.bottom, bottom, network.below(top, condition)),
    ):
        nats = ops.sparse_categorical_crossentropy(ops.cast(symbols, "int32"), part(symbols, given), from_logits=True)
        expected = expected - _numpy(nats).reshape(3, -1).sum(-1)
    np.testing.assert_allclose(_numpy(prior.log_prob(codes, condition)), expected, rtol=1e-5)
    terms = prior.loss_terms({"codes": codes, **condition})
    np.testing.assert_allclose(_numpy(terms["loss"]), -expected.mean() / 20, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_top_codes_reach_every_bottom_code_and_never_the_other_way(name):
    """Changing a code changes the logits of all that is drawn after it, and of nothing that is drawn before it."""
    if name == "wavenet":
        pytest.skip("its receptive field of two layers is smaller than the grid")
    prior, codes = _prior(name), _codes(1)
    order = _numpy(pack(np.arange(4).reshape(1, 2, 2), 4 + np.arange(16).reshape(1, 4, 4)))[0]
    batch = np.repeat(codes, 21, axis=0)
    for where in np.ndindex(2, 2, 5):
        row = 1 + int(order[where])
        batch[(row, *where)] = (batch[(row, *where)] + 1) % K
    logits = _numpy(prior({"codes": batch, "label": np.zeros(21, np.int32)}))
    changed = np.abs(logits - logits[0]).max(-1) > 2e-6  # beyond what a matrix product differs by from row to row
    for t in range(20):
        after = order > t
        assert not changed[t + 1][~after].any()
        if t < 4:
            assert changed[t + 1][after].all()
    assert changed.any(0)[order > 0].all()


def test_sample_is_top_then_bottom_as_naive_sampling_draws_them():
    prior, condition = _prior(), _label(4)
    network = prior.network
    top = sample_naive(network.top, 4, 7, condition, 0.8)
    bottom = sample_naive(network.bottom, 4, 7 + BOTTOM_SEED, network.below(top, condition), 0.8)
    drawn = _numpy(prior.sample(4, 7, condition, 0.8))
    np.testing.assert_array_equal(drawn, _numpy(pack(top, bottom)))
    assert drawn.dtype == np.int32
    assert len(np.unique(drawn)) == K


def test_a_mask_keeps_codes_of_both_levels():
    prior, codes = _prior(), _codes(4, seed=4)
    mask = np.random.default_rng(1).integers(0, 2, codes.shape).astype(np.int32)
    drawn, free = (_numpy(prior.sample(4, 1, _label(4), **kept)) for kept in ({"given": codes, "keep_mask": mask}, {}))
    np.testing.assert_array_equal(drawn[mask == 1], codes[mask == 1])
    assert (free[mask == 1] != codes[mask == 1]).any()
    for_all = _numpy(prior.sample(4, 1, _label(4), given=codes, keep_mask=mask[0]))
    np.testing.assert_array_equal(for_all[:, mask[0] == 1], codes[:, mask[0] == 1])


def test_it_learns_that_the_bottom_repeats_the_top():
    """Top codes uniform, each block's bottom codes the top's: log2 K bits for five codes and nothing more."""
    rng = np.random.default_rng(0)

    def data(count):
        top = rng.integers(0, K, (count, 2, 2)).astype(np.int32)
        return _numpy(pack(top, top.repeat(2, 1).repeat(2, 2)))

    keras.utils.set_random_seed(0)
    prior = _prior(labels=0)
    prior.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    prior.fit(data(512), batch_size=64, epochs=12, verbose=0)
    bits = _numpy(prior.bits_per_code(data(256))).mean()
    assert math.log2(K) / 5 - 0.02 < bits < math.log2(K) / 5 + 0.1
    top, bottom = (_numpy(level) for level in unpack(prior.sample(64, 0)))
    assert (top.repeat(2, 1).repeat(2, 2) == bottom).mean() > 0.9


def test_keras_file_and_config(tmp_path):
    prior, codes = _prior(), _codes(2)
    expected = _numpy(prior.log_prob(codes, _label(2)))
    prior.save(tmp_path / "prior.keras")
    loaded = keras.saving.load_model(tmp_path / "prior.keras")
    assert isinstance(loaded, TwoLevelPrior)
    np.testing.assert_array_equal(_numpy(loaded.log_prob(codes, _label(2))), expected)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="expected \\(h, w\\) with none and a multiple"):
        _prior(symbol_shape=(3, 4))
    with pytest.raises(ValueError, match="top has 3 symbols and 2 labels, bottom 4 and 2"):
        _prior(num_symbols=4)
    with pytest.raises(ValueError, match=r"codes of shape \(2, 2, 2, 4\) given"):
        _prior().log_prob(np.zeros((2, 2, 2, 4), np.int32), _label(2))
    with pytest.raises(ValueError, match="keeps by mask only"):
        _prior().sample(2, 0, _label(2), given=_codes(2))
    with pytest.raises(ValueError, match=r"given or keep_mask of shape \(2, 4, 4\)"):
        _prior().sample(2, 0, _label(2), given=_codes(2), keep_mask=np.ones((2, 4, 4)))
