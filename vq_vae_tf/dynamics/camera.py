"""Where a camera that turns and walks as actions say has seen before what it sees next."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any
REACH = 3
"""Actions that a step depends on, its own and those before: one starts and stops by degrees."""
_FEATURES, _HIDDEN = 16, 32
_FARTHEST, _NEAREST = 0.03, 0.4  # inverse depths of planes at the start
_STRIDE = 0.5  # of a step at the start: times inverse depth, how much of its depth a plane comes nearer
_BEHIND = 0.2  # of the depth of a point: what is nearer to the old camera, or behind it, is read as if it stood there


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Camera(keras.layers.Layer):
    """Where past frames show what the next one will, for planes of several depths: a pinhole camera on level ground.

    Equation: what the next frame shows in column x and row y at inverse depth d lies for the camera of an older frame
    in the direction (X, Z) = R(theta) (x / f, 1) + d t, so in its column f X / Z and its row h + (y - h) / Z. Angle
    theta and way t to an older camera are put together of steps, each of them (turn, aside, ahead) = a network of the
    step's action and of the two before it, one for all steps: what is learned from the last frame holds for older ones.
    A turn alone needs no depth. Rows and columns are in half heights and half widths from the middle of the picture.
    Where steps were other than usual (a wall is met, one goes down stairs), `unusual` says by how much.

    Learned are the network of the steps, the focal length f, the horizon h and the inverse depths.

    Args:
        num_actions: how many actions there are; 0: none are given, and every step is alike.
        frames: past frames to look into, at most as many as there are actions.
        depths: of the planes, beside one so far away that walking does not move it.
    """

    def __init__(self, num_actions: int, frames: int, depths: int, **kwargs: Any) -> None:
        # float32: places are told apart to a fraction of a pixel.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_actions, self.frames, self.depths = num_actions, frames, depths
        wide, small = keras.initializers.RandomNormal(stddev=1.0), keras.initializers.RandomNormal(stddev=0.02)
        self.acts = keras.layers.Embedding(REACH * max(num_actions, 1), _FEATURES, wide, name="acts", dtype="float32")
        self.hidden = keras.layers.Dense(_HIDDEN, activation="gelu", name="hidden", dtype="float32")
        self.step = keras.layers.Dense(3, kernel_initializer=small, name="step", dtype="float32")

    def build(self, input_shape: Any = None) -> None:
        """All sizes are known from the constructor."""
        self.acts.build(), self.hidden.build((None, _FEATURES)), self.step.build((None, _HIDDEN))
        self.step.bias.assign(np.array([0.0, 0.0, _STRIDE], np.float32))
        self.focal = self.add_weight(name="focal", shape=(), initializer="ones")
        self.horizon = self.add_weight(name="horizon", shape=(), initializer="zeros")
        self.nearness = self.add_weight(name="nearness", shape=(self.depths,), initializer="zeros")
        self.nearness.assign(np.log(np.geomspace(_FARTHEST, _NEAREST, self.depths, dtype=np.float32)))
        self.built = True

    def call(
        self, actions: Tensor, height: int, width: int, unusual: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, columns and whether they are in the picture, of each plane in each frame from the last one back.

        actions: int32 `[batch, context]`, the last of which leads to the next frame. height, width: of pictures.
        unusual: float32 `[batch, frames, 5]`: what is added to (turn, aside, ahead) of the steps from the last one
        back; by how much the frame's camera stood lower than the next one, times inverse depth in half heights; and by
        how many half heights it looked up. None: nothing.
        Returns: float32 `[batch, frames, 1 + depths, height, width]` in pixels, twice, and of 0 and 1.
        """
        turn, way = self.poses(actions, None if unusual is None else unusual[..., :3])
        sine, cosine = ops.sin(turn)[..., None, None], ops.cos(turn)[..., None, None]
        near = ops.concatenate([ops.zeros((1,)), ops.exp(self.nearness)])[:, None]
        aside, ahead = way[..., 0, None, None] * near, way[..., 1, None, None] * near
        x, y = _half_sizes(width) / self.focal, _half_sizes(height) - self.horizon
        far = ops.maximum(cosine - sine * x + ahead, _BEHIND)
        columns = _pixels(self.focal * (cosine * x + sine + aside) / far, width)[..., None, :]
        below, raised = y[:, None], 0.0
        if unusual is not None:
            below = below - unusual[..., 3, None, None, None] * near[..., None]
            raised = unusual[..., 4, None, None, None]
        rows = _pixels(self.horizon + raised + below / far[..., None, :], height)
        columns = ops.broadcast_to(columns, ops.shape(rows))
        return rows, columns, _inside(rows, height) * _inside(columns, width)

    def poses(self, actions: Tensor, unusual: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """From the next frame's camera to older ones: theta `[batch, frames]` in radians, t `[batch, frames, 2]`.

        unusual: `[batch, frames, 3]`, what is added to `steps`.
        """
        steps = self.steps(actions)
        if unusual is not None:
            steps = steps + unusual
        theta, aside, ahead, poses = 0.0, 0.0, 0.0, []
        for i in range(self.frames):
            turn = steps[:, i, 0]
            sine, cosine = ops.sin(turn), ops.cos(turn)
            aside, ahead = (
                cosine * aside + sine * ahead + steps[:, i, 1],
                cosine * ahead - sine * aside + steps[:, i, 2],
            )
            theta = theta + turn
            poses.append((theta, aside, ahead))
        theta, aside, ahead = (ops.stack(part, axis=1) for part in zip(*poses, strict=True))
        return theta, ops.stack([aside, ahead], axis=-1)

    def steps(self, actions: Tensor) -> Tensor:
        """(turn, aside, ahead) of the steps from the last one back, `[batch, frames, 3]`; turn in radians."""
        actions, context = ops.cast(actions, "int32"), actions.shape[1]
        if not self.num_actions:
            actions = ops.zeros_like(actions)
        rows = []
        for i in range(self.frames):
            known = range(min(REACH, context - i))
            numbers = [actions[:, context - 1 - i - j] + j * max(self.num_actions, 1) for j in known]
            rows.append(ops.sum(self.acts(ops.stack(numbers, axis=1)), axis=1) * REACH**-0.5)
        return self.step(self.hidden(ops.stack(rows, axis=1)))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"num_actions": self.num_actions, "frames": self.frames, "depths": self.depths}
        return {**super().get_config(), **own}


def _half_sizes(size: int) -> Tensor:
    """Middles of pixels from the middle of the picture, the half of which is 1."""
    return (2.0 * ops.arange(size, dtype="float32") + 1.0 - size) / size


def _pixels(half_sizes: Tensor, size: int) -> Tensor:
    return 0.5 * (half_sizes * size + size - 1.0)


def _inside(pixels: Tensor, size: int) -> Tensor:
    return ops.cast(ops.logical_and(pixels > -0.5, pixels < size - 0.5), "float32")
