"""Entropy and perplexity of counts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import ops

from vq_vae_tf.ops.entropy import entropy_bits, perplexity


@given(arrays.arrays(np.float32, st.integers(2, 60), elements=st.integers(0, 10**6).map(np.float32)))
def test_perplexity_lies_between_1_and_k_and_is_numpys(counts):
    value = float(perplexity(counts))
    assert 1.0 <= value <= len(counts) * (1 + 1e-5)
    if counts.sum():
        p = counts[counts > 0].astype("float64") / counts.sum(dtype="float64")
        np.testing.assert_allclose(value, np.exp(-(p * np.log(p)).sum()), rtol=1e-4)


def test_known_distributions():
    counts = np.array([[5, 5, 5, 5], [7, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(entropy_bits(counts)), [2, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(perplexity(counts)), [4, 1, 2, 1], rtol=1e-6)


def test_no_entropy_is_shown_without_a_sign():
    for counts in ([7, 0, 0], [0, 0, 0], [5]):
        assert not np.signbit(np.asarray(entropy_bits(np.array(counts))))
