"""One sampler for every autoregressive network: one loop over positions, in one compiled graph.

The sampler knows nothing of networks but `num_symbols`, `symbol_shape`, `num_positions`, `init_cache`, `step`
(and, for `sample_naive`, the full pass).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from vq_vae_tf.autoregressive.base import concrete, whole
from vq_vae_tf.autoregressive.noise import gumbel

Tensor = Any
MASKED = -1e30  # exp(MASKED) is exactly 0 in float32, and MASKED plus noise stays finite


def sample(
    network: Any,
    batch_size: Any,
    seed: Any,
    condition: dict | None = None,
    temperature: Any = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    given: Any = None,
    keep_mask: Any = None,
) -> Tensor:
    """Draw int32 symbols `[batch, *symbol_shape]`, one `network.step` a position.

    Args:
        seed: int or scalar int32 tensor. The noise depends on seed and position only.
        temperature: float or scalar tensor, above 0; logits are divided by it.
        top_k: draw among the `top_k` likeliest symbols; 0: all.
        top_p: draw among the likeliest symbols that together reach this probability; 1: all.
        given: symbols to keep, `[batch, *symbol_shape]`; without `keep_mask` a prefix in raster order, `[batch, n]` or
            any shape that flattens to it, such as the first rows `[batch, rows, width]`.
        keep_mask: `[batch, *symbol_shape]` (or without batch), non-zero where `given` is kept (completion, inpainting).

    Raises:
        ValueError: temperature <= 0, top_k outside 0..K, top_p outside (0, 1], `given` or `keep_mask` that do not fit.
    """
    cache = network.init_cache(batch_size, condition)
    settings = (temperature, top_k, top_p, given, keep_mask)
    return _sample(network, batch_size, seed, cache, lambda symbols, *state: network.step(*state), *settings)


def sample_naive(
    network: Any,
    batch_size: Any,
    seed: Any,
    condition: dict | None = None,
    temperature: Any = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    given: Any = None,
    keep_mask: Any = None,
) -> Tensor:
    """The same draw as `sample`, by one full pass a position: what `sample` is tested and timed against."""

    def full_pass(symbols: Tensor, previous: Tensor, cache: Any, position: Tensor) -> tuple[Tensor, Any]:
        logits = network(ops.reshape(ops.transpose(symbols), (-1, *network.symbol_shape)), condition, training=False)
        logits = ops.reshape(logits, (-1, network.num_positions, network.num_symbols))
        return ops.take(logits, position, axis=1), cache

    return _sample(network, batch_size, seed, (), full_pass, temperature, top_k, top_p, given, keep_mask)


def _sample(
    network: Any,
    batch_size: Any,
    seed: Any,
    cache: Any,
    next_logits: Callable,
    temperature: Any,
    top_k: int,
    top_p: float,
    given: Any,
    keep_mask: Any,
) -> Tensor:
    _check_settings(network, temperature, top_k, top_p)
    kept = _kept_symbols(network, batch_size, given, keep_mask)
    seed = _int32_seed(seed)
    temperature = ops.cast(temperature, "float32")

    def body(position: Tensor, previous: Tensor, symbols: Tensor, cache: Any) -> tuple:
        logits, cache = next_logits(symbols, previous, cache, position)
        noise = gumbel(seed, position, batch_size, network.num_symbols)
        symbol = draw(logits, noise, temperature, top_k, top_p)
        if kept is not None:
            values, mask = (ops.take(part, position, axis=0) for part in kept)
            symbol = ops.where(mask, values, symbol)
        return position + 1, symbol, ops.slice_update(symbols, (position, 0), symbol[None]), cache

    symbols = ops.zeros((network.num_positions, batch_size), dtype="int32")
    start = (ops.convert_to_tensor(0, dtype="int32"), ops.zeros((batch_size,), dtype="int32"), symbols, cache)
    symbols = ops.while_loop(lambda position, *_: position < network.num_positions, body, start)[2]
    return ops.reshape(ops.transpose(symbols), (-1, *network.symbol_shape))


def draw(logits: Tensor, noise: Tensor, temperature: Any = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """One symbol a row, int32 `[batch]`: `argmax(truncate(logits / temperature) + noise)`, both `[batch, K]`.

    With Gumbel noise that is a draw from the softmax of the truncated logits.
    """
    logits = truncate(ops.cast(logits, "float32") / temperature, top_k, top_p)
    return ops.cast(ops.argmax(logits + noise, axis=-1), "int32")


def truncate(logits: Tensor, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Mask all but the `top_k` largest, then all but the largest that together reach probability `top_p`."""
    if 0 < top_k < logits.shape[-1]:
        smallest = ops.top_k(logits, top_k)[0][..., -1:]
        logits = ops.where(logits < smallest, MASKED, logits)
    if top_p < 1.0:
        descending = ops.flip(ops.sort(logits, axis=-1), axis=-1)
        chances = ops.softmax(descending, axis=-1)
        before = ops.cumsum(chances, axis=-1) - chances
        smallest = ops.min(ops.where(before < top_p, descending, math.inf), axis=-1, keepdims=True)
        logits = ops.where(logits < smallest, MASKED, logits)
    return logits


def _check_settings(network: Any, temperature: Any, top_k: int, top_p: float) -> None:
    value = concrete(temperature)
    if value is not None and not (value > 0 and math.isfinite(value)):
        raise ValueError(f"temperature={value} given; expected a finite number above 0 (top_k=1 takes the likeliest)")
    if not 0 <= top_k <= network.num_symbols:
        raise ValueError(f"top_k={top_k} given; expected 0 (all) to {network.num_symbols}, the number of symbols")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p} given; expected a probability in (0, 1]")


def _int32_seed(seed: Any) -> Tensor:
    if isinstance(seed, int):
        seed = (seed & 0xFFFFFFFF ^ 0x80000000) - 0x80000000  # any int: its lowest 32 bits
    return ops.cast(seed, "int32")


def _kept_symbols(network: Any, batch_size: Any, given: Any, keep_mask: Any) -> tuple[Tensor, Tensor] | None:
    """`given` and where it is kept, both `[positions, batch]`."""
    if given is None and keep_mask is None:
        return None
    if given is None:
        raise ValueError("keep_mask given without the symbols to keep; pass them as `given`")
    given = ops.convert_to_tensor(given)
    _check_symbols(network, given)
    _check_examples("given", given, batch_size)
    positions = network.num_positions
    if keep_mask is None:
        length = math.prod(given.shape[1:])
        if length > positions:
            raise ValueError(f"a prefix of {length} symbols given; expected at most {positions} {network.symbol_shape}")
        given = ops.pad(ops.reshape(given, (-1, length)), ((0, 0), (0, positions - length)))
        mask = ops.arange(positions) < length
        mask = ops.broadcast_to(mask[:, None], (positions, batch_size))
    else:
        if tuple(given.shape[1:]) != network.symbol_shape:
            raise ValueError(f"given of shape {tuple(given.shape)}; expected [batch, {network.symbol_shape}]")
        mask = _checked_mask(network, batch_size, keep_mask)
    return ops.transpose(ops.reshape(ops.cast(given, "int32"), (-1, positions))), mask


def _checked_mask(network: Any, batch_size: Any, keep_mask: Any) -> Tensor:
    mask = ops.convert_to_tensor(keep_mask)
    shape = tuple(mask.shape)
    if shape == network.symbol_shape:
        mask = ops.broadcast_to(mask[None], (batch_size, *shape))
    elif shape[1:] != network.symbol_shape:
        raise ValueError(f"keep_mask of shape {shape} given; expected {network.symbol_shape}, with batch or without")
    _check_examples("keep_mask", mask, batch_size)
    return ops.transpose(ops.reshape(ops.not_equal(mask, ops.zeros_like(mask)), (-1, network.num_positions)))


def _check_symbols(network: Any, given: Tensor) -> None:
    whole(given, "symbols")
    values = concrete(given)
    if values is not None and values.size and not (values.min() >= 0 and values.max() < network.num_symbols):
        raise ValueError(f"given symbols in {values.min()}..{values.max()}; expected 0..{network.num_symbols - 1}")


def _check_examples(name: str, value: Tensor, batch_size: Any) -> None:
    count = value.shape[0]
    if isinstance(batch_size, int) and count is not None and count != batch_size:
        raise ValueError(f"{name} holds {count} examples; expected {batch_size}, the number to sample")
