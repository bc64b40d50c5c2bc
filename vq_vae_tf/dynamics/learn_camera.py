"""How a camera moves with actions, learned from frames before the dynamics is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.dynamics.parallax import COLOURS, Parallax
from vq_vae_tf.ops.fit_loss import fit_loss
from vq_vae_tf.progress import shown

Tensor = Any
STEPS = (400, 400, 200)
"""Of training, at a fourth of the pictures' size, at half of it, and whole: what is small is near."""
_BATCH, _RATE = 16, 1e-2


class CameraLearner(keras.Model):
    """Trains a `Parallax` by what it foresees: `compile(optimizer)` and `fit` on what `windows` gives.

    Equation: mean of m (x_t - foreseen)^2 over places and colours, m: the last frame shows the place. m has no
    gradient, so that nothing is gained by looking away.
    """

    def __init__(self, parallax: Parallax, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parallax = parallax

    def build(self, input_shape: Any = None) -> None:
        """All sizes are known from the layer."""
        self.built = True

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        """The error of each window, `[batch]`."""
        foreseen, known = self.parallax.foresee(inputs["pictures"], inputs["actions"])
        return ops.mean(known * ops.square(inputs["next"] - foreseen), axis=(1, 2, 3))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The mean error."""
        del x, y, training
        return fit_loss(self, ops.mean(y_pred), sample_weight)


def learn_camera(parallax: Parallax, codes: np.ndarray, actions: np.ndarray, seed: int) -> None:
    """Sets a built `Parallax` that knows the looks of codes to what clips say of its camera.

    Coarse to fine: where pictures are small, a turn is a few pixels and its gradient finds it.

    Args:
        codes, actions: of clips, int `[clips, time, h, w]` and `[clips, time]`, each longer than the context.
    """
    learner = Parallax.from_config({**parallax.get_config(), "name": "parallax", "trainable": True})
    learner.build()
    learner.set_weights(parallax.get_weights())
    model = CameraLearner(learner, name="camera_learner")
    model.build()
    rate = keras.optimizers.schedules.PolynomialDecay(_RATE, sum(STEPS), _RATE / 100)
    optimizer = keras.optimizers.Adam(rate)
    random = np.random.default_rng(seed)
    for smaller, steps in zip((4, 2, 1), STEPS, strict=True):
        if parallax.side % smaller == 0:
            batches = windows(parallax, codes, actions, smaller, random)
            # A graph for each size of pictures; JAX has none but what it compiles.
            model.compile(optimizer, jit_compile=keras.backend.backend() == "jax")
            one = (next(batches) for _ in range(steps))
            model.fit(shown(one, f"camera 1/{smaller}", steps), steps_per_epoch=steps, shuffle=False, verbose=0)
    parallax.set_weights(learner.get_weights())


def windows(
    parallax: Parallax, codes: np.ndarray, actions: np.ndarray, smaller: int, random: np.random.Generator
) -> Iterator[tuple[dict[str, np.ndarray]]]:
    """Endless random windows of clips, as pictures so many times smaller: what `CameraLearner` is fitted to.

    Each is {"pictures": `[batch, frames, h, w, 3]`, last first, "actions": `[batch, context]`, "next": `[batch, h, w,
    3]`}.
    """
    context, frames, side = parallax.context, parallax.camera.frames, parallax.side // smaller
    looks = ops.convert_to_numpy(parallax.looks).reshape(-1, side, smaller, side, smaller, COLOURS).mean((2, 4))
    clips, length = codes.shape[:2]
    while True:
        clip, now = random.integers(0, clips, _BATCH), random.integers(context, length, _BATCH)
        seen = codes[clip[:, None], now[:, None] - np.arange(frames + 1)].astype(np.int32)
        height, width = (side * size for size in parallax.grid)
        # [batch, frames + 1, h, w, side, side, 3]: rows of squares beside rows inside them.
        pictures = looks[seen].transpose(0, 1, 2, 4, 3, 5, 6).reshape(_BATCH, frames + 1, height, width, COLOURS)
        taken = actions[clip[:, None], now[:, None] - context + np.arange(context)].astype(np.int32)
        yield ({"pictures": pictures[:, 1:], "actions": taken, "next": pictures[:, 0]},)
