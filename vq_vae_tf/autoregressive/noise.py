"""Noise that depends on (seed, position, row, symbol) and on nothing else.

TensorFlow's stateless generators draw other numbers under XLA than outside it, JAX draws others again, and
`keras.random` takes no tensor as a seed. Integer arithmetic draws the same eager, compiled, exported, on every backend.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(key: tuple[Tensor, Tensor], counter: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

    Key and counter: two uint32 tensors each, shapes broadcast. Returns two uint32 tensors of random bits.
    """
    keys = (*key, ops.bitwise_xor(ops.bitwise_xor(key[0], key[1]), _uint32(0x1BD11BDA)))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            x = x + y
            y = ops.bitwise_xor(_rotate(y, distance), x)
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + _uint32(group + 1)
    return x, y


def gumbel(seed: Tensor, position: Tensor, batch_size: Any, num_symbols: int) -> Tensor:
    """Standard Gumbel noise `-log(-log u)`, float32 `[batch, num_symbols]`; `seed`, `position` are scalar int32.

    The key is (seed, position), the counter (row, symbol): a row's noise does not depend on the size of the batch.
    """
    half = (num_symbols + 1) // 2
    rows = ops.cast(ops.arange(batch_size, dtype="int32"), "uint32")[:, None]
    symbols = ops.cast(ops.arange(half, dtype="int32"), "uint32")[None, :]
    zeros = ops.zeros_like(rows + symbols)
    bits = threefry((ops.cast(seed, "uint32"), ops.cast(position, "uint32")), (rows + zeros, symbols + zeros))
    bits = ops.concatenate(bits, axis=-1)[:, :num_symbols]
    bits = ops.cast(ops.bitwise_right_shift(bits, _uint32(9)), "int32")
    uniform = ops.cast(bits, "float32") * 2.0**-23 + 2.0**-24  # strictly inside (0, 1): 24 bits would round up to 1
    return -ops.log(-ops.log(uniform))


def _uint32(value: int) -> Tensor:
    return ops.convert_to_tensor(value, dtype="uint32")


def _rotate(x: Tensor, distance: int) -> Tensor:
    left = ops.bitwise_left_shift(x, _uint32(distance))
    return ops.bitwise_or(left, ops.bitwise_right_shift(x, _uint32(32 - distance)))
