"""One coding that stands for many: near to what they have in common, and as sharp as each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from vq_vae_tf.search import coordinate_search

CANDIDATES = 6
"""Codes that are tried at each place."""
SHARPENING = 0.5
"""What gradient energy is worth: chosen on validation walks of ViZDoom (RESULTS.md)."""


def consensus(
    codings: Any,
    decode: Callable[[Any], Any],
    wanted: Any,
    sharpening: float = SHARPENING,
    candidates: int = CANDIDATES,
) -> Any:
    """Of draws of a picture that is not known, one coding whose own picture is near to all of theirs, and no blur.

    Equation: argmin_k mean_s |D(k) - D(k_s)|^2 - sharpening sum_p min(e_p(D(k)), w_p), each k_p one of the codes that
    the k_s have at place p, e_p the gradient energy around p. The mean of the D(k_s) is a blur, and no coding's
    picture; the second term rewards energy up to w_p, that of the D(k_s) in the mean, where each has its edges
    elsewhere, scaled so that the whole picture has what is `wanted`. By `coordinate_search`, from the codes that fit
    best by themselves. Minimum Bayes risk decoding (Kumar & Byrne 2004), of a loss that does not love blurs.

    Args:
        codings: int32 `[count, batch, h, w]`, draws of each picture; of one draw it is that one.
        decode: codes -> pictures 0..255, `[batch, height, width, channels]`, each place of the codes a square of them.
        wanted: float `[batch]`, the `gradient_energies` of pictures that are as sharp as these should be.
        sharpening: of gradient energy against squared error; 0: the nearest to the mean.
        candidates: codes tried at each place, those that fit best by themselves.

    Returns:
        int32 `[batch, h, w]`.
    """
    pictures = ops.map(lambda codes: decode(codes) / 255.0, codings)
    side = pictures.shape[2] // codings.shape[2]
    mean = ops.mean(pictures, axis=0)
    energies = ops.mean(ops.map(lambda u: _energies(u, side), pictures), axis=0)
    scale = wanted / ops.maximum(ops.mean(energies, axis=(1, 2)), 1e-12)
    most = energies * scale[:, None, None]

    def loss_map(u: Any) -> Any:
        error = _by_place(ops.mean(ops.square(u - mean), axis=-1), side)
        return error - sharpening * ops.minimum(_energies(u, side), most)

    ranked = ops.argsort(ops.map(loss_map, pictures), axis=0)[:candidates]
    tried = ops.take_along_axis(codings, ranked, axis=0)
    return coordinate_search(tried[0], tried, lambda codes: loss_map(decode(codes) / 255.0))


def gradient_energies(pictures: Any) -> Any:
    """Mean of (dI/dx)^2 + (dI/dy)^2 of each of some pictures 0..255, on the scale 0..1: float32 `[batch]`."""
    return ops.mean(_squared_gradient(ops.cast(pictures, "float32") / 255.0), axis=(1, 2))


def _squared_gradient(u: Any) -> Any:
    """(dI/dx)^2 + (dI/dy)^2, mean over channels, `[batch, height, width]`; nothing changes beyond the border."""
    across, down = u[:, :, 1:] - u[:, :, :-1], u[:, 1:] - u[:, :-1]
    across, down = (ops.mean(ops.square(d), axis=-1) for d in (across, down))
    return ops.pad(across, [(0, 0), (0, 0), (0, 1)]) + ops.pad(down, [(0, 0), (0, 1), (0, 0)])


def _energies(u: Any, side: int) -> Any:
    """Mean squared gradient of the three by three places round each one: `[batch, h, w]`."""
    return ops.average_pool(_by_place(_squared_gradient(u), side)[..., None], 3, 1, "same")[..., 0]


def _by_place(pixels: Any, side: int) -> Any:
    return ops.average_pool(pixels[..., None], side, side)[..., 0]
