"""Coefficients of a square over its own contrast, which codes of their own tell."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

LEVELS = (-0.21, -1.7, -2.88)
"""What the log contrast of each band is taken from, pixels on a scale of -1/2 to 1/2: somewhat above its mean over
CIFAR-10, so that z is on the scale of pixels. Anything near will do: encoder and decoder share it."""
FLOOR = 0.016
"""On that scale: contrast below four grey levels is not told apart."""
CUT = 1.3
"""Squared frequency, in half waves on four pixels, between low and high."""
MEANS = 2.2
"""What the coefficients without a contrast are multiplied by. In smooth places, which a contrast makes the waves exact
for, they have to be so too: 0.06 bits/dim less after 500 steps than with 1."""
MOST = 6.0
"""Log contrast that is not believed, e.g. of codes that nothing was coded to."""


class ContrastCoding(NamedTuple):
    """Which coefficients of z share a contrast, and where in z it lies.

    Equation: c_b^2 = mean of y_i^2 over band b, + FLOOR^2; z_i = y_i / c_b(i), and at the slot of band b log c_b;
    contrasts are over their usual level. Without a band z_i = MEANS y_i. The inverse takes log c_b from the slot: so it
    is coded, as all of z.

    Coefficients of natural images share their size: where one is large, its neighbours are (a Gaussian scale mixture:
    Wainwright & Simoncelli 2000). Over their contrast they are nearly alike everywhere, so one codebook serves smooth
    places and rough ones, and each has the precision that it needs.
    """

    bands: tuple[int, ...]
    """For each coefficient, the first of z: its band, or -1 if it has none."""
    slots: tuple[int, ...]
    """For each band, the place in z of its log contrast, behind the coefficients."""

    def divide(self, z: Any) -> Any:
        """`[..., dim]` of coefficients, with anything at the slots -> z over its contrast; float32."""
        z = ops.cast(z, "float32")
        count, bands = len(self.bands), self._matrix()
        mean = ops.matmul(ops.square(z[..., :count]), (bands / np.maximum(bands.sum(1, keepdims=True), 1.0)).T)
        log = 0.5 * ops.log(mean + FLOOR**2) - np.array(LEVELS, np.float32)
        over = z[..., :count] * ops.exp(-ops.matmul(log, bands)) * self._means()
        return ops.concatenate([over, z[..., count:] + ops.matmul(log, self._places(z.shape[-1]))], axis=-1)

    def multiply(self, z: Any) -> Any:
        """The inverse: z over its contrast -> the coefficients; the slots stay as they are. float32."""
        z = ops.cast(z, "float32")
        count = len(self.bands)
        log = ops.clip(ops.matmul(z[..., count:], self._places(z.shape[-1]).T), -MOST, MOST)
        over = z[..., :count] / self._means()
        return ops.concatenate([over * ops.exp(ops.matmul(log, self._matrix())), z[..., count:]], axis=-1)

    def _matrix(self) -> np.ndarray:
        """`[bands, coefficients]`: 1 where a coefficient is of a band."""
        return (np.arange(len(self.slots))[:, None] == np.array(self.bands)).astype(np.float32)

    def _means(self) -> np.ndarray:
        """`[coefficients]`: MEANS where a coefficient has no band, else 1."""
        return np.where(np.array(self.bands) < 0, MEANS, 1.0).astype(np.float32)

    def _places(self, dim: int) -> np.ndarray:
        """`[bands, dim - coefficients]`: 1 at the slot of a band."""
        return (np.array(self.slots)[:, None] == np.arange(len(self.bands), dim)).astype(np.float32)


def contrast_coding(frequency: np.ndarray, colour: np.ndarray, dim: int, slice_size: int) -> ContrastCoding:
    """Low and high frequencies of brightness, and all of colour; the means have none.

    Args:
        frequency: of each coefficient, in half waves on four pixels, squared.
        colour: of each coefficient: 0 for brightness.
        dim: of z: slices without coefficients lie at its end, one a band.
        slice_size: dimensions that share a code: each contrast has a code of its own.
    """
    wave, bright = frequency > 0, colour == 0
    bands = np.select([~wave, bright & (frequency < CUT), bright], [-1, 0, 1], 2)
    return ContrastCoding(
        tuple(bands.tolist()), tuple(dim - slice_size * (len(LEVELS) - b) for b in range(len(LEVELS)))
    )
