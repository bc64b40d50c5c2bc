"""One coding that stands for many: near to what they have in common, and as sharp as each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from vq_vae_tf.ops.contrast import gradient_energies, squared_steps
from vq_vae_tf.search import coordinate_search

CANDIDATES = 6
"""Codes that are tried at each place."""
SHARPENING = 0.5
"""What gradient energy is worth: chosen on validation walks of ViZDoom (RESULTS.md)."""
TRUST = 0.7
"""Weight of an expected picture against the mean of those drawn: chosen there too."""
SHARPENING_EXPECTED = (0.3, 0.6)
"""The same where a picture is expected, of the next frame and of those after it: chosen there too."""
MASK = 2.0
"""Weight of the unsharp mask of such a picture."""


def consensus(
    codings: Any,
    decode: Callable[[Any], Any],
    wanted: Any,
    sharpening: float = SHARPENING,
    candidates: int = CANDIDATES,
    expected: Any | None = None,
    nearby: Callable[[Any], Any] | None = None,
) -> Any:
    """Of draws of a picture that is not known, one coding whose own picture is near to all of theirs, and no blur.

    Equation: argmin_k mean_s |D(k) - D(k_s)|^2 - sharpening sum_p min(e_p(D(k)), w_p), each k_p one of the codes that
    the k_s have at place p, e_p the gradient energy around p. The mean of the D(k_s) is a blur, and no coding's
    picture; the second term rewards energy up to w_p, that of the D(k_s) in the mean, where each has its edges
    elsewhere, scaled so that the whole picture has what is `wanted`. By `coordinate_search`, from the codes that fit
    best by themselves. Minimum Bayes risk decoding (Kumar & Byrne 2004), of a loss that does not love blurs. With an
    `expected` picture, another guess at the mean, both are aimed at: |D(k) - m|^2 in place of the first term, where
    m = (1 - TRUST) mean_s D(k_s) + TRUST expected, sharpened by an unsharp mask, m + MASK (m - the mean of m around).
    What is expected may be what no draw has: codes that are `nearby` m are tried as well.

    Args:
        codings: int32 `[count, batch, h, w]`, draws of each picture; of one draw it is that one.
        decode: codes -> pictures 0..255, `[batch, height, width, channels]`, each place of the codes a square of them.
        wanted: float `[batch]`, the `gradient_energies` of pictures that are as sharp as these should be.
        sharpening: of gradient energy against squared error; 0: the nearest to the mean.
        candidates: codes tried at each place, those of the draws that fit best by themselves.
        expected: `[batch, height, width, channels]`, 0..255; None: nothing else is known.
        nearby: pictures -> codes that are tried besides, int32 `[count, batch, h, w]`, the nearest first; the search
            starts from those. None: none.

    Returns:
        int32 `[batch, h, w]`.
    """
    pictures = ops.map(decode, codings)
    side = pictures.shape[2] // codings.shape[2]
    mean = ops.mean(pictures, axis=0)
    if expected is not None:
        mean = _sharpened((1.0 - TRUST) * mean + TRUST * expected)
    usual = ops.mean(ops.map(gradient_energies, pictures), axis=0)
    energies = ops.mean(ops.map(lambda u: _energies(u, side), pictures), axis=0)
    most = energies * (wanted / ops.maximum(usual, 1e-12))[:, None, None]

    def loss_map(u: Any) -> Any:  # of squared grey levels, both terms
        error = _by_place(ops.mean(ops.square(u - mean), axis=-1), side)
        return error - sharpening * ops.minimum(_energies(u, side), most)

    ranked = ops.argsort(ops.map(loss_map, pictures), axis=0)[:candidates]
    tried = ops.take_along_axis(codings, ranked, axis=0)
    if nearby is not None:
        tried = ops.concatenate([ops.cast(nearby(mean), tried.dtype), tried])
    return coordinate_search(tried[0], tried, lambda codes: loss_map(decode(codes)))


def _sharpened(u: Any) -> Any:
    """By an unsharp mask of the pixels around, twice three by three; in 0..255."""
    around = u
    for _ in range(2):
        around = ops.average_pool(around, 3, 1, "same", data_format="channels_last")
    return ops.clip(u + MASK * (u - around), 0.0, 255.0)


def _energies(u: Any, side: int) -> Any:
    """Mean squared gradient of the three by three places round each one: `[batch, h, w]`."""
    across, down = squared_steps(u)  # nothing changes beyond the border
    steps = ops.pad(across, [(0, 0), (0, 0), (0, 1)]) + ops.pad(down, [(0, 0), (0, 1), (0, 0)])
    return ops.average_pool(_by_place(steps, side)[..., None], 3, 1, "same")[..., 0]


def _by_place(pixels: Any, side: int) -> Any:
    return ops.average_pool(pixels[..., None], side, side)[..., 0]
