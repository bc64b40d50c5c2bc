"""Video files as frames: animated pictures by Pillow, films by PyAV where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageSequence

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.decode import to_square

_ANIMATED = (".gif", ".webp", ".apng")
_FILMS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
SUFFIXES = (*_ANIMATED, *_FILMS)
"""Endings of the files that `read_film` reads, in lower case."""


def read_film(path: Path, image_size: int = 0) -> np.ndarray:
    """Every frame of a video file, uint8 `[time, height, width, 3]`.

    image_size: frames are cut to a centred square and resized to it; 0 keeps them as they are.

    Raises: UserError for a file that cannot be read or has no frames, or a film without PyAV.
    """
    read = _animated if path.suffix.lower() in _ANIMATED else _film
    try:
        frames = [to_square(tf.constant(frame), image_size).numpy() for frame in read(path)]
    except UserError:
        raise
    except (OSError, ValueError, EOFError, SyntaxError, IndexError) as error:  # damaged files; no video stream
        raise UserError(f"{path} is no readable video ({error}); write it again, or leave it out.") from None
    if not frames:
        raise UserError(f"{path} is no readable video (no frames); write it again, or leave it out.")
    return np.stack(frames)


def _animated(path: Path) -> Iterator[np.ndarray]:
    with Image.open(path) as picture:
        for frame in ImageSequence.Iterator(picture):
            yield np.asarray(frame.convert("RGB"))


def _film(path: Path) -> Iterator[np.ndarray]:
    try:
        import av
    except ImportError:
        raise UserError(
            f"{path}: films are read with PyAV, which is missing: pip install vq_vae_tf[video]; GIF and WebP need none."
        ) from None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")
