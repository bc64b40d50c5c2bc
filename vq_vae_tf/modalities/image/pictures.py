"""Picture files read and checked: in memory when they fit, decoded on the fly when not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vq_vae_tf.batches import ArrayStore, Batch, ReadingStore, Store
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import check_name
from vq_vae_tf.modalities.image import source
from vq_vae_tf.modalities.image.decode import decode_rgb, to_square
from vq_vae_tf.progress import shown

_TOGETHER = 64
"""Pictures of one size that come from TensorFlow in one go: it takes longer to ask for one than to decode it."""


@dataclass(frozen=True)
class Pictures:
    """Readable files of one shape; `pixels` uint8 `[number, height, width, 3]`, or None when they are too many."""

    paths: Sequence[str]
    readable: np.ndarray
    shape: tuple[int, int, int]
    pixels: np.ndarray | None
    image_size: int

    def store(self, rows: slice, labels: np.ndarray | None) -> Store:
        """The given rows of the readable files, with their labels int32 `[rows]`."""
        named = {} if labels is None else {"label": labels}
        if self.pixels is not None:
            return ArrayStore.of({"x": self.pixels[rows]} | named)
        paths = tf.constant([path for path, good in zip(self.paths, self.readable, strict=True) if good][rows])

        def read(row: tf.Tensor) -> Batch:
            image = tf.ensure_shape(_read(tf.gather(paths, row), self.image_size), self.shape)
            return {"x": image} | {name: tf.gather(values, row) for name, values in named.items()}

        return ReadingStore(read, len(paths))


def read_pictures(paths: Sequence[str], image_size: int) -> Pictures:
    """Decodes every file once, and shows how far that is.

    Raises: UserError when none is readable, or their sizes differ and image_size is 0.
    """
    decoded = tf.data.Dataset.from_tensor_slices(list(paths)).enumerate()
    decoded = decoded.map(lambda row, path: (row, _read(path, image_size)), tf.data.AUTOTUNE).ignore_errors()
    together = decoded.batch(_TOGETHER if image_size else 1).as_numpy_iterator()
    readable = np.zeros(len(paths), bool)
    sizes: Counter[tuple[int, ...]] = Counter()
    pixels: np.ndarray | None = None
    each = (one for rows, images in together for one in zip(rows, images, strict=True))
    for row, image in shown(each, "read", len(paths)):
        if not sizes and len(paths) * image.nbytes <= source.IN_MEMORY_BYTES:
            pixels = np.empty((len(paths), *image.shape), np.uint8)
        sizes[image.shape] += 1
        readable[row] = True
        if pixels is not None and len(sizes) == 1:
            pixels[row] = image
    shape = _one_size(sizes)
    if pixels is not None and not readable.all():
        pixels = pixels[readable]
    return Pictures(paths, readable, shape, pixels, image_size)


def read_picture(path: str | os.PathLike[str], shape: tuple[int, int, int], flag: str) -> np.ndarray:
    """One file, cut to its centred square and resized as in training: uint8 of `shape`.

    Raises: UserError naming `flag` when it is no readable picture, or images of that shape are no squares.
    """
    check_name(path)
    try:
        decoded = decode_rgb(tf.io.read_file(str(path)))
    except tf.errors.OpError as error:
        raise UserError(
            f"{flag}={path} is not a readable picture ({type(error).__name__}); give PNG or JPEG files."
        ) from error
    image = to_square(decoded, shape[0]).numpy()
    if image.shape[-1] != shape[-1]:
        raise UserError(f"{flag}={path} is read in colour, but the run's images are grey; this needs a run of colours.")
    if image.shape != shape:
        raise UserError(f"{flag}={path} can be made a square only; the run's images are {shape[0]}x{shape[1]}.")
    return image


def _read(path: tf.Tensor, image_size: int) -> tf.Tensor:
    return to_square(decode_rgb(tf.io.read_file(path)), image_size)


def _one_size(sizes: Counter[tuple[int, ...]]) -> tuple[int, int, int]:
    if not sizes:
        raise UserError("none of the files is a readable picture, expected JPEG, PNG, GIF or BMP.")
    if len(sizes) > 1:
        commonest = ", ".join(f"{w}x{h} ({count})" for (h, w, _), count in sizes.most_common(3))
        raise UserError(f"the pictures have {len(sizes)} sizes, such as {commonest}; expected one: give --image_size.")
    ((height, width, channels),) = sizes
    return height, width, channels
