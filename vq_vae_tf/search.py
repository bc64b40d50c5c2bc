"""A better coding than the encoder's: try nearby codes, and keep what the decoder makes the most of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

APART = 4
"""Places so far apart on the grid are tried at once, each judged by the places around it."""
_AROUND = 5
Offers = tuple[Any, Any, Any]
State = tuple[Any, Any, Any, Any, Any]


def coordinate_search(
    codes: Any,
    candidates: Any,
    loss_map: Callable[[Any], Any],
    sweeps: int = 1,
    costs: Callable[[Any], Any] | None = None,
) -> Any:
    """The coding that coordinate descent on the decoder's own loss reaches from `codes`.

    Equation: for every code k_p in turn, k_p <- argmin over its candidates of loss(k) + cost(k), all other codes kept.
    Any coding gives a bound on log p(x) (paper, section 3.1): with -log p(x | k) as the loss and -log p(k) as the cost
    this finds the tightest; under a uniform prior all cost the same, and the one with the least loss is best. Known as
    analysis by synthesis in speech coding (Schroeder & Atal 1985, code-excited linear prediction) and, with costs, as
    entropy-constrained quantization (Chou, Lookabaugh & Gray 1989).

    Places `APART` apart on the grid are tried in one decoding and judged by the loss of the 5x5 places around each; at
    the end of such a round an image whose whole loss has grown keeps its old codes, so the loss, costs included, never
    grows. A sweep takes 16 len(candidates) decodings for each code at a place, but asks for costs only 16 times: in a
    round a candidate is charged what it costs after the codes before it, and what it changes for the codes after it is
    charged when the round ends.

    Args:
        codes: int32 `[batch, height, width]` or `[batch, height, width, num_codebooks]`, where to start.
        candidates: int32 `[count, *codes.shape]`.
        loss_map: codes -> loss of each place, float32 `[batch, height, width]`.
        sweeps: times that every place is tried.
        costs: codes -> what each of the K codes would cost at each place, in units of the loss, `[*codes.shape, K]`;
            None: nothing.

    Returns:
        Codes of the shape of `codes`.

    Raises:
        ValueError: codes have no two-dimensional grid, or no candidates came.
    """
    shape = tuple(codes.shape)
    if len(shape) not in (3, 4):
        raise ValueError(f"coordinate_search: codes are {shape}; expected [batch, height, width] or with codebooks.")
    if tuple(candidates.shape[2:]) != shape[1:] or not candidates.shape[0]:
        raise ValueError(f"coordinate_search: candidates are {tuple(candidates.shape)}; expected [count, *{shape}].")
    offered = ops.moveaxis(candidates, 0, -1)
    masks, losses = rounds(shape[1:]), loss_map(codes)
    weight = ops.ones_like(losses[:, 0, 0])

    def offers(codes: Any) -> Offers:
        each = None if costs is None else ops.cast(costs(codes), "float32")
        return charged(codes, offered, each)

    def one_round(step: Any, state: State) -> State:
        return search_round(state, mask_of(masks, step), weight, loss_map, offers)

    start = (codes, losses, *offers(codes))
    return ops.fori_loop(0, sweeps * len(masks), one_round, start)[0]


def search_round(
    state: State, mask: Any, weight: Any, loss_map: Callable[[Any], Any], offers: Callable[[Any], Offers]
) -> State:
    """One round: what is offered where `mask` says is tried, the better kept, image by image only if all in all it is.

    Args:
        state: codes, their losses `[batch, height, width]`, and `offers` of them.
        mask: bool, see `rounds`.
        weight: float32 `[batch]`, units of loss that a unit of cost is worth.
        loss_map: see `coordinate_search`.
        offers: codes -> see `charged`.
    """
    codes, losses, own, offered, theirs = state
    price = weight[:, None, None]

    def one_candidate(number: Any, best: Any) -> Any:
        tried = ops.where(mask, ops.take(offered, number, axis=-1), best[0])
        cost = ops.where(mask, ops.take(theirs, number, axis=-1), own)
        return _the_better(best, (tried, loss_map(tried) + price * by_place(cost)), mask)

    start = (codes, losses + price * by_place(own))
    found, _ = ops.fori_loop(0, offered.shape[-1], one_candidate, start)
    return _whole_gain(state, (found, loss_map(found), *offers(found)), weight)


def charged(codes: Any, offered: Any, costs: Any | None) -> Offers:
    """What each code costs in its place `codes.shape`; the codes offered for it `[*codes.shape, count]`; their costs.

    costs: of each of the K codes at each place, `[*codes.shape, K]`; None: nothing.
    """
    if costs is None:
        return ops.zeros_like(codes, "float32"), offered, ops.zeros_like(offered, "float32")
    own = ops.take_along_axis(costs, codes[..., None], axis=-1)[..., 0]
    return own, offered, ops.take_along_axis(costs, offered, axis=-1)


def mask_of(masks: np.ndarray, step: Any) -> Any:
    """The mask of a step, its number counted on from sweep to sweep."""
    return ops.take(ops.convert_to_tensor(masks), step % len(masks), axis=0)


def by_place(charges: Any) -> Any:
    """Of all codebooks of a place: `[batch, height, width]`."""
    return charges if len(charges.shape) == 3 else ops.sum(charges, axis=-1)


def rounds(shape: tuple[int, ...]) -> np.ndarray:
    """bool `[rounds, *shape]`: which codes are tried together; each code in one round, no two of a round close by."""
    height, width, *books = shape
    rows, columns = np.arange(height)[:, None] % APART, np.arange(width) % APART
    places = [(rows == i) & (columns == j) for i in range(min(APART, height)) for j in range(min(APART, width))]
    if not books:
        return np.stack(places)
    return np.stack([place[..., None] & (np.arange(books[0]) == b) for place in places for b in range(books[0])])


def _the_better(old: Any, new: Any, mask: Any) -> Any:
    """Place by place, whichever has less loss around it; the map of losses is put together from both, nearly right."""
    (codes, losses), (tried, tried_losses) = old, new
    less = _around(tried_losses) < _around(losses)
    places = mask if len(mask.shape) == 2 else ops.any(mask, axis=-1)
    taken = less & places
    reached = ops.max_pool(ops.cast(taken, "float32")[..., None], _AROUND, 1, "same")[..., 0] > 0.0
    taken = taken if len(mask.shape) == 2 else taken[..., None]
    return ops.where(taken & mask, tried, codes), ops.where(reached, tried_losses, losses)


def _around(losses: Any) -> Any:
    return ops.average_pool(losses[..., None], _AROUND, 1, "same")[..., 0]


def _whole_gain(old: State, new: State, weight: Any) -> State:
    """Image by image, whichever has less loss, costs included."""
    less = _whole(new, weight) < _whole(old, weight)

    def chosen(new: Any, old: Any) -> Any:
        return ops.where(ops.reshape(less, (-1, *[1] * (len(new.shape) - 1))), new, old)

    return tuple(chosen(*pair) for pair in zip(new, old, strict=True))


def _whole(state: State, weight: Any) -> Any:
    return total(state[1]) + weight * total(state[2])


def total(parts: Any) -> Any:
    """Of a whole image, `[batch]`."""
    return ops.sum(parts, axis=tuple(range(1, len(parts.shape))))
