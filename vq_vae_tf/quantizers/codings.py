"""The codings of an example that are nearly as near as its own."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from vq_vae_tf.ops.drawn import drawn_code, drawn_log_prob
from vq_vae_tf.ops.nearest import nearest_codes
from vq_vae_tf.quantizers.base import Quantizer
from vq_vae_tf.quantizers.product import ProductQuantizer
from vq_vae_tf.quantizers.vector import VectorQuantizer


def nearby_codings(quantizer: Quantizer, z: Any, count: int) -> Any:
    """The coding of z, and the `count - 1` nearest ones that differ from it in a single code.

    Which: of all single-code substitutions, everywhere and by every other code, those whose code is least farther from
    z than the nearest one is, in squared distance, in that order; where codes are the nearest, those that add least to
    |z - z_q|^2. So the set for a smaller `count` is part of the set for a larger one, and no coding comes twice.

    Args:
        quantizer: any that is not residual, where one code changes what all later levels mean.
        z: float `[batch, *grid, embedding_dim]`.
        count: how many, with its own.

    Returns:
        int32 `[count, batch, *code_shape]`; the first is `quantizer.encode(z)`.

    Raises:
        ValueError: a residual quantizer, or more codings than there are.
    """
    own = quantizer.encode(z)
    shape, places = tuple(own.shape[1:]), math.prod(own.shape[1:])
    available = 1 + places * (quantizer.num_codes - 1)
    if not 1 <= count <= available:
        raise ValueError(f"{quantizer.name}: {count} codings asked for; expected 1 to {available} for codes {shape}.")
    if count == 1:
        return own[None]
    own = ops.reshape(own, (-1, places))
    nearest = min(count, quantizer.num_codes)  # each place gives at most `count - 1`, beside its own code
    codes, farther = neighbours(quantizer, z, nearest)
    codes = ops.reshape(codes, (-1, places, nearest))
    farther = ops.where(codes == own[..., None], math.inf, ops.reshape(farther, (-1, places, nearest)))
    chosen = ops.top_k(-ops.reshape(farther, (-1, places * nearest)), count - 1)[1]
    new = ops.take_along_axis(ops.reshape(codes, (-1, places * nearest)), chosen, axis=1)
    here = ops.arange(places, dtype="int32") == ops.cast(chosen // nearest, "int32")[..., None]
    others = ops.where(here, new[..., None], own[:, None, :])
    codings = ops.concatenate([own[:, None, :], others], axis=1)
    return ops.reshape(ops.transpose(codings, (1, 0, 2)), (count, -1, *shape))


def neighbours(quantizer: Quantizer, z: Any, count: int) -> tuple[Any, Any]:
    """The `count` codes nearest to each vector, and how much farther each is than the first.

    Returns:
        Codes int32 and added squared distance float32, both `[n, count]` or `[n, num_codebooks, count]`, where n
        vectors are in z.
    """
    vectors = quantizer.comparable(ops.reshape(ops.cast(z, "float32"), (-1, quantizer.embedding_dim)))
    book = quantizer.codebook
    codes = nearest_codes(vectors, book, count)
    first = 0 if quantizer.num_codebooks is None else quantizer.num_codes * ops.arange(book.shape[0])[:, None]
    found = ops.take(ops.reshape(book, (-1, book.shape[-1])), codes + ops.cast(first, "int32"), axis=0)
    distance = ops.sum(ops.square(vectors[..., None, :] - found), axis=-1)
    return codes, distance - distance[..., :1]


def draws_codes(quantizer: Quantizer) -> bool:
    """Whether training draws its codes, by their distance."""
    return isinstance(quantizer, VectorQuantizer | ProductQuantizer) and quantizer.draws


def drawn_coding(quantizer: Quantizer, z: Any, seed: int, step: Any) -> tuple[Any, Any]:
    """A coding of z drawn from q(codes | z), every code for itself by its distance, and log q of it.

    Args:
        quantizer: one that `draws_codes`.
        z: float `[batch, *grid, embedding_dim]`.
        seed, step: another step, another draw.

    Returns:
        int32 `[batch, *code_shape]` and float32 `[batch]`, nats.

    Raises:
        ValueError: a quantizer without a temperature.
    """
    if not draws_codes(quantizer):
        raise ValueError(
            f"{quantizer.name}: codes are drawn by a VectorQuantizer or a ProductQuantizer with temperature > 0; this "
            f"one is a {type(quantizer).__name__} that takes the nearest."
        )
    temperature = quantizer.temperature
    vectors = quantizer.comparable(ops.reshape(ops.cast(z, "float32"), (-1, quantizer.embedding_dim)))
    codes = drawn_code(vectors, quantizer.codebook, temperature, seed, step)
    log_prob = drawn_log_prob(vectors, quantizer.codebook, temperature, codes)
    shape = (ops.shape(z)[0], *quantizer.code_shape(ops.shape(z)[1:]))
    per_image = ops.reshape(log_prob, (shape[0], -1))
    return ops.reshape(codes, shape), ops.sum(per_image, axis=-1)
