"""Many small images as one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from vq_vae_tf.evaluation.reconstruction import as_served


def image_grid(images: Any, columns: int, gap: int = 2) -> np.ndarray:
    """Lays `images` out row by row; what is between them is transparent.

    Args:
        images: `[n, height, width, channels]` in 0..255, of 1 (grey) or 3 channels.
        columns: images in a row; the last row may be shorter.
        gap: pixels between neighbours.

    Returns:
        uint8 RGBA `[rows * (height + gap) - gap, columns * (width + gap) - gap, 4]`.
    """
    images = _rgba(images)
    n, height, width, _ = images.shape
    columns = max(1, min(columns, n))
    rows = -(-n // columns)
    grid = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid


def beside_grid(versions: Sequence[Any], columns: int, gap: int = 2) -> np.ndarray:
    """Each image with its other versions touching its right side; such rows are laid out as by `image_grid`.

    Every version is `[n, height, width, channels]` in 0..255; `columns` counts rows of versions. Returns uint8 RGBA.
    """
    return image_grid(np.concatenate([as_served(images) for images in versions], axis=2), columns, gap)


def upscale(picture: np.ndarray, factor: int) -> np.ndarray:
    """Every pixel of `[height, width, channels]` becomes a square of `factor` pixels."""
    return np.repeat(np.repeat(picture, factor, axis=0), factor, axis=1)


def encode_png(picture: np.ndarray) -> bytes:
    """A uint8 picture `[height, width, 3 or 4]` as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def grid_png(images: Sequence[Any] | np.ndarray, columns: int, factor: int = 1, gap: int = 2) -> bytes:
    """`image_grid`, upscaled by an integer and encoded."""
    return encode_png(upscale(image_grid(images, columns, gap), factor))


def _rgba(images: Any) -> np.ndarray:
    images = as_served(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise ValueError(f"image_grid: images are {images.shape}; expected [n > 0, height, width, 1 or 3].")
    colour = np.broadcast_to(images, (*images.shape[:-1], 3))
    return np.concatenate([colour, np.full((*images.shape[:-1], 1), 255, np.uint8)], axis=-1)
