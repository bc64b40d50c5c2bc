"""Codes in as few bits as the prior expects them in: arithmetic coding under p(z)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from vq_vae_tf.autoregressive.base import whole
from vq_vae_tf.ops.arithmetic_coding import TOTAL, Decoder, cumulative_counts, encode
from vq_vae_tf.prior import Prior

CHUNK = 64
"""Code maps that go through the network together, always as many: its last digits may depend on that."""

SLACK = 0.02
"""Bits a map that all codes at once and code after code may disagree about, in the last digits of float32."""


class Compressor:
    """Code maps to short messages and back, without loss.

    Equation: a message has -log2 p(z) bits, filled up to bytes, p(z) the prior's to within K / 2^24 nats a code.
    Paper: section 3.3 (the prior); Witten, Neal & Cleary 1987 (arithmetic coding).

    Both ways go through `network.step`, code after code, because both must see the same probabilities to the last
    digit. So a message can be read by the same weights on the same kind of machine and the same release of the backend;
    under others it may be refused, or give other codes: keep a digest of the codes beside it, as `bin/compress` does.

    Args:
        prior: p(z), its weights created.
        compiled: what makes one step fast, such as `tf.function`; by default nothing.

    Raises:
        ValueError: a prior over two levels.
    """

    def __init__(self, prior: Prior, compiled: Callable[[Any], Any] = lambda step: step) -> None:
        if not hasattr(prior.network, "step"):
            raise ValueError(f"Compressor: {prior.name} cannot be asked code by code; give a prior over one grid.")
        self._network = prior.network
        self._step = compiled(self._next)

    def _next(self, previous: Any, cache: Any, position: Any) -> Any:
        return self._network.step(previous, cache, position)

    def bits_within(self, size: int) -> float:
        """The bits -log2 p(z) that codes may have for a message of `size` bytes to be sure to hold them."""
        lost = self._network.num_positions * self._network.num_symbols / TOTAL / math.log(2)
        return 8.0 * size - lost - SLACK

    def compress(self, codes: Any, condition: Mapping[str, Any] | None = None) -> list[bytes]:
        """One message for each code map.

        Args:
            codes: int32 `[batch, *code_shape]`.
            condition: what the prior is conditioned on, for each map; needed again to read the messages.

        Raises:
            ValueError: codes of another shape, out of range, or no integers.
        """
        codes = np.asarray(codes)
        whole(codes, "Compressor: codes")
        network = self._network
        if codes.shape[1:] != network.symbol_shape:
            raise ValueError(f"Compressor: codes of shape {codes.shape} given; expected [n, {network.symbol_shape}].")
        if codes.size and not (codes.min() >= 0 and codes.max() < network.num_symbols):
            found = f"codes in {codes.min()}..{codes.max()}"
            raise ValueError(f"Compressor: {found} given; expected 0..{network.num_symbols - 1}.")
        flat = codes.reshape(len(codes), network.num_positions).astype(np.int32)
        return [message for chunk, given in _chunks(flat, condition) for message in self._messages(chunk, given)]

    def decompress(self, messages: Sequence[bytes], condition: Mapping[str, Any] | None = None) -> np.ndarray:
        """The codes of each message, int32 `[batch, *code_shape]`. Raises: ValueError for a damaged one."""
        slots = np.arange(len(messages))[:, None]
        parts = [self._codes([messages[i] for i in chunk[:, 0]], given) for chunk, given in _chunks(slots, condition)]
        flat = np.concatenate(parts) if parts else np.zeros((0, self._network.num_positions), np.int32)
        return flat.reshape(-1, *self._network.symbol_shape)

    def _messages(self, codes: np.ndarray, condition: dict[str, Any] | None) -> list[bytes]:
        count = len(codes)
        rows, starts, widths = np.arange(count), np.empty(codes.shape, np.int64), np.empty(codes.shape, np.int64)

        def known(position: int, cumulative: np.ndarray) -> np.ndarray:
            symbols = codes[:, position]
            starts[:, position] = cumulative[rows, symbols]
            widths[:, position] = cumulative[rows, symbols + 1] - starts[:, position]
            return symbols

        self._walk(count, condition, known)
        return [encode(starts[i].tolist(), widths[i].tolist()) for i in range(count)]

    def _codes(self, messages: Sequence[bytes], condition: dict[str, Any] | None) -> np.ndarray:
        length = self._network.num_positions
        decoders = [Decoder(message, length) for message in messages]
        codes = np.empty((len(messages), length), np.int32)

        def read(position: int, cumulative: np.ndarray) -> np.ndarray:
            codes[:, position] = [decoder.symbol(row) for decoder, row in zip(decoders, cumulative, strict=True)]
            return codes[:, position]

        self._walk(len(messages), condition, read)
        return codes

    def _walk(
        self, count: int, condition: dict[str, Any] | None, symbols: Callable[[int, np.ndarray], np.ndarray]
    ) -> None:
        """Asks for the `count` symbols of every position, given their probabilities after those before."""
        cache = self._network.init_cache(CHUNK, condition)
        previous = np.zeros(CHUNK, np.int32)
        for position in range(self._network.num_positions):
            logits, cache = self._step(
                ops.convert_to_tensor(previous), cache, ops.convert_to_tensor(position, dtype="int32")
            )
            previous[:count] = symbols(position, cumulative_counts(ops.convert_to_numpy(logits)[:count]))


def _chunks(
    rows: np.ndarray, condition: Mapping[str, Any] | None
) -> Iterator[tuple[np.ndarray, dict[str, Any] | None]]:
    """`CHUNK` rows at a time, and the condition of as many, the last row's repeated where there are fewer."""
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        filled = np.minimum(np.arange(start, start + CHUNK), len(rows) - 1)
        given = {name: np.asarray(value)[filled] for name, value in (condition or {}).items()}
        yield chunk, given or None
