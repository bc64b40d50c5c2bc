"""How close decoded images are to the originals, over a whole split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError

SSIM_WINDOW = 11
"""Side of SSIM's Gaussian window in pixels (Wang et al. 2004); smaller images get a window of their own size."""


@dataclass(frozen=True)
class ReconstructionScores:
    """What `ReconstructionMetrics` measured; squared errors are on the scale x / 255."""

    num_examples: int
    mse: float
    normalized_mse: float
    psnr: float
    """Decibels; infinite where the reconstruction is perfect."""
    ssim: float


class ReconstructionMetrics:
    """Streaming normalised MSE, PSNR and SSIM of images as they are served: rounded and clipped to 0..255.

    Equation: normalised MSE = MSE / variance of the data; PSNR = -10 log10(MSE), from the MSE of the whole split and
    not a mean of decibels; SSIM = the mean over images of `tf.image.ssim`. MSE is on the scale x / 255.
    Squared errors are summed as integers, so the result does not depend on how the split was cut into batches.

    Args:
        data_variance: variance of x / 255 over the training images and channels (CIFAR-10: 0.0633).
    """

    def __init__(self, data_variance: float) -> None:
        if not data_variance > 0.0:
            raise UserError(
                f"The variance of the data is {data_variance:g}, but normalised MSE divides by it; "
                "use a split with at least two different pixels."
            )
        self._variance = float(data_variance)
        self._squares = self._values = self._examples = 0
        self._ssim = 0.0

    def update(self, x: Any, reconstruction: Any) -> None:
        """Adds a batch: `x` and `reconstruction` are `[batch, height, width, channels]` in 0..255."""
        x, y = as_served(x), as_served(reconstruction)
        if x.shape != y.shape:
            raise ValueError(f"ReconstructionMetrics: x is {x.shape} and its reconstruction {y.shape}; expected equal.")
        self._squares += int(np.sum(np.square(x.astype(np.int64) - y.astype(np.int64))))
        self._values += x.size
        self._examples += len(x)
        window = min(SSIM_WINDOW, *x.shape[1:3])
        self._ssim += float(np.sum(tf.image.ssim(x, y, max_val=255, filter_size=window).numpy(), dtype=np.float64))

    def result(self) -> ReconstructionScores:
        """The scores of everything added so far."""
        if not self._examples:
            raise UserError("No image came to be evaluated; choose a split that is not empty.")
        mse = self._squares / self._values / 255.0**2
        return ReconstructionScores(
            num_examples=self._examples,
            mse=mse,
            normalized_mse=mse / self._variance,
            psnr=-10.0 * math.log10(mse) if mse else math.inf,
            ssim=self._ssim / self._examples,
        )


def as_served(x: Any) -> np.ndarray:
    """Images rounded and clipped to uint8, as an export returns them."""
    return np.clip(np.rint(np.asarray(x)), 0, 255).astype(np.uint8)


def reconstruction_scores(
    reconstruct: Callable[[Mapping[str, Any]], Any], batches: Iterable[Mapping[str, Any]], data_variance: float
) -> ReconstructionScores:
    """Scores of a whole split.

    Args:
        reconstruct: batch -> images in 0..255 of the shape of `batch["x"]`; compile it first, it is called as it is.
        batches: dictionaries with "x" `[batch, height, width, channels]` in 0..255, every example once.
        data_variance: as in `ReconstructionMetrics`.
    """
    metrics = ReconstructionMetrics(data_variance)
    for batch in batches:
        metrics.update(batch["x"], reconstruct(batch))
    return metrics.result()


def data_variance(batches: Iterable[Mapping[str, Any]]) -> float:
    """Variance of x / 255 over every pixel and channel of a split of uint8 images, exact up to the last division.

    Equation: (sum x^2 / n - (sum x / n)^2) / 255^2, with integer sums.
    """
    count = total = squares = 0
    for batch in batches:
        x = np.asarray(batch["x"]).astype(np.int64)
        count, total, squares = count + x.size, total + int(x.sum()), squares + int(np.sum(x * x))
    if not count:
        raise UserError("No image came to measure the variance of the data; choose a split that is not empty.")
    variance = (squares * count - total**2) / count**2 / 255.0**2
    if not variance:
        raise UserError("All pictures are of one and the same colour, so there is nothing to learn; give others.")
    return variance
