"""The nearest code, without ever holding one number per pair of a vector and a code."""

from __future__ import annotations

from typing import Any

from keras import ops


def nearest_code(z: Any, codebook: Any) -> Any:
    """The index of the code nearest to each vector: argmin_k |z - e_k|^2 = argmax_k z.e_k - |e_k|^2 / 2. Paper equation 1.

    Args:
        z: float `[n, dim]`.
        codebook: float `[num_codes, dim]`.

    Returns:
        int32 `[n]`; the lowest index among equally near codes. No gradient.
    """
    z, codebook = ops.stop_gradient(z), ops.stop_gradient(codebook)
    bias = -0.5 * ops.sum(codebook * codebook, axis=-1)
    return ops.cast(ops.argmax(ops.matmul(z, ops.transpose(codebook)) + bias, axis=-1), "int32")
