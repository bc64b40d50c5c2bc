"""Bits per dimension and bits per code, against NumPy."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.likelihood import likelihood_scores
from vq_vae_tf.evaluation.prior import prior_scores


def _split(sizes=(4, 3), seed=0):
    rng = np.random.default_rng(seed)
    return [{"x": tf.constant(rng.integers(0, 256, (n, 4, 4, 3)).astype(np.uint8))} for n in sizes]


def _elbo(batch):
    total = tf.reduce_sum(tf.cast(batch["x"], tf.float32), axis=(1, 2, 3))
    return {"distortion": total / 50.0, "rate": tf.fill(tf.shape(total), 10.0)}


def test_bits_per_dim_is_split_into_distortion_and_rate():
    batches = _split()
    x = np.concatenate([b["x"].numpy() for b in batches]).astype(np.float64)
    nats = x.sum((1, 2, 3)) / 50.0 + 10.0
    scores = likelihood_scores(_elbo, batches)
    assert (scores.num_examples, scores.num_dims) == (7, 48)
    assert scores.nats == pytest.approx(nats.mean(), rel=1e-6)
    assert scores.bits_per_dim == pytest.approx(nats.mean() / 48 / math.log(2), rel=1e-6)
    assert scores.rate_bits_per_dim == pytest.approx(10.0 / 48 / math.log(2), rel=1e-6)
    assert scores.bits_per_dim == pytest.approx(scores.rate_bits_per_dim + scores.distortion_bits_per_dim, rel=1e-9)
    assert scores.standard_error == pytest.approx(nats.std(ddof=1) / math.sqrt(7) / 48 / math.log(2), rel=1e-5)


def test_the_spread_of_a_single_example_is_not_known():
    scores = likelihood_scores(_elbo, _split((1,)))
    assert scores.standard_error is None
    assert json.loads(json.dumps(asdict(scores), allow_nan=False))["num_examples"] == 1


def test_uniform_images_under_the_uniform_distribution_cost_eight_bits():
    scores = likelihood_scores(
        lambda b: {"distortion": tf.fill([len(b["x"])], 48 * math.log(256.0)), "rate": tf.zeros([len(b["x"])])},
        _split(),
    )
    assert scores.bits_per_dim == pytest.approx(8.0, rel=1e-6)


def test_a_bound_that_is_not_finite_is_refused():
    with pytest.raises(UserError, match="not finite for 7 of 7"):
        likelihood_scores(
            lambda b: {"distortion": np.full(len(b["x"]), np.nan), "rate": np.zeros(len(b["x"]))}, _split()
        )
    with pytest.raises(UserError, match="No example"):
        likelihood_scores(_elbo, [])


def test_bits_per_code_beside_uniform_and_unigram():
    codes = np.random.default_rng(0).choice(4, p=[0.5, 0.25, 0.125, 0.125], size=(9, 2, 3))
    table = np.log(np.array([0.4, 0.3, 0.2, 0.1]))
    batches = [{"codes": codes[:5]}, {"codes": codes[5:]}]
    scores = prior_scores(lambda b: table[b["codes"]].sum((1, 2)), batches, 4)
    counts = np.bincount(codes.ravel(), minlength=4) / codes.size
    assert (scores.num_examples, scores.num_symbols, scores.codes_per_example) == (9, 54, 6)
    assert scores.uniform_bits == 2.0
    assert scores.unigram_bits == pytest.approx(-(counts * np.log2(counts)).sum(), rel=1e-6)
    assert scores.bits_per_code == pytest.approx(-table[codes].mean() / math.log(2), rel=1e-12)
    assert scores.saved == pytest.approx(1 - scores.bits_per_code / 2)
    assert scores.unigram_bits <= scores.bits_per_code  # no model without context is below its own entropy


def test_prior_over_several_codebooks():
    codes = np.random.default_rng(0).integers(0, 8, (5, 2, 2, 3))
    scores = prior_scores(lambda b: np.full(5, -12 * math.log(8.0)), [{"codes": codes}], 8, num_codebooks=3)
    assert (scores.num_symbols, scores.codes_per_example) == (60, 12)
    assert scores.bits_per_code == pytest.approx(3.0)


def test_a_prior_that_diverged_or_an_empty_split_is_refused():
    with pytest.raises(UserError, match="not finite"):
        prior_scores(lambda b: np.full(2, -np.inf), [{"codes": np.zeros((2, 3), int)}], 4)
    with pytest.raises(UserError, match="No code"):
        prior_scores(lambda b: np.zeros(0), [], 4)
