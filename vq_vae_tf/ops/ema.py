"""Codes as moving averages of the vectors they stand for, and new codes for those that nothing uses."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from vq_vae_tf.ops.random import counter_uniform
from vq_vae_tf.ops.replicas import replica_count, replica_index, replica_sum


def code_histogram(codes: Any, weights: Any, num_codes: int) -> Any:
    """How often each code occurs: n_k = sum_i w_i [codes_i = k].

    Args:
        codes: int32 `[n]` or `[n, num_codebooks]`.
        weights: float32, the shape of `codes`, e.g. 1 where a code counts and 0 where not.
        num_codes: codes per codebook.

    Returns:
        float32 `[num_codes]` or `[num_codebooks, num_codes]`.
    """
    return sum_by_code(weights[..., None], codes, num_codes)[..., 0]


def sum_by_code(values: Any, codes: Any, num_codes: int) -> Any:
    """The sum of the values that belong to each code, without a one-hot.

    Args:
        values: float32 `[n, dim]` or `[n, num_codebooks, dim]`.
        codes: int32 `[n]` or `[n, num_codebooks]`.
        num_codes: codes per codebook.

    Returns:
        float32 `[num_codes, dim]` or `[num_codebooks, num_codes, dim]`.
    """
    books, dim = codes.shape[1:], values.shape[-1]
    flat = ops.reshape(flat_codes(codes, num_codes), (-1,))
    sums = ops.segment_sum(ops.reshape(values, (-1, dim)), flat, num_segments=math.prod(books) * num_codes)
    return ops.reshape(sums, (*books, num_codes, dim))


def flat_codes(codes: Any, num_codes: int) -> Any:
    """Codes as row numbers of all codebooks put below each other: c num_codes + k, same shape."""
    if len(codes.shape) == 1:
        return codes
    return codes + num_codes * ops.arange(codes.shape[1], dtype="int32")


def ema_counts(old: Any, counts: Any, decay: float) -> Any:
    """The moving average of the counts: N' = decay N + (1 - decay) n. Paper appendix A.1, equation 6.

    Args:
        old: float32 `[...]`; 0 means: never set, never used.
        counts: float32 `[...]`, of this step.
        decay: in [0, 1).

    Returns:
        float32 `[...]`, positive once a code was set or used, however long ago.
    """
    new = decay * old + (1.0 - decay) * counts
    return ops.where(old + counts > 0.0, ops.maximum(new, 1e-20), 0.0)


def ema_codebook(codebook: Any, residual_sums: Any, new_counts: Any, decay: float) -> Any:
    """The codebook m' / N' of the moving averages m of sums and N of counts. Paper appendix A.1, equations 6 to 8.

    With m = N e kept by construction, m' / N' = e + (1 - decay) sum_{i: code k} (z_i - e_k) / N'. So a code that
    nothing used stays where it is, to the last bit, and no second state can disagree with the codebook.

    Args:
        codebook: float32 `[..., dim]`.
        residual_sums: float32 `[..., dim]`: per code, the sum of z_i - e_k over the vectors assigned to it.
        new_counts: float32 `[...]`, from `ema_counts`.
        decay: in [0, 1).
    """
    return codebook + (1.0 - decay) * residual_sums / ops.maximum(new_counts, 1e-20)[..., None]


def draw_vectors(vectors: Any, valid: Any, needed: Any, seed: int, step: Any) -> tuple[Any, Any]:
    """Random vectors of the global batch, different ones for different slots, the same on every replica.

    The j-th slot in need draws from the j-th of as many strata of the batch as there are slots in need, all turned by a
    random amount: no sorting of the batch. Of more slots in need than rows, the first get one each.

    Args:
        vectors: float32 `[n, dim]`, this replica's.
        valid: bool `[n]`, which of them may be drawn.
        needed: bool `[slots]`, which slots want one.
        seed: of the random numbers.
        step: scalar int32.

    Returns:
        float32 `[slots, dim]`, zero where nothing was drawn, and bool `[slots]`: was something drawn? Fewer valid
        vectors than slots in need serve only some of those.
    """
    slots = needed.shape[0]
    ranks = ops.cumsum(ops.cast(valid, "int32"))
    here = ops.sum(ops.cast(valid, "int32"))
    order = ops.arange(replica_count(), dtype="int32")
    # Sums over replicas are of floats: on a GPU, TensorFlow keeps integers in the host's memory.
    sizes = replica_sum(ops.cast(ops.where(order == replica_index(), here, 0), "float32"))
    sizes = ops.cast(sizes, "int32")
    before, total = ops.sum(ops.where(order < replica_index(), sizes, 0)), ops.sum(sizes)

    uniform = counter_uniform(seed, step, slots + 1)
    place = ops.cumsum(ops.cast(needed, "int32")) - 1  # of a slot among those in need
    strata = ops.maximum(place[-1] + 1, 1)
    place = ops.maximum(place, 0)
    width, longer = total // strata, total % strata  # the first strata are one row longer than the others
    width_here = width + ops.cast(place < longer, "int32")
    inside = ops.cast(ops.take(uniform, place) * ops.cast(width_here, "float32"), "int32")
    row = place * width + ops.minimum(place, longer) + ops.minimum(inside, width_here - 1)
    turn = ops.cast(uniform[-1] * ops.cast(total, "float32"), "int32")
    local = ops.mod(row + turn, ops.maximum(total, 1)) - before
    mine = needed & (place < total) & (local >= 0) & (local < here)

    def gather() -> Any:
        rows = ops.searchsorted(ranks, ops.maximum(local, 0) + 1)
        drawn = ops.take(vectors, ops.clip(ops.cast(rows, "int32"), 0, ops.shape(vectors)[0] - 1), axis=0)
        return ops.where(mine[:, None], drawn, 0.0)

    drawn = ops.cond(ops.any(mine), gather, lambda: ops.zeros((slots, vectors.shape[1]), "float32"))
    drawn = replica_sum(ops.concatenate([drawn, ops.cast(mine, "float32")[:, None]], axis=1))
    return drawn[:, :-1], drawn[:, -1] > 0.0
