"""Past frames moved to where actions take them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.image.fold import fold, unfold

Tensor = Any
_START_WIDTH = 2.0  # sites of the codes; wide enough at the start to feel where a turn has gone, narrowed by learning


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Motion(keras.layers.Layer):
    """Past frames moved to where actions take them: motion compensation, learned, in the space of codes.

    Equation: y[u, v] = sum_{i, j} A[u, i] B[v, j] x[i, j], each row of A a softmax over i of -(i - u - d_u)^2 / 2 s^2,
    likewise B over j; displacements d (sites, one for each target row and column) and widths s are affine in what is
    known of the actions. It asks nothing of what moves: a picture that slides is in reach, however far it goes, and is
    learned once for all places. Where a camera turns or walks, rows move by what column and depth they are at: that is
    left to `Parallax`, or to the convolutions behind.

    Maps `[batch, frames, h, w, c]` and known `[batch, features]` -> `[batch, h, w, frames * heads * c]`.

    Args:
        grid: (h, w).
        frames: past frames, each with displacements of its own.
        heads: how many ways each frame is moved, side by side.
        side: a vector of the maps is a square of side x side places with c / side^2 channels each, as `fold` lays them
            out, and these places are what moves: 1 for whole sites, the encoder's factor for about a pixel.
    """

    def __init__(self, grid: tuple[int, int], frames: int, heads: int, side: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grid, self.frames, self.heads, self.side = (int(grid[0]), int(grid[1])), frames, heads, side
        # float32: places in a row are told apart to a fraction of a site.
        self.guess = keras.layers.Dense(frames * heads * (side * sum(self.grid) + 2), name="guess", dtype="float32")

    def build(self, maps_shape: Any, known_shape: Any) -> None:
        """Creates the guess of the displacements."""
        self.guess.build(tuple(known_shape))
        self.built = True

    def call(self, maps: Tensor, known: Tensor) -> Tensor:
        """The moved maps."""
        height, width = (self.side * size for size in self.grid)
        guess = ops.reshape(self.guess(known), (-1, self.frames, self.heads, height + width + 2))
        down, right, narrow = ops.split(guess, [height, height + width], axis=-1)
        rows = ops.cast(_soft_shift(down, narrow[..., 0], self.side), maps.dtype)
        columns = ops.cast(_soft_shift(right, narrow[..., 1], self.side), maps.dtype)
        channels = maps.shape[-1] // self.side**2
        places = unfold(ops.reshape(maps, (-1, *self.grid, maps.shape[-1])), self.side)
        places = ops.reshape(places, (-1, self.frames, height, width, channels))
        moved = ops.einsum("bfijc,bfgvj->bfgivc", places, columns)
        moved = ops.einsum("bfgivc,bfgui->buvfgc", moved, rows)
        return fold(ops.reshape(moved, (-1, height, width, self.frames * self.heads * channels)), self.side)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"grid": self.grid, "frames": self.frames, "heads": self.heads, "side": self.side}
        return {**super().get_config(), **own}


def _soft_shift(displacement: Tensor, narrow: Tensor, side: int) -> Tensor:
    """Rows that say where each target of an axis is read: `[..., n]`, `[...]` -> `[..., n, n]`, each row sums to 1.

    Displacements and widths are in sites of `side` places each.
    """
    places = ops.arange(displacement.shape[-1], dtype="float32") / side
    distance = places - (places + displacement)[..., None]
    return ops.softmax(-0.5 * ops.square(distance / _START_WIDTH) * ops.exp(narrow)[..., None, None], axis=-1)
