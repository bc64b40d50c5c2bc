"""The nearest code, without ever holding one number per pair of a vector and a code."""

from __future__ import annotations

from typing import Any

from keras import ops

TILE = 1 << 20  # products held at once, unless 64 rows of them are more


def nearest_code(z: Any, codebook: Any) -> Any:
    """The index of the code nearest to each vector: argmin_k |z - e_k|^2 = argmax_k z.e_k - |e_k|^2 / 2.

    Paper equation 1. The vectors go through in tiles of at most max(2^20, 64 num_codes) products. In a tile, the term
    -|e_k|^2 / 2 is part of the matrix product, against a column of ones, and the argmax is taken in two levels: a
    vectorised max over groups of codes, the argmax over groups, and the argmax within the winning group.

    Args:
        z: float32 `[n, dim]`; n may be 0.
        codebook: float32 `[num_codes, dim]`.

    Returns:
        int32 `[n]` in [0, num_codes), whatever is in z; the lowest index among equally near codes. No gradient.
    """
    z, codebook = ops.stop_gradient(z), ops.stop_gradient(codebook)
    table = _table(codebook)
    num_codes, padded_codes = codebook.shape[0], table.shape[1]
    z = ops.concatenate([z, ops.ones_like(z[:, :1])], axis=1)

    def of_tile(tile: Any) -> Any:
        products = ops.matmul(tile, table)
        return ops.minimum(_argmax(products, _group(num_codes)), num_codes - 1)

    number, limit = z.shape[0], max(TILE // padded_codes, 64)
    if number == 0:
        return ops.zeros((0,), "int32")
    if number is not None and number <= limit:
        return of_tile(z)
    number = ops.shape(z)[0]
    rows = limit if isinstance(number, int) else ops.maximum(ops.minimum(number, limit), 1)
    tiles = ops.maximum((number + rows - 1) // rows, 1)  # TensorFlow cannot stack the results of no tile at all
    z = ops.pad(z, [[0, tiles * rows - number], [0, 0]])
    codes = ops.map(of_tile, ops.reshape(z, (tiles, rows, z.shape[1])))
    return ops.reshape(codes, (-1,))[:number]


def _group(num_codes: int) -> int:
    """Codes per group; 1: one level is faster."""
    if num_codes < 128:
        return 1
    return 32 if num_codes <= 1024 else 64


def _table(codebook: Any) -> Any:
    """`[dim + 1, padded num_codes]`: a column per code, its last entry -|e|^2 / 2; padding can never win."""
    half_norms = -0.5 * ops.sum(codebook * codebook, axis=-1, keepdims=True)
    table = ops.transpose(ops.concatenate([codebook, half_norms], axis=1))
    padding = -codebook.shape[0] % _group(codebook.shape[0])
    if padding == 0:
        return table
    never = ops.concatenate([ops.zeros((codebook.shape[1], padding)), ops.full((1, padding), float("-inf"))], axis=0)
    return ops.concatenate([table, never], axis=1)


def _argmax(products: Any, group: int) -> Any:
    """The argmax of each row of `[rows, num_codes]`: int32 `[rows]`."""
    if group == 1:
        return ops.cast(ops.argmax(products, axis=-1), "int32")
    grouped = ops.reshape(products, (-1, products.shape[1] // group, group))
    best = ops.cast(ops.argmax(ops.max(grouped, axis=-1), axis=-1), "int32")
    within = ops.take_along_axis(grouped, best[:, None, None], axis=1)
    return best * group + ops.cast(ops.argmax(within[:, 0], axis=-1), "int32")
