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
    index = ops.cast(ops.arange(count, dtype="int32"), "uint32")  # XLA has no unsigned range
    key = ops.cast(step, "uint32") * _word(0x9E3779B9) + _word(seed * 0x85EBCA77 + stream * 0xC2B2AE3D)
    bits = _finalise(index * _word(0x9E3779B1) + _finalise(key))
    return ops.cast(ops.right_shift(bits, _word(8)), "float32") * (1.0 / 16777216.0)


def _finalise(bits: Any) -> Any:
    bits = ops.bitwise_xor(bits, ops.right_shift(bits, _word(16))) * _word(0x85EBCA6B)
    bits = ops.bitwise_xor(bits, ops.right_shift(bits, _word(13))) * _word(0xC2B2AE35)
    return ops.bitwise_xor(bits, ops.right_shift(bits, _word(16)))


def _word(value: int) -> Any:
    return ops.convert_to_tensor(value & 0xFFFFFFFF, dtype="uint32")
