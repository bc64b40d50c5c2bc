"""The next frame that is expected: one picture, where `Dynamics` has a distribution."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.autoregressive.base import gate
from vq_vae_tf.dynamics.parallax import COLOURS, Parallax, mixed
from vq_vae_tf.modalities.image.fold import fold, unfold
from vq_vae_tf.ops.fit_loss import fit_loss

Tensor = Any
FRAMES = 4
"""Past frames read: each is coded with errors of its own, which several together can tell from what is there."""


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Foresight(keras.Model):
    """`E[x_t | z_{t-n}, a_{t-n}, ..., z_{t-1}, a_{t-1}]`: what a camera makes of the last frames, mended.

    Equation: x = P + W h, P what `Parallax` foresees from the last frame; h = U (what each of the last frames shows of
    the next one by the planes that the past agrees on, how far planes are apart, what they show) + V (the last two
    frames) + A a, then blocks h <- h + V_i gate(conv3x3(norm h) + A_i a) with dilations 1, 2, 4 in turn. Trained by
    squared error to pictures of codes, so towards the mean; W begins as zero, so the start is the camera's picture.

    Inputs are as for `Dynamics`: {"past": int32 `[batch, context, h, w]`, "actions": int32 `[batch, context]`}, in
    training also "codes" `[batch, h, w]`. Gives grey levels 0..255, float32 `[batch, h side, w side, 3]`.

    Not in the paper. The mean over futures of what is expected after each has the mean that their own next frames
    have, with less noise (Rao & Blackwell), and here also with less error: squared error is what it learns.

    Args:
        parallax: reads the last frames; best `FRAMES` of them. Not trained with the rest.
        features: width.
        num_layers: blocks.
    """

    def __init__(
        self,
        parallax: Parallax,
        features: int = 96,
        num_layers: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.parallax, self.features, self.num_layers = parallax, features, num_layers
        parallax.trainable = False
        policy, layers = self.dtype_policy, range(num_layers)
        # One table for all steps of the past: a row each for the action of each step.
        rows = parallax.context * max(parallax.num_actions, 1)
        self.shown = keras.layers.Dense(features, name="shown", dtype=policy)
        self.last = keras.layers.Dense(features, name="last", dtype=policy)
        self.acting = keras.layers.Embedding(rows, features, name="acting", dtype=policy)
        self.norms = [keras.layers.LayerNormalization(name=f"norm_{i}", dtype=policy) for i in layers]
        self.spread = [
            keras.layers.Conv2D(
                2 * features, 3, padding="same", dilation_rate=2 ** (i % 3), name=f"spread_{i}", dtype=policy
            )
            for i in layers
        ]
        self.acts = [keras.layers.Embedding(rows, 2 * features, name=f"acts_{i}", dtype=policy) for i in layers]
        self.out = [keras.layers.Dense(features, name=f"out_{i}", dtype=policy) for i in layers]
        self.mend = keras.layers.Dense(
            COLOURS * parallax.side**2, kernel_initializer="zeros", name="mend", dtype="float32"
        )

    def build(self, input_shape: Any = None) -> None:
        """All sizes are known from the constructor."""
        parallax, grid, wide = self.parallax, self.parallax.grid, self.features
        squares = parallax.side**2
        if not parallax.built:
            parallax.build()
        self.shown.build((None, *grid, squares * _channels(parallax)))
        self.last.build((None, *grid, COLOURS * squares * min(2, parallax.camera.frames)))
        self.acting.build(), self.mend.build((None, *grid, wide))
        for norm, spread, acts, out in zip(self.norms, self.spread, self.acts, self.out, strict=True):
            norm.build((None, *grid, wide)), spread.build((None, *grid, wide))
            acts.build(), out.build((None, *grid, wide))
        self.level = self.add_weight(name="level", shape=(2,), initializer="ones", trainable=False)
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        """The picture expected, in grey levels."""
        del training
        mean, scale = self.level[0], self.level[1]
        return self._expected(inputs) * scale + mean

    def loss_terms(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """`loss`: squared error to the pictures of "codes" over their variance; `error`: in squared grey levels."""
        del training
        truth = unfold(ops.take(self.parallax.looks, inputs["codes"], axis=0), self.parallax.side)
        loss = ops.mean(ops.square(self._expected(inputs) - truth))
        return {"loss": loss, "error": ops.stop_gradient(loss) * ops.square(self.level[1])}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The loss, so that `compile(optimizer)` and `fit` train it too. Raises: ValueError for sample weights."""
        del y, y_pred
        return fit_loss(self, self.loss_terms(x, training)["loss"], sample_weight)

    def show(self, squares: Any, camera: list[np.ndarray]) -> None:
        """Tells a built model how the camera moves and how light codes are; neither is learned here.

        squares: grey levels `[num_codes, side, side, 3]`. camera: weights of a `Parallax` of the same planes that was
        shown them.
        """
        squares = np.asarray(squares, np.float32)
        self.parallax.set_weights(camera)
        self.level.assign([squares.mean(), squares.std() + 1e-6])

    def _expected(self, inputs: dict[str, Tensor]) -> Tensor:
        """In the units of looks."""
        past, parallax = ops.cast(inputs["past"], "int32"), self.parallax
        numbers = self._numbers(inputs.get("actions"), past)
        pictures = parallax.pictures(past)
        read, inside, errors, weights = parallax.swept(pictures, inputs.get("actions", numbers))
        foreseen = mixed(read, weights)
        shown = mixed(inside[..., None], weights)
        apart = ops.sum(ops.square(read[:, 0] - foreseen[:, :1]) * weights[..., None], axis=1)
        planes = [ops.transpose(of_planes, (0, 2, 3, 1)) for of_planes in (errors, weights)]
        parts = [*ops.unstack(foreseen, axis=1), *ops.unstack(shown, axis=1), ops.sqrt(apart + 1e-6), *planes]
        side, dtype = parallax.side, self.compute_dtype
        h = self.shown(ops.cast(fold(ops.concatenate(parts, axis=-1), side), dtype))
        h = h + self.last(ops.cast(fold(ops.concatenate(pictures[:2], axis=-1), side), dtype))
        h = h + self._acting(self.acting, numbers)
        for norm, spread, acts, out in zip(self.norms, self.spread, self.acts, self.out, strict=True):
            h = h + out(gate(spread(norm(h)) + self._acting(acts, numbers)))
        return foreseen[:, 0] + unfold(self.mend(ops.cast(h, "float32")), side)

    def _numbers(self, actions: Tensor | None, past: Tensor) -> Tensor:
        """Rows of the tables of actions, one table for each step of the past; without actions there is one action."""
        count, steps = self.parallax.num_actions, ops.arange(self.parallax.context, dtype="int32")
        if not count:
            return ops.zeros_like(past[:, :, 0, 0]) + steps
        return ops.cast(actions, "int32") + steps * count

    def _acting(self, table: keras.layers.Embedding, numbers: Tensor) -> Tensor:
        return ops.sum(table(numbers), axis=1)[:, None, None, :]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        parallax = keras.saving.serialize_keras_object(self.parallax)
        own = {"parallax": parallax, "features": self.features, "num_layers": self.num_layers}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Foresight:
        """The model that `get_config` describes."""
        parallax = keras.saving.deserialize_keras_object(config["parallax"], custom_objects=custom_objects)
        return cls(**{**config, "parallax": parallax})


def _channels(parallax: Parallax) -> int:
    """Of a place: of each frame colours and whether it shows them, how far planes are apart, two of each plane."""
    return (COLOURS + 1) * parallax.camera.frames + COLOURS + 2 * (1 + parallax.depths)
