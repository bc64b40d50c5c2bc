"""Video files as frames: animated pictures by Pillow, films by PyAV where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
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
_ROUNDING = 0.1  # n frames take at least n times the shortest one's time, but for what is rounded


def read_film(path: Path, image_size: int = 0) -> np.ndarray:
    """Every frame of a video file, uint8 `[time, height, width, 3]`.

    A picture of a GIF or WebP that is shown n times as long as the shortest is n frames.

    image_size: frames are cut to a centred square and resized to it; 0 keeps them as they are.

    Raises: UserError for a file that cannot be read or has no frames, or a film without PyAV.
    """
    read = _animated if path.suffix.lower() in _ANIMATED else _film
    try:
        frames = [to_square(tf.constant(frame), image_size).numpy() for frame in read(path)]
        if not frames:
            raise ValueError("no frames")
        return np.stack(frames)
    except UserError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise UserError(f"{path} is no readable video ({error}); write it again, or leave it out.") from None


def _animated(path: Path) -> Iterator[np.ndarray]:
    """Each picture as often as it is shown: writers make one of equal ones that follow each other."""
    with Image.open(path) as film:
        if film.format == "GIF" and not path.read_bytes().rstrip(b"\0").endswith(b";"):
            raise ValueError("it is cut short")
        pictures, times = [], []
        for frame in ImageSequence.Iterator(film):
            pictures.append(np.asarray(frame.convert("RGB")))
            times.append(frame.info.get("duration") or 0.0)  # of WebP not known before it is decoded
    shortest = min(filter(None, times), default=1.0)
    for picture, time in zip(pictures, times, strict=True):
        yield from repeat(picture, max(int(time / shortest + _ROUNDING), 1))


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
