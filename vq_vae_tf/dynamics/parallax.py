"""The next frame foreseen from the last ones by how a camera moves."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.dynamics.camera import Camera
from vq_vae_tf.modalities.image.fold import fold, unfold
from vq_vae_tf.ops.bilinear import bilinear

Tensor = Any
COLOURS = 3
"""Of a video frame, and of a pixel that is moved."""
FRAMES = 2
"""Past frames looked into: two, so that they can agree on a depth."""
_WINDOW = 1 / 12  # of a picture's height: over so much of it frames have to agree
_UNSEEN = 1e-3
_START = 0.1  # of the variance of pictures: the error by which a plane is e times less likely


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Parallax(keras.layers.Layer):
    """The next frame foreseen: the last one read where `Camera` says, in each place at the depth the past agrees on.

    Equation: w_k = softmax_k(b_k - c_k / tau), c_k the mean squared difference of the last two frames, both read for
    plane k, over the places around that both show; the frame foreseen is sum_k w_k (the last frame read for plane k).
    That is a plane sweep (Collins, "A Space-Sweep Approach to True Multi-Image Matching", 1996).

    Maps codes int32 `[batch, context, h, w]` and actions int32 `[batch, context]` to what is foreseen, `[batch, h, w,
    side^2 (4 depths + 12)]`, squares of places as `fold` lays them out: of each the frame foreseen, the same of the
    frame before the last, whether they show it, what each plane would show and how little the past agrees on it.

    Args:
        num_codes: K.
        grid: (h, w).
        side: a code is a square of so many places on a side.
        context: past frames.
        num_actions: how many actions there are; 0: none are given.
        depths: of planes, beside one that is far away.
        frames: past frames that are read, at most `context`; the last two have to agree on a depth.
    """

    def __init__(
        self,
        num_codes: int,
        grid: tuple[int, int],
        side: int,
        context: int,
        num_actions: int,
        depths: int,
        frames: int = FRAMES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_codes, self.grid, self.side, self.context = num_codes, (int(grid[0]), int(grid[1])), side, context
        self.num_actions, self.depths, self.frames = num_actions, depths, frames
        self.camera = Camera(num_actions, min(frames, context), depths, name="camera")

    def build(self, input_shape: Any = None) -> None:
        """All sizes are known from the constructor."""
        self.camera.build()
        size = self.side**2 * COLOURS
        self.looks = self.add_weight(name="looks", shape=(self.num_codes, size), initializer="zeros", trainable=False)
        self.bias = self.add_weight(name="bias", shape=(1 + self.depths,), initializer="zeros")
        self.log_tau = self.add_weight(name="log_tau", shape=(), initializer="zeros")
        self.log_tau.assign(np.float32(np.log(_START)))
        self.built = True

    @property
    def channels(self) -> int:
        """Of a place that is foreseen."""
        return 4 * (1 + self.depths) + 8

    def call(self, past: Tensor, actions: Tensor) -> Tensor:
        """What is foreseen, in squares."""
        read, inside, errors, weights = self.swept(self.pictures(past), actions)
        foreseen, shown = mixed(read, weights), mixed(inside[..., None], weights)
        parts = [foreseen[:, 0], foreseen[:, -1], shown[:, 0], shown[:, -1]]
        planes = [read[:, 0, k] for k in range(1 + self.depths)]
        return fold(ops.concatenate([*parts, *planes, ops.transpose(errors, (0, 2, 3, 1))], axis=-1), self.side)

    def foresee(self, pictures: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures `[batch, frames, height, width, 3]` of any size, last first -> the next one and where it is known.

        Returns: `[batch, height, width, 3]`, and `[batch, height, width, 1]` in 0..1.
        """
        newest = [pictures[:, i] for i in range(self.camera.frames)]
        read, inside, _, weights = self.swept(newest, actions)
        return mixed(read, weights)[:, 0], mixed(inside[..., None], weights)[:, 0]

    def pictures(self, past: Tensor) -> list[Tensor]:
        """Past codes as pictures `[batch, height, width, 3]`, the last frame first."""
        newest = [past[:, self.context - 1 - i] for i in range(self.camera.frames)]
        return [unfold(ops.take(self.looks, codes, axis=0), self.side) for codes in newest]

    def swept(
        self, pictures: list[Tensor], actions: Tensor, unusual: Tensor | None = None, known: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Each frame read for each plane, whether it is there; how planes are disagreed on, and their weights.

        `[batch, frames, planes, height, width, 3]`, that without colours, and `[batch, planes, height, width]` twice.
        unusual: see `Camera`. known: `[batch, planes, height, width]`, nats by which a plane is more likely than the
        past says; None: by none.
        """
        height, width = pictures[0].shape[1:3]
        rows, columns, inside = self.camera(actions, height=height, width=width, unusual=unusual)
        read = ops.stack([bilinear(p, rows[:, i], columns[:, i]) for i, p in enumerate(pictures)], axis=1)
        before = min(1, len(pictures) - 1)  # the more frames have to agree, the fewer places all of them show
        both = inside[:, 0] * inside[:, before]
        window = max(3, round(height * _WINDOW))
        apart = _around(ops.mean(ops.square(read[:, 0] - read[:, before]), axis=-1) * both, window)
        errors = apart / (_around(both, window) + _UNSEEN)
        likely = self.bias[:, None, None] - errors * ops.exp(-self.log_tau)
        if known is not None:
            likely = likely + known
        return read, inside, errors, ops.softmax(likely, axis=1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("num_codes", "grid", "side", "context", "num_actions", "depths", "frames")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def mixed(read: Tensor, weights: Tensor) -> Tensor:
    """`[batch, frames, depths, h, w, c]` and `[batch, depths, h, w]` -> `[batch, frames, h, w, c]`."""
    return ops.sum(read * weights[:, None, ..., None], axis=2)


def _around(x: Tensor, window: int) -> Tensor:
    """Means over windows of maps `[batch, depths, h, w]`."""
    x = ops.transpose(x, (0, 2, 3, 1))
    for size in ((window, 1), (1, window)):  # one after the other: 14 additions for 49
        x = ops.average_pool(x, size, 1, padding="same", data_format="channels_last")
    return ops.transpose(x, (0, 3, 1, 2))
