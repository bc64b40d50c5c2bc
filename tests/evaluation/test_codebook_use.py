"""Code counts and what follows from them, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.evaluation.codebook import code_counts, codebook_use


def _entropy(counts):
    p = counts[counts > 0] / counts.sum()
    return -(p * np.log2(p)).sum()


def test_counts_of_a_split_in_batches():
    codes = np.random.default_rng(0).integers(0, 9, (10, 4, 4))
    counts = code_counts([{"codes": tf.constant(codes[:6])}, {"codes": tf.constant(codes[6:])}], 11)
    np.testing.assert_array_equal(counts, [(codes == k).sum() for k in range(11)])


def test_counts_per_codebook():
    codes = np.random.default_rng(1).integers(0, 5, (10, 3, 3, 2))
    counts = code_counts([{"codes": codes}], 5, num_codebooks=2)
    np.testing.assert_array_equal(counts, [[(codes[..., m] == k).sum() for k in range(5)] for m in range(2)])


def test_use_of_one_codebook():
    counts = np.array([0, 10, 30, 0, 60])
    use = codebook_use(counts)
    assert (use.num_codes, use.num_symbols, use.codes_in_use, use.dead_codes) == (5, 100, 3, 2)
    assert use.entropy_bits == pytest.approx(_entropy(counts), rel=1e-6)
    assert use.perplexity == pytest.approx(2 ** _entropy(counts), rel=1e-6)


def test_even_use_has_the_perplexity_of_its_size_and_a_single_code_has_one():
    assert codebook_use(np.full(512, 7)).perplexity == pytest.approx(512, rel=1e-5)
    assert codebook_use(np.array([0, 0, 5])).perplexity == pytest.approx(1.0)


def test_use_of_several_codebooks_is_the_mean_of_entropies_and_the_sum_of_codes():
    counts = np.array([[1, 1, 1, 1], [4, 0, 0, 0]])
    use = codebook_use(counts)
    assert use.entropy_bits == pytest.approx(1.0, rel=1e-6)  # (2 + 0) / 2
    assert use.perplexity == pytest.approx(2.0, rel=1e-6)
    assert (use.num_codes, use.codes_in_use, use.dead_codes, use.num_symbols) == (8, 5, 3, 8)
    assert [book.dead_codes for book in use.per_codebook] == [0, 3]


@pytest.mark.parametrize("code", [-1, 4])
def test_a_code_out_of_range_is_refused(code):
    with pytest.raises(ValueError, match=r"expected 0\.\.3"):
        code_counts([{"codes": np.array([[0, code]])}], 4)


def test_codes_without_their_codebooks_are_refused():
    with pytest.raises(ValueError, match="last axis of 2 codebooks"):
        code_counts([{"codes": np.zeros((3, 4, 4), int)}], 4, num_codebooks=2)
