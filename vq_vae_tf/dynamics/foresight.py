"""The next frame that is expected: one picture, where `Dynamics` has a distribution."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.dynamics.acted import ActedBlock
from vq_vae_tf.dynamics.parallax import COLOURS, Parallax, mixed
from vq_vae_tf.modalities.image.fold import fold, unfold
from vq_vae_tf.ops.fit_loss import fit_loss

Tensor = Any
FRAMES = 4
"""Past frames read: several together can tell an error, or what moved, from what is there."""
BEFORE, AFTER = 3, 2
"""Blocks before the frames are read a second time, and after it."""
_UNUSUAL = np.array([0.1, 0.3, 0.5, 0.3, 0.03], np.float32)  # units: turn, aside, ahead, lower, looking up
_OLDER, _HIDDEN = 3.0, 4.0  # nats against a frame a step older, and against one that does not show the place
_MOVED = 0.25  # weight of the error before it is mended: frames are to be moved, not only painted over
_POSE = 64


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Foresight(keras.Model):
    """`E[x_t | x_{t-n}, a_{t-n}, ..., x_{t-1}, a_{t-1}]`: what a camera makes of the last frames, twice, mended.

    Equation: h = U s + V (the last two frames) + A a, s what `Parallax` reads of the last frames for the next one;
    blocks; from the mean of h how each step was unusual, from h how much likelier each depth is and which frame to
    trust, so that the frames are read a second time, s' and their mix P; h <- h + U' s'; blocks; x = P + W h. Trained
    by squared error, so towards the mean. All that is told and W begin as zero, so the start is the camera's picture,
    with a twentieth of what older frames show, or all where the last one does not show a place.

    Inputs are {"frames": uint8 `[batch, seen, height, width, 3]`, the last frames in their order, "known": 0 or 1
    `[batch, seen]`, "past" and "actions" as for `Dynamics`}, in training also "x" `[batch, height, width, 3]`. Of a
    frame that is not known, as one that is imagined, is seen what its codes look like. Gives grey levels 0..255,
    float32 `[batch, height, width, 3]`.

    Not in the paper. The mean over futures of what is expected after each has the mean that their own next frames
    have, with less noise (Rao & Blackwell), and here also with less error: squared error is what it learns.

    Args:
        parallax: reads the last frames; best `FRAMES` of them. Not trained with the rest.
        features: width.
    """

    def __init__(self, parallax: Parallax, features: int = 96, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parallax, self.features = parallax, features
        parallax.trainable = False
        policy = self.dtype_policy
        # One table for all steps of the past: a row each for the action of each step.
        rows = parallax.context * max(parallax.num_actions, 1)
        self.shown = keras.layers.Dense(features, name="shown", dtype=policy)
        self.again = keras.layers.Dense(features, name="again", dtype=policy)
        self.last = keras.layers.Dense(features, name="last", dtype=policy)
        self.acting = keras.layers.Embedding(rows, features, name="acting", dtype=policy)
        self.blocks = [
            ActedBlock(features, rows, dilation=2 ** (i % 3), name=f"block_{i}", dtype=policy)
            for i in range(BEFORE + AFTER)
        ]
        self.norms = [keras.layers.LayerNormalization(name=f"norm_{i}", dtype=policy) for i in range(2)]
        self.feeling = keras.layers.Dense(_POSE, activation="gelu", name="feeling", dtype=policy)
        self.unusual = self._telling(len(_UNUSUAL) * parallax.camera.frames, "unusual")
        self.likely = self._telling(parallax.side**2 * (1 + parallax.depths + parallax.camera.frames), "likely")
        self.mend = self._telling(COLOURS * parallax.side**2, "mend")

    def _telling(self, size: int, name: str) -> keras.layers.Layer:
        return keras.layers.Dense(size, kernel_initializer="zeros", name=name, dtype="float32")

    def build(self, input_shape: Any = None) -> None:
        """All sizes are known from the constructor."""
        parallax, wide = self.parallax, (None, *self.parallax.grid, self.features)
        squares = parallax.side**2
        if not parallax.built:
            parallax.build()
        for shown in (self.shown, self.again):
            shown.build((None, *parallax.grid, squares * _channels(parallax)))
        self.last.build((None, *parallax.grid, COLOURS * squares * min(2, parallax.camera.frames)))
        for layer in (*self.blocks, *self.norms, self.likely, self.mend):
            layer.build(wide)
        self.acting.build()
        self.feeling.build((None, 2 * self.features)), self.unusual.build((None, _POSE))
        self.level = self.add_weight(name="level", shape=(2,), initializer="ones", trainable=False)
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        """The picture expected, in grey levels."""
        del training
        mean, scale = self.level[0], self.level[1]
        return self._expected(inputs)[0] * scale + mean

    def loss_terms(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """`loss`: squared error over the variance of codes' pictures, some of it before mending; `error`: in squared
        grey levels.
        """
        del training
        truth = self._normalised(inputs["x"])
        expected, moved = (ops.mean(ops.square(picture - truth)) for picture in self._expected(inputs))
        return {"loss": expected + _MOVED * moved, "error": ops.stop_gradient(expected) * ops.square(self.level[1])}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The loss, so that `compile(optimizer)` and `fit` train it too. Raises: ValueError for sample weights."""
        del y, y_pred
        return fit_loss(self, self.loss_terms(x, training)["loss"], sample_weight)

    def show(self, squares: Any, camera: list[np.ndarray]) -> None:
        """Tells a built model how the camera moves and what codes look like; neither is learned here.

        squares: grey levels `[num_codes, side, side, 3]`. camera: weights of a `Parallax` of the same planes that was
        shown them.
        """
        squares = np.asarray(squares, np.float32)
        self.parallax.set_weights(camera)
        self.level.assign([squares.mean(), squares.std() + 1e-6])

    def _expected(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Mended and not, in the units of looks."""
        parallax, pictures = self.parallax, self._pictures(inputs)
        numbers = self._numbers(inputs.get("actions"), inputs["past"])
        actions = inputs.get("actions", numbers)
        told = ops.sum(self.acting(numbers), axis=1)
        first = self._squares(parallax.swept(pictures, actions))[1]
        last = ops.cast(fold(ops.concatenate(pictures[:2], axis=-1), parallax.side), self.compute_dtype)
        h = self.shown(first) + self.last(last) + told[:, None, None, :]
        for block in self.blocks[:BEFORE]:
            h = block(h, numbers)
        planes, trust = self._likely(h)
        read = parallax.swept(pictures, actions, self._unusual(h, told), planes)
        (foreseen, inside), second = self._squares(read)
        moved = ops.sum(foreseen * ops.softmax(trust + _HIDDEN * (inside - 1.0), axis=1), axis=1)
        h = h + self.again(second)
        for block in self.blocks[BEFORE:]:
            h = block(h, numbers)
        return moved + unfold(self.mend(ops.cast(self.norms[1](h), "float32")), parallax.side), moved

    def _pictures(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        """The last frames, the last first, in the units of looks."""
        coded = self.parallax.pictures(ops.cast(inputs["past"], "int32"))
        known = ops.cast(inputs["known"], "float32")[..., None, None, None]
        frames, count = self._normalised(inputs["frames"]), len(coded)
        newest = [count - 1 - i for i in range(count)]
        return [known[:, i] * frames[:, i] + (1.0 - known[:, i]) * c for i, c in zip(newest, coded, strict=True)]

    def _squares(self, swept: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """What each frame foresees `[batch, frames, height, width, 3]`, where it shows it; all there is, in squares."""
        read, inside, errors, weights = swept
        foreseen, shown = mixed(read, weights), mixed(inside[..., None], weights)
        apart = ops.sum(ops.square(read[:, 0] - foreseen[:, :1]) * weights[..., None], axis=1)
        planes = [ops.transpose(of_planes, (0, 2, 3, 1)) for of_planes in (errors, weights)]
        parts = [*ops.unstack(foreseen, axis=1), *ops.unstack(shown, axis=1), ops.sqrt(apart + 1e-6), *planes]
        squares = fold(ops.concatenate(parts, axis=-1), self.parallax.side)
        return (foreseen, shown), ops.cast(squares, self.compute_dtype)

    def _unusual(self, h: Tensor, told: Tensor) -> Tensor:
        """See `Camera`."""
        seen = ops.mean(self.norms[0](h), axis=(1, 2))
        unusual = self.unusual(ops.cast(self.feeling(ops.concatenate([seen, told], axis=-1)), "float32"))
        return ops.reshape(unusual, (-1, self.parallax.camera.frames, len(_UNUSUAL))) * _UNUSUAL

    def _likely(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Nats: of planes, see `Parallax.swept`; of frames, `[batch, frames, height, width, 1]`."""
        likely = unfold(self.likely(ops.cast(self.norms[0](h), "float32")), self.parallax.side)
        likely, planes = ops.transpose(likely, (0, 3, 1, 2)), 1 + self.parallax.depths
        older = -_OLDER * ops.arange(self.parallax.camera.frames, dtype="float32")[:, None, None]
        return likely[:, :planes], (likely[:, planes:] + older)[..., None]

    def _normalised(self, grey: Tensor) -> Tensor:
        return (ops.cast(grey, "float32") - self.level[0]) / self.level[1]

    def _numbers(self, actions: Tensor | None, past: Tensor) -> Tensor:
        """Rows of the tables of actions, one table for each step of the past; without actions there is one action."""
        count, steps = self.parallax.num_actions, ops.arange(self.parallax.context, dtype="int32")
        if not count:
            return ops.zeros_like(past[:, :, 0, 0]) + steps
        return ops.cast(actions, "int32") + steps * count

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        parallax = keras.saving.serialize_keras_object(self.parallax)
        return {**super().get_config(), "parallax": parallax, "features": self.features}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Foresight:
        """The model that `get_config` describes."""
        parallax = keras.saving.deserialize_keras_object(config["parallax"], custom_objects=custom_objects)
        return cls(**{**config, "parallax": parallax})


def _channels(parallax: Parallax) -> int:
    """Of a place: of each frame colours and whether it shows them, how far planes are apart, two of each plane."""
    return (COLOURS + 1) * parallax.camera.frames + COLOURS + 2 * (1 + parallax.depths)
