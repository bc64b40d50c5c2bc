"""Arithmetic coding of one message, in exact integers: -log2 p bits, filled up to bytes, however short it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

PRECISION = 24
"""Probabilities are multiples of 2^-PRECISION."""
TOTAL = 1 << PRECISION


def cumulative_counts(logits: Any) -> np.ndarray:
    """Where each symbol's share of 2^24 begins, and where the last one's ends.

    Equation: count_k = 1 + floor((2^24 - K) softmax(logits)_k). So no symbol is impossible, and no more than about
    K / 2^24 nats a symbol are lost.

    Args:
        logits: finite, `[..., K]`, K at most 2^16.

    Returns:
        int64 `[..., K + 1]`; the last is at most 2^24.
    """
    logits = np.asarray(logits, np.float64)
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares *= (TOTAL - logits.shape[-1]) / shares.sum(axis=-1, keepdims=True)
    counts = np.zeros((*logits.shape[:-1], logits.shape[-1] + 1), np.int64)
    np.cumsum(1 + shares.astype(np.int64), axis=-1, out=counts[..., 1:])
    return counts


def encode(starts: Sequence[int], counts: Sequence[int]) -> bytes:
    """The message of symbols whose shares of 2^24 begin at `starts` and are `counts` wide: see `cumulative_counts`.

    Equation: the fewest bytes, read as a binary fraction, in [low, low + width): the interval that is left when each
    symbol in turn takes its share of the one before. At most -log2(width) bits, filled up to bytes.
    Witten, Neal & Cleary 1987. Differs from the paper: integers as long as the message, so nothing is ever rounded.
    """
    low, width = 0, 1
    for start, count in zip(starts, counts, strict=True):
        low, width = (low << PRECISION) + int(start) * width, width * int(count)
    if not low:
        return b""
    scale = PRECISION * len(starts)
    zeros = ((low - 1) ^ (low + width - 1)).bit_length() - 1  # multiples of 2^zeros lie in it, of no higher power
    size = -(-(scale - zeros) // 8)
    return (-(-low >> scale - 8 * size)).to_bytes(size, "big")


class Decoder:
    """Gives back the symbols of one message, one at a time: `symbol` once for each of `length`, in their order."""

    def __init__(self, message: bytes, length: int) -> None:
        size = length * PRECISION // 8
        self._value = int.from_bytes(message[:size].ljust(size, b"\0"), "big")
        self._left, self._rest, self._width = length, 0, 1

    def symbol(self, cumulative: np.ndarray) -> int:
        """The next symbol, int64 `[K + 1]` being its `cumulative_counts`. Raises: ValueError for a damaged message."""
        self._left -= 1
        digit = self._value >> (PRECISION * self._left) & (TOTAL - 1)
        self._rest = (self._rest << PRECISION) + digit
        target = self._rest // self._width
        if target >= cumulative[-1]:
            raise ValueError("arithmetic coding: the message is damaged, or was written under other probabilities.")
        found = int(np.searchsorted(cumulative, target, side="right")) - 1
        start = int(cumulative[found])
        self._rest -= start * self._width
        self._width *= int(cumulative[found + 1]) - start
        return found
