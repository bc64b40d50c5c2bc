"""Sequences longer than the window that a prior or a decoder was trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

Tensor = Any
WINDOW_SEED = 0x3C6EF373
"""From the seed of one window to that of the next."""


LONGEST = 600.0
"""Seconds of a sound that may be asked for at once."""


def added(codes: Tensor) -> Tensor:
    """What a window `[batch, window]` has behind the later half of the one before, with which it begins."""
    return codes[:, codes.shape[1] // 2 :]


def next_window(prior: Any, codes: Tensor, number: Any, seed: Any, *given: Any) -> Tensor:
    """Codes int32 `[batch, window]`: the later half of `codes`, and what the prior draws behind it.

    A sequence of any length is the first window and what each further one adds. Every code is so drawn given at least
    half a window of those before it; a longer sequence begins as the shorter one of the same seed.

    Args:
        prior: a `Prior` over codes `[window]`.
        codes: the window before, `[batch, window]`.
        number: which window this is, int or scalar int32 tensor; the first, which `prior.sample` draws, is 0.
        seed: that of the whole sequence.
        given: condition, temperature, top_k and top_p of `Prior.sample`.
    """
    later = codes[:, codes.shape[1] - codes.shape[1] // 2 :]
    return prior.sample(ops.shape(codes)[0], seed + number * WINDOW_SEED, *given, given=later)


def by_windows(decode: Callable[[Tensor, Tensor], Tensor], codes: Tensor, label: Tensor, window: int) -> Tensor:
    """Sounds `[batch, samples]` of codes `[batch, frames]`, of each window of them decoded by itself.

    What a decoder needs that is made for one length; nothing of a window is heard in the next.

    Args:
        decode: codes `[n, window]` and labels `[n]` -> `[n, samples of a window]`.
        codes: of any length.
        label: int `[batch]`.
        window: codes that `decode` takes.
    """
    batch, frames = ops.shape(codes)
    parts = (frames + window - 1) // window
    whole = ops.pad(codes, ((0, 0), (0, parts * window - frames)))
    made = decode(ops.reshape(whole, (batch * parts, window)), ops.repeat(label, parts, axis=0))
    samples = ops.shape(made)[1] // window
    return ops.reshape(made, (batch, parts * window * samples))[:, : frames * samples]
