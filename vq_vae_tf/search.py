"""A better coding than the encoder's: try nearby codes, and keep what the decoder makes the most of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

APART = 4
"""Places so far apart on the grid are tried at once, each judged by the places around it."""
_AROUND = 5


def coordinate_search(codes: Any, candidates: Any, loss_map: Callable[[Any], Any], sweeps: int = 1) -> Any:
    """The coding that coordinate descent on the decoder's own loss reaches from `codes`.

    Equation: for every code k_p in turn, k_p <- argmin over its candidates of -log p(x | k), all other codes kept.
    Any coding gives a bound on log p(x) (paper, section 3.1), and under a uniform prior each costs the same: the one
    with the least distortion gives the best. Known as analysis by synthesis in speech coding (Schroeder & Atal 1985,
    code-excited linear prediction).

    Places `APART` apart on the grid are tried in one decoding and judged by the loss of the 5x5 places around each; at
    the end of such a round an image whose whole loss has grown keeps its old codes, so the loss never grows.
    A sweep takes 16 len(candidates) decodings for each code at a place.

    Args:
        codes: int32 `[batch, height, width]` or `[batch, height, width, num_codebooks]`, where to start.
        candidates: int32 `[count, *codes.shape]`.
        loss_map: codes -> loss of each place, float32 `[batch, height, width]`.
        sweeps: times that every place is tried.

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
    count, masks = candidates.shape[0], _rounds(shape[1:])

    def one_round(step: Any, state: Any) -> Any:
        codes, losses = state
        mask = ops.take(ops.convert_to_tensor(masks), step % len(masks), axis=0)

        def one_candidate(number: Any, state: Any) -> Any:
            tried = ops.where(mask, ops.take(candidates, number, axis=0), state[0])
            return _the_better(state, (tried, loss_map(tried)), mask)

        found, _ = ops.fori_loop(0, count, one_candidate, (codes, losses))
        return _whole_gain((codes, losses), (found, loss_map(found)))

    return ops.fori_loop(0, sweeps * len(masks), one_round, (codes, loss_map(codes)))[0]


def _rounds(shape: tuple[int, ...]) -> np.ndarray:
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


def _whole_gain(old: Any, new: Any) -> Any:
    """Image by image, whichever has less loss."""
    (codes, losses), (found, found_losses) = old, new
    less = ops.sum(found_losses, axis=(1, 2)) < ops.sum(losses, axis=(1, 2))
    chosen = ops.reshape(less, (-1, *[1] * (len(codes.shape) - 1)))
    return ops.where(chosen, found, codes), ops.where(less[:, None, None], found_losses, losses)
