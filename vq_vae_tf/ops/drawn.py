"""Codes drawn by their distance, and how probable a code is so: without one number per pair of a vector and a code."""

from __future__ import annotations

from typing import Any

from keras import ops

from vq_vae_tf.ops.ema import flat_codes
from vq_vae_tf.ops.nearest import by_tiles, code_table, nearest_code, products
from vq_vae_tf.ops.random import row_uniform
from vq_vae_tf.ops.replicas import replica_index


def drawn_code(z: Any, codebook: Any, temperature: float, seed: Any, step: Any) -> Any:
    """Draws code k with probability q(k | z), proportional to exp(-|z - e_k|^2 / temperature).

    The inverse of the cumulative sum, in two levels as in `nearest_code`: a group of codes, then one of the group.

    Args:
        z: float32 `[n, dim]`, or `[n, num_codebooks, dim]` to draw from one codebook per slice.
        codebook: float32 `[num_codes, dim]`, or `[num_codebooks, num_codes, dim]`.
        temperature: positive, in squared distance.
        seed: of the random numbers.
        step: scalar int32; another step, another draw.

    Returns:
        int32 `[n]` or `[n, num_codebooks]`; depends on (seed, step, row, codebook), with rows counted over all
        replicas of equal batches. No gradient.
    """
    table, group = code_table(codebook)
    last = codebook.shape[-2] - 1
    rows = ops.arange(ops.shape(z)[0], dtype="int32") + replica_index() * ops.shape(z)[0]
    uniform = row_uniform(seed, step, rows, 1 if len(z.shape) == 2 else z.shape[1])
    uniform = ops.reshape(uniform, (*ops.shape(z)[:-1], 1))

    def of_tile(tile: Any) -> Any:
        point = tile[..., -1] if len(tile.shape) == 2 else ops.transpose(tile[..., -1])
        weights = _weights(products(tile[..., :-1], table), temperature)
        return ops.minimum(_by_cumulative_sum(weights, point, group), last)

    return by_tiles(of_tile, ops.concatenate([ops.stop_gradient(z), uniform], axis=-1), table)


def drawn_log_prob(z: Any, codebook: Any, temperature: float, codes: Any) -> Any:
    """log q(codes | z) of `drawn_code`'s distribution, nats.

    Equation: log q(k | z) = -|z - e_k|^2 / temperature - log sum_j exp(-|z - e_j|^2 / temperature).

    Args:
        z, codebook, temperature: as for `drawn_code`.
        codes: int32 `[n]` or `[n, num_codebooks]`.

    Returns:
        float32, of the codes' shape. No gradient.
    """
    table, _ = code_table(codebook)
    nearest = nearest_code(z, codebook)  # what differences of distances are taken from, in a scale that float32 holds

    def farther(codes: Any) -> Any:
        return _squared_distance(z, codebook, codes) - _squared_distance(z, codebook, nearest)

    def of_tile(tile: Any) -> Any:
        return ops.log(ops.sum(_weights(products(tile, table), temperature), axis=-1))

    return -farther(codes) / temperature - by_tiles(of_tile, ops.stop_gradient(z), table, dtype="float32")


def _weights(scores: Any, temperature: float) -> Any:
    """exp(-|z - e_k|^2 / temperature) over the greatest of them, of products with `code_table`'s."""
    return ops.exp((scores - ops.max(scores, axis=-1, keepdims=True)) * (2.0 / temperature))


def _by_cumulative_sum(weights: Any, point: Any, group: int) -> Any:
    """The index at which the cumulative sum of `[..., num_codes]` passes the share `point` `[...]` of the whole."""
    shape, groups = ops.shape(point), weights.shape[-1] // group
    inner = ops.reshape(weights, (-1, group))
    sums = ops.cumsum(ops.reshape(ops.sum(inner, axis=-1), (-1, groups)), axis=-1)
    target = ops.reshape(point, (-1, 1)) * sums[:, -1:]
    chosen = ops.minimum(_passed(sums, target), groups - 1)
    before = ops.where(chosen > 0, ops.take_along_axis(sums, ops.maximum(chosen - 1, 0), axis=1), 0.0)
    rows = ops.arange(ops.shape(chosen)[0], dtype="int32") * groups + chosen[:, 0]
    within = ops.cumsum(ops.take(inner, rows, axis=0), axis=-1)
    within = ops.minimum(_passed(within, ops.minimum(target - before, within[:, -1:])), group - 1)
    return ops.reshape(chosen * group + within, shape)


def _passed(sums: Any, target: Any) -> Any:
    """How many of the rising `sums` `[n, m]` lie at or below the target `[n, 1]`, but never past the last rise."""
    below = ops.logical_and(sums <= target, sums < sums[:, -1:])
    return ops.sum(ops.cast(below, "int32"), axis=-1, keepdims=True)


def _squared_distance(z: Any, codebook: Any, codes: Any) -> Any:
    table = ops.reshape(codebook, (-1, codebook.shape[-1]))
    vectors = ops.take(table, flat_codes(codes, codebook.shape[-2]), axis=0)
    return ops.sum(ops.square(ops.stop_gradient(z - vectors)), axis=-1)
