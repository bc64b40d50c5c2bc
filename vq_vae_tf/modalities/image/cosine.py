"""A folded encoder and decoder that start as a cosine transform and its inverse, not from chance."""

from __future__ import annotations

from typing import Any

import numpy as np

from vq_vae_tf.modalities.image.contrast import LEVELS, ContrastCoding, contrast_coding
from vq_vae_tf.ops.cosine import cosine_transform

FALL, COLOUR, NEXT_COLOUR = 1.74, 3.2, 1.1
"""log variance of a coefficient falls by FALL log(1 + 4 |frequency|^2), frequency in half waves on four pixels, and for
colour: fitted to CIFAR-10's training images (correlation 0.98 for squares of 2, 4 and 8 pixels). All that hangs on it
is which coefficients share a code at the start."""


def cosine_kernel(side: int, channels: int, dim: int, groups: int, code_bits: float = 9.0) -> np.ndarray:
    """Orthonormal columns float32 `[side * side * channels, dim]` that take a folded square to its cosine transform.

    Equation: the product of three discrete cosine transforms, over rows, columns and channels; over red, green and blue
    that is brightness, red against blue, and green against both. Columns lie in `groups` runs of `dim / groups`, the
    slices of a product quantizer; coefficients go, the strongest first, to the run with the least expected information
    and a free place. A coefficient is expected to take max(0, log2(variance / level) / 2) bits, at the level where all
    of them together take the groups * code_bits that there are (reverse water-filling, Cover & Thomas, 10.3). Columns
    without a coefficient are zero; coefficients without a column are left out, the weakest.
    """
    rows, colours = cosine_transform(side), cosine_transform(channels)
    basis = np.einsum("ai,bj,ck->ijkabc", rows, rows, colours).reshape(side * side * channels, -1)
    columns = _columns(side, channels, dim, groups, code_bits)
    return np.where(columns >= 0, basis[:, columns], 0.0).astype(np.float32)


def contrast_bands(side: int, channels: int, dim: int, groups: int, code_bits: float = 9.0) -> ContrastCoding:
    """Which of `cosine_kernel`'s columns share a contrast, where the last three of the groups are kept for contrasts.

    Raises:
        ValueError: too few groups, or a coefficient without a column.
    """
    size, bands = dim // groups, len(LEVELS)
    free = dim - size * bands
    if free < side * side * channels:
        raise ValueError(
            f"{groups} codes of {size} dimensions hold {free} coefficients beside {bands} contrasts; expected "
            f"{side * side * channels}, as many as a square of {side}x{side} pixels has."
        )
    columns = _columns(side, channels, free, groups - bands, code_bits)
    frequency, colour = _frequencies(side, channels)
    known = np.where(columns >= 0, frequency.ravel()[columns], 0.0)
    return contrast_coding(known, colour.ravel()[columns], dim, size)


def _frequencies(side: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared frequency, in half waves on four pixels, and colour of each coefficient, `[side, side, channels]`."""
    squared = np.arange(side) ** 2
    frequency = np.add.outer(squared, squared) * (4.0 / side) ** 2
    colour = np.broadcast_to(np.arange(channels), (side, side, channels))
    return np.repeat(frequency[..., None], channels, axis=-1), colour


def _columns(side: int, channels: int, dim: int, groups: int, code_bits: float) -> np.ndarray:
    """For each column the coefficient that it holds, or -1."""
    frequency, colour = _frequencies(side, channels)
    loss = (FALL * np.log1p(4.0 * frequency) + np.where(colour > 0, COLOUR + NEXT_COLOUR * (colour - 1), 0.0)).ravel()
    information = _information(loss, groups * code_bits)
    columns, filled, load = np.full(dim, -1), np.zeros(groups, int), np.zeros(groups)
    size = dim // groups
    for coefficient in np.argsort(loss, kind="stable")[: size * groups]:
        group = min((g for g in range(groups) if filled[g] < size), key=lambda g: (load[g], g))
        columns[group * size + filled[group]] = coefficient
        filled[group] += 1
        load[group] += information[coefficient]
    return columns


def _information(loss: np.ndarray, bits: float) -> np.ndarray:
    """Bits of each coefficient, `bits` in all: reverse water-filling, from how far log variances fall."""
    nats, ordered = 2.0 * np.log(2.0) * bits, np.sort(loss)
    depths = (nats + np.cumsum(ordered)) / np.arange(1, len(loss) + 1)  # if so many coefficients took bits
    taking = np.flatnonzero(depths > ordered)[-1]
    return np.maximum(depths[taking] - loss, 0.0) / (2.0 * np.log(2.0))


def start_from_cosines(
    encoder: Any, decoder: Any, location: tuple[np.ndarray, np.ndarray], groups: int, code_bits: float
) -> None:
    """Sets a built folded encoder and decoder: z_e is the cosine transform of a square, p(x|z) lies about its inverse.

    What the networks add starts at zero. Much of training from chance goes into finding such a transform, and until it
    is found the codes say nothing.

    Args:
        encoder, decoder: an `ImageEncoder` and an `ImageDecoder`, `resampling="folded"`.
        location: of the likelihood, see `Likelihood.location`.
        groups: codes at a place.
        code_bits: log2 of the number of codes in a codebook.
    """
    matrix, bias = location
    side = 2**encoder.downsamplings
    kept = 0 if encoder.contrast is None else len(encoder.contrast.slots)  # groups for contrasts, behind the others
    free = encoder.embedding_dim // groups * kept
    kernel = cosine_kernel(side, len(matrix), encoder.embedding_dim - free, groups - kept, code_bits)
    kernel = np.pad(kernel, [(0, 0), (0, free)])
    encoder.across.kernel.assign(kernel[None, None])
    encoder.project.kernel.assign(np.zeros(encoder.project.kernel.shape, np.float32))
    (across,), (squares,) = decoder.across, decoder.squares
    pixels = kernel.T.reshape(encoder.embedding_dim, side * side, len(matrix)) @ matrix
    across.kernel.assign(pixels.reshape(1, 1, encoder.embedding_dim, -1).astype(np.float32))
    squares.kernel.assign(np.zeros(squares.kernel.shape, np.float32))
    squares.bias.assign(np.tile(bias, side * side).astype(np.float32))
