"""Random numbers that are a function of a counter: the same on every replica, backend and rerun."""

from __future__ import annotations

from typing import Any

from keras import ops


def counter_uniform(seed: int, step: Any, count: int, stream: int = 0) -> Any:
    """`count` uniform numbers that depend on (seed, step, stream, index) and on nothing else.

    Two rounds of the 32-bit finaliser of MurmurHash3 over the mixed counters.

    Args:
        seed: which sequence.
        step: scalar int32 tensor, e.g. how many training calls there were.
        count: how many numbers.
        stream: separates draws of one step.

    Returns:
        float32 `[count]` in [0, 1), multiples of 2^-24.
    """
    return _unit(_finalise(_indices(count) * _word(0x9E3779B1) + _key(seed, step, stream)))


def row_uniform(seed: int, step: Any, rows: Any, columns: int) -> Any:
    """A table of uniform numbers, each a function of (seed, step, row number, column).

    Args:
        seed: which sequence.
        step: scalar int32 tensor.
        rows: int32 `[n]`, row numbers.
        columns: how many numbers per row.

    Returns:
        float32 `[n, columns]` in [0, 1), multiples of 2^-24.
    """
    keys = _finalise(ops.cast(rows, "uint32") * _word(0x9E3779B1) + _key(seed, step, 1))
    return _unit(_finalise(keys[:, None] + _indices(columns) * _word(0x85EBCA77)))


def _indices(count: int) -> Any:
    return ops.cast(ops.arange(count, dtype="int32"), "uint32")  # XLA has no unsigned range


def _key(seed: int, step: Any, stream: int) -> Any:
    return _finalise(ops.cast(step, "uint32") * _word(0x9E3779B9) + _word(seed * 0x85EBCA77 + stream * 0xC2B2AE3D))


def _unit(bits: Any) -> Any:
    return ops.cast(ops.right_shift(bits, _word(8)), "float32") * (1.0 / 16777216.0)


def _finalise(bits: Any) -> Any:
    bits = ops.bitwise_xor(bits, ops.right_shift(bits, _word(16))) * _word(0x85EBCA6B)
    bits = ops.bitwise_xor(bits, ops.right_shift(bits, _word(13))) * _word(0xC2B2AE35)
    return ops.bitwise_xor(bits, ops.right_shift(bits, _word(16)))


def _word(value: int) -> Any:
    return ops.convert_to_tensor(value & 0xFFFFFFFF, dtype="uint32")
