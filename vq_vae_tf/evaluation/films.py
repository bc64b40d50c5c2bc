"""Films as files: animated pictures, and contact sheets with a row a film."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.grids import encode_png, image_grid, upscale
from vq_vae_tf.evaluation.reconstruction import as_served

FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}
"""Ending of a file -> format of the animation; PNG is lossless and plays in browsers."""
_WIDEST = {".gif": 65_535, ".webp": 16_383}
_GAP = 4


def film(frames: Any, ending: str = ".png", milliseconds: int = 115, factor: int = 1) -> bytes:
    """Frames `[time, height, width, 3]` in 0..255 as an animated picture that starts again at its end.

    milliseconds: between frames (4 tics of 1/35 s). factor: every pixel becomes a square of so many.
    """
    pictures = [Image.fromarray(upscale(frame, factor)) for frame in as_served(frames)]
    buffer = io.BytesIO()
    lossless = {"lossless": True} if ending == ".webp" else {}
    pictures[0].save(
        buffer,
        format=FORMATS[ending],
        save_all=True,
        append_images=pictures[1:],
        duration=milliseconds,
        loop=0,
        **lossless,
    )
    return buffer.getvalue()


def check_film(ending: str, films: int, width: int, factor: int) -> None:
    """Raises: UserError if so many films of this width, `side_by_side`, are wider than the format allows."""
    wide = factor * (films * (width + _GAP) - _GAP)
    if wide > (most := _WIDEST[ending]):
        raise UserError(
            f"{films} films of {width} pixels side by side are {wide} wide, and a {ending} holds {most}; give fewer "
            "--temperatures or --actions."
        )


def side_by_side(films: Sequence[Any]) -> np.ndarray:
    """Films `[time, height, width, 3]` of one size as one, uint8 `[time, height, width', 3]`, black between them."""
    shown = [as_served(each) for each in films]
    black = np.zeros((*shown[0].shape[:2], _GAP, 3), np.uint8)
    parts = [part for each in shown for part in (black, each)][1:]
    return np.concatenate(parts, axis=2)


def contact_sheet(films: Any, factor: int = 1) -> bytes:
    """Films `[n, time, height, width, 3]` as a PNG: a row a film, time to the right."""
    return encode_png(upscale(contact_grid(films), factor))


def contact_grid(films: Any) -> np.ndarray:
    """The same as uint8 RGBA `[height, width, 4]`."""
    films = as_served(films)
    return image_grid(films.reshape(-1, *films.shape[2:]), columns=films.shape[1])
