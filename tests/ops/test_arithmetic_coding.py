"""Arithmetic coding: what goes in comes out, in as many bits as the probabilities say."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vq_vae_tf.ops.arithmetic_coding import TOTAL, Decoder, cumulative_counts, encode


def intervals(cumulative, symbols):
    rows = np.arange(len(symbols))
    starts = cumulative[rows, symbols]
    return starts.tolist(), (cumulative[rows, np.asarray(symbols) + 1] - starts).tolist()


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(0, 70), num=st.integers(1, 50), sharp=st.floats(0, 60))
def test_symbols_come_back_from_no_more_bytes_than_their_probability_asks(seed, length, num, sharp):
    rng = np.random.default_rng(seed)
    logits = sharp * rng.normal(size=(length, num)).astype(np.float32)
    symbols = rng.integers(0, num, length)
    if seed % 2:  # the likely ones, not any
        symbols = logits.argmax(-1) if length else symbols
    cumulative = cumulative_counts(logits)
    starts, counts = intervals(cumulative, symbols)
    message = encode(starts, counts)
    decoder = Decoder(message, length)
    np.testing.assert_array_equal([decoder.symbol(row) for row in cumulative], symbols)
    bits = sum(math.log2(TOTAL / count) for count in counts)
    assert len(message) <= math.ceil((bits + 1e-6) / 8)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 4))
def test_the_message_lies_in_the_interval_and_no_shorter_one_does(seed, length):
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, TOTAL - 1, length)
    counts = [int(rng.integers(1, TOTAL - start + 1)) for start in starts]
    low, width = Fraction(0), Fraction(1)
    for start, count in zip(starts.tolist(), counts, strict=True):
        low, width = low + width * Fraction(start, TOTAL), width * Fraction(count, TOTAL)
    message = encode(starts.tolist(), counts)
    value = Fraction(int.from_bytes(message, "big"), 256 ** len(message))
    assert low <= value < low + width
    shorter = 256 ** (len(message) - 1) if message else 1
    assert not message or math.ceil(low * shorter) >= (low + width) * shorter


@pytest.mark.parametrize(
    ("start", "count", "message"), [(1, TOTAL - 1, b"\x01"), (0, TOTAL, b""), (TOTAL // 2, 1, b"\x80")]
)
def test_the_end_of_the_interval_is_no_part_of_it(start, count, message):
    assert encode([start], [count]) == message


@pytest.mark.parametrize("num", [1, 2, 7, 4096])
def test_shares_follow_the_softmax_and_none_is_empty(num):
    logits = np.random.default_rng(0).normal(0, 8, (3, num)).astype(np.float32)
    cumulative = cumulative_counts(logits)
    counts = np.diff(cumulative)
    assert (cumulative[:, 0] == 0).all()
    assert (counts >= 1).all()
    assert (cumulative[:, -1] <= TOTAL).all()
    assert (cumulative[:, -1] > TOTAL - num - 1).all()
    p = np.exp(logits.astype(np.float64) - np.logaddexp.reduce(logits.astype(np.float64), -1, keepdims=True))
    np.testing.assert_allclose(counts / TOTAL, p, atol=1.001 * (num + 1) / TOTAL)


def test_extreme_logits_cost_what_is_left():
    cumulative = cumulative_counts(np.array([[0.0, -1e30, 1e4]]))
    assert np.diff(cumulative).tolist() == [[1, 1, TOTAL - 2]]


def test_a_message_under_other_probabilities_is_other_symbols_or_refused():
    cumulative = cumulative_counts(np.log([[0.5, 0.25, 0.25 - 1e-6]] * 3))[..., :3]  # the last symbol left out
    with pytest.raises(ValueError, match="damaged"):
        Decoder(b"\xff" * 9, 3).symbol(cumulative[0])
