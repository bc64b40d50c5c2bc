"""A search for the best coding that a message of given length can tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from vq_vae_tf.search import Offers, State, charged, mask_of, rounds, search_round, total

LEAST, GREATEST = 1e-4, 1e4
"""Bounds of the weight."""
HALVINGS, BEYOND = 30, 1.005
GROWTH = 1.1
"""Of the weight after each round of the last sweep, where the rate is still too high."""
MORE, GROWTH_ALONE = 8, 1.01
"""Sweeps beyond the last one, at most, for images without a coding within the budget, and growth of the weight after
each place: the r-th tries the code that is r-th likeliest, near or not, one place at a time, so that what it costs the
codes after it is known.
"""


def search_within(
    codes: Any,
    nearby: tuple[Any, Any],
    loss_map: Callable[[Any], Any],
    rates: Callable[[Any], Any],
    most: float,
    candidates: int,
    sweeps: int,
) -> tuple[Any, Any]:
    """The coding with the least loss among those seen whose rate is at most `most`, image by image.

    Equation: argmin_k loss(k) subject to rate(k) <= most, by `coordinate_search` on loss(k) + w rate(k), the multiplier
    w of each image's own (the Lagrangian of Chou, Lookabaugh & Gray 1989). Which w is foretold before every sweep: the
    one with which the codes that have the least a d + w rate at their places would have the rate `most`, but for what
    the sweep before missed its own by; d is a code's squared distance from z_e, a the loss that the second nearest
    codes add to the nearest, by the distance that they add. Tried are the `candidates` that have the least of it,
    but for the code that a place has.

    Args:
        codes: int32 `[batch, height, width]` or `[batch, height, width, num_codebooks]`, where to start.
        nearby: codes, the nearest first, int32 `[*codes.shape, count]`, and how much farther from z_e than the first
            they are, float32, squared, alike; at least two.
        loss_map: codes -> loss of each place, float32 `[batch, height, width]`.
        rates: codes -> -log p of each of the K codes at each place, given those before it, `[*codes.shape, K]`, nats.
        most: nats an image.
        candidates: codes tried at each place of a round, at most `count`.
        sweeps: times that every place is tried; up to `MORE` further ones follow, with weights that grow, for images
            for which nothing within the budget was found.

    Returns:
        Codes, and whether they are within the budget, bool `[batch]`: where none was found that is, those of the end.
    """
    masks, losses = rounds(tuple(codes.shape[1:])), loss_map(codes)
    added = total(loss_map(nearby[0][..., 1])) - total(loss_map(nearby[0][..., 0]))
    apart = _wide(ops.maximum(added, 0.0) / ops.maximum(total(nearby[1][..., 1]), 1e-12), nearby[1]) * nearby[1]

    def priced(codes: Any) -> tuple[Any, Any]:
        each = ops.cast(rates(codes), "float32")
        return each, ops.take_along_axis(each, nearby[0], axis=-1)

    def offers(codes: Any, weight: Any) -> Offers:
        each, near = priced(codes)
        held = nearby[0] == codes[..., None]
        # Chosen, not added: of a sum of three TensorFlow's optimiser makes a variable, which clashes in a loop.
        chosen = ops.top_k(-ops.where(held, math.inf, apart + _wide(weight, near) * near), candidates)[1]
        return charged(codes, ops.take_along_axis(nearby[0], chosen, axis=-1), each)

    def one_round(mask: Any, carried: Any, growth: Any) -> Any:
        state, weight, best = carried
        state = search_round(state, mask, weight, loss_map, lambda codes: offers(codes, weight))
        return state, ops.where(total(state[2]) > most, growth * weight, weight), _best(best, state, most)

    def one_sweep(sweep: Any, carried: Any) -> Any:
        (codes, losses, own, *_), weight, best = carried
        near = priced(codes)[1]
        missed = ops.where(sweep > 0, total(own) - foretold(apart, near, weight), 0.0)
        weight = weight_for(apart, near, most - missed)
        carried = (codes, losses, *offers(codes, weight)), weight, best
        growth = ops.where(sweep == sweeps - 1, GROWTH, 1.0)
        return ops.fori_loop(0, len(masks), lambda i, c: one_round(mask_of(masks, i), c, growth), carried)

    weight = ops.ones_like(losses[:, 0, 0])
    state = (codes, losses, *offers(codes, weight))
    best = _best((codes, ops.full_like(weight, math.inf)), state, most)
    state, weight, best = ops.fori_loop(0, sweeps, one_sweep, (state, weight, best))
    codes, (found, loss) = _place_by_place(state, weight, best, loss_map, rates, most)
    within = loss < math.inf
    return ops.where(_wide(within, codes), found, codes), within


def _place_by_place(
    state: State,
    weight: Any,
    best: tuple[Any, Any],
    loss_map: Callable[[Any], Any],
    rates: Callable[[Any], Any],
    most: float,
) -> tuple[Any, tuple[Any, Any]]:
    """For images without a coding within the budget, the first one met: the codes at the end, and the codings found.

    Images that have theirs keep it, though better ones be met while the search goes on for others: what an image is
    told by does not depend on the rest of its batch.
    """
    codes, losses, *_ = state
    size = math.prod(codes.shape[1:])
    masks = np.eye(size, dtype=bool).reshape(size, *codes.shape[1:])

    def likely(codes: Any, rank: Any) -> Offers:
        each = ops.cast(rates(codes), "float32")
        count = min(MORE, each.shape[-1])
        return charged(codes, ops.take(ops.top_k(-each, count)[1], [rank % count], axis=-1), each)

    def unmet(step: Any, carried: Any) -> Any:
        return (step < MORE * size) & ops.any(carried[2][1] == math.inf)

    def one_place(step: Any, carried: Any) -> Any:
        state, weight, best = carried
        rank = (step + 1) // size  # a round ends with what the next one tries
        state = search_round(state, mask_of(masks, step), weight, loss_map, lambda codes: likely(codes, rank))
        found, loss = _best(best, state, most)
        had = best[1] < math.inf
        best = ops.where(_wide(had, found), best[0], found), ops.where(had, best[1], loss)
        return step + 1, (state, GROWTH_ALONE * weight, best)

    start = (codes, losses, *likely(codes, 0)), weight, best
    _, (state, _, best) = ops.while_loop(unmet, one_place, (ops.zeros((), "int32"), start))
    return state[0], best


def foretold(apart: Any, rates: Any, weight: Any) -> Any:
    """The rate of each image, `[batch]`, if every place takes the code with the least apart + weight rate."""
    chosen = ops.argmin(apart + _wide(weight, rates) * rates, axis=-1)
    return total(ops.take_along_axis(rates, ops.cast(chosen, "int32")[..., None], axis=-1))


def weight_for(apart: Any, rates: Any, most: Any) -> Any:
    """The least weight of each image with which `foretold` is at most `most`, `[batch]`, by halving its logarithm.

    It is `BEYOND` times larger: at the least one a code and its successor are equally good, and the code would be kept.
    """

    def halve(_: Any, bounds: Any) -> Any:
        low, high = bounds
        middle = (low + high) / 2.0
        over = foretold(apart, rates, ops.exp(middle)) > most
        return ops.where(over, middle, low), ops.where(over, high, middle)

    like = ops.ones_like(total(apart))
    bounds = (like * math.log(LEAST), like * math.log(GREATEST))
    return BEYOND * ops.exp(ops.fori_loop(0, HALVINGS, halve, bounds)[1])


def _best(best: tuple[Any, Any], state: State, most: float) -> tuple[Any, Any]:
    loss = ops.where(total(state[2]) <= most, total(state[1]), math.inf)
    better = loss < best[1]
    return ops.where(_wide(better, state[0]), state[0], best[0]), ops.minimum(loss, best[1])


def _wide(value: Any, like: Any) -> Any:
    return ops.reshape(value, (-1, *[1] * (len(like.shape) - 1)))
