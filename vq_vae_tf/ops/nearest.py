"""The nearest code, without ever holding one number per pair of a vector and a code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

TILE = 1 << 22  # products held at once (16 MiB), unless 64 rows of them are more


def nearest_code(z: Any, codebook: Any, penalty: Any | None = None) -> Any:
    """The code nearest to each vector: argmin_k |z - e_k|^2 + penalty_k = argmax_k z.e_k - (|e_k|^2 + penalty_k) / 2.

    Paper equation 1. The vectors go through in tiles of at most max(2^22, 64 num_codes) products. In a tile, the terms
    without z are part of the matrix product, against a column of ones, and the argmax is taken in two levels: a
    vectorised max over groups of codes, the argmax over groups, and the argmax within the winning group.

    Args:
        z: float32 `[n, dim]`, or `[n, num_codebooks, dim]` to search one codebook per slice; n may be 0.
        codebook: float32 `[num_codes, dim]`, or `[num_codebooks, num_codes, dim]`.
        penalty: float32 `[num_codes]` or `[num_codebooks, num_codes]`, what a code costs, in squared distance; None: 0.

    Returns:
        int32 `[n]` or `[n, num_codebooks]` in [0, num_codes), whatever is in z; the lowest index among equally near
        codes. No gradient.
    """
    table, group = code_table(codebook, penalty)
    last = codebook.shape[-2] - 1

    def of_tile(tile: Any) -> Any:
        return ops.minimum(two_level_argmax(products(tile, table), group), last)

    return by_tiles(of_tile, ops.stop_gradient(z), table)


def nearest_codes(z: Any, codebook: Any, count: int) -> Any:
    """The `count` nearest codes of each vector, the nearest first; memory is bounded as in `nearest_code`.

    Args:
        z, codebook: as for `nearest_code`.
        count: 1 to num_codes.

    Returns:
        int32 `[n, count]` or `[n, num_codebooks, count]`. No gradient.
    """
    table, _ = code_table(codebook)
    last = codebook.shape[-2] - 1

    def of_tile(tile: Any) -> Any:
        best = ops.minimum(ops.cast(ops.top_k(products(tile, table), count)[1], "int32"), last)
        return ops.transpose(best) if len(best.shape) == 2 else ops.transpose(best, (2, 0, 1))

    return by_tiles(of_tile, ops.stop_gradient(z), table, (count,))


def products(tile: Any, table: Any) -> Any:
    """`[rows, ..., dim]` with a one appended, times the table: `[..., rows, padded num_codes]`."""
    tile = ops.concatenate([tile, ops.ones_like(tile[..., :1])], axis=-1)
    return ops.matmul(tile if len(tile.shape) == 2 else ops.transpose(tile, (1, 0, 2)), table)


def by_tiles(
    of_tile: Callable[[Any], Any], z: Any, table: Any, trailing: tuple[int, ...] = (), dtype: str = "int32"
) -> Any:
    """`of_tile` over the rows of z `[n, ...]`, few enough at a time that their products are bounded.

    Args:
        of_tile: `[rows, ...]` -> `[rows]` or `[num_codebooks, rows]`, behind the axes of `trailing`, reversed.
        z: float32 `[n, ..., dim]`.
        table: from `code_table`.
        trailing: the shape of what a row gives, if that is more than one number.
        dtype: of what `of_tile` gives.

    Returns:
        `[n, *trailing]` or `[n, num_codebooks, *trailing]`.
    """
    books = math.prod(table.shape[:-2])
    number, limit = z.shape[0], max(TILE // (books * table.shape[-1]), 64)
    if number == 0:
        return ops.zeros((0, *table.shape[:-2], *trailing), dtype)
    if number is not None and number <= limit:
        return ops.transpose(of_tile(z))
    number = ops.shape(z)[0]
    rows = limit if isinstance(number, int) else ops.maximum(ops.minimum(number, limit), 1)
    tiles = ops.maximum((number + rows - 1) // rows, 1)  # TensorFlow cannot stack the results of no tile at all
    z = ops.pad(z, [[0, tiles * rows - number]] + [[0, 0]] * (len(z.shape) - 1))
    codes = ops.map(lambda tile: ops.transpose(of_tile(tile)), ops.reshape(z, (tiles, rows, *z.shape[1:])))
    return ops.reshape(codes, (-1, *table.shape[:-2], *trailing))[:number]


def _group(num_codes: int) -> int:
    """Codes per group; 1: one level is faster."""
    if num_codes < 128:
        return 1
    return 32 if num_codes <= 1024 else 64


def code_table(codebook: Any, penalty: Any | None = None) -> tuple[Any, int]:
    """`[..., dim + 1, padded num_codes]`: a column per code, its last entry -(|e|^2 + penalty) / 2; and the group size.

    Padding can never win.
    """
    codebook = ops.stop_gradient(codebook)
    costs = ops.sum(codebook * codebook, axis=-1, keepdims=True)
    costs = costs if penalty is None else costs + ops.stop_gradient(penalty)[..., None]
    columns = ops.concatenate([codebook, -0.5 * costs], axis=-1)
    group = _group(codebook.shape[-2])
    padding = -codebook.shape[-2] % group
    if padding:
        zeros, never = ops.zeros_like(columns[..., :1, :-1]), ops.full_like(columns[..., :1, -1:], -math.inf)
        never = ops.repeat(ops.concatenate([zeros, never], axis=-1), padding, axis=-2)
        columns = ops.concatenate([columns, never], axis=-2)
    return ops.swapaxes(columns, -1, -2), group


def two_level_argmax(scores: Any, group: int) -> Any:
    """The argmax over the last axis of `[..., num_codes]`, a multiple of `group`: int32 `[...]`."""
    if group == 1:
        return ops.cast(ops.argmax(scores, axis=-1), "int32")
    shape, groups = ops.shape(scores), scores.shape[-1] // group
    rows = ops.reshape(scores, (-1, group))
    best = ops.cast(ops.argmax(ops.reshape(ops.max(rows, axis=-1), (-1, groups)), axis=-1), "int32")
    winners = ops.take(rows, ops.arange(ops.shape(best)[0], dtype="int32") * groups + best, axis=0)
    return ops.reshape(best * group + ops.cast(ops.argmax(winners, axis=-1), "int32"), shape[:-1])
