"""What past frames and actions say of the next frame, as a map over its codes."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive.base import gate
from vq_vae_tf.dynamics.motion import Motion
from vq_vae_tf.dynamics.parallax import COLOURS, Parallax

Tensor = Any


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class PastEncoder(keras.layers.Layer):
    """What the past says of the next frame: codes int32 `[batch, context, h, w]` -> map `[batch, h, w, features]`.

    Equation: m = P + sum_f W_f e(z_f) + V motion(e(z_1), ..., e(z_context); a) + W parallax(z; a), then blocks
    m <- m + V_i gate(conv3x3(m) + U_i a) with dilations 1, 2, 4 in turn. P are learned positions, a are the actions
    between the past frames and to the next one: how fast one turns depends on how long one has been turning.
    Actions act through the gates because those multiply: what a frame turns into depends on how one turns.

    Args:
        num_codes: K.
        grid: (h, w).
        context: past frames.
        num_actions: how many actions there are; 0: none are given.
        features: width of the map.
        num_layers: blocks.
        dropout: rate inside the blocks.
        motion_heads: ways in which `Motion` moves each past frame; 0: none.
        motion_features: width of the codes' vectors that are moved, and of what is known of the actions.
        motion_side: of `Motion`: those vectors are squares of so many places on a side.
        camera_depths: depths of `Parallax`, which has learned before (`learn_camera`) and is not trained with the rest;
            0: none.

    Raises:
        ValueError: motion_features are no squares of motion_side, or, with a camera, none of three colours.
    """

    def __init__(
        self,
        num_codes: int,
        grid: tuple[int, int],
        context: int,
        num_actions: int,
        features: int,
        num_layers: int,
        dropout: float = 0.0,
        motion_heads: int = 2,
        motion_features: int = 32,
        motion_side: int = 1,
        camera_depths: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if motion_features % motion_side**2:
            raise ValueError(
                f"{self.name}: motion_features={motion_features} is no multiple of motion_side^2={motion_side**2}."
            )
        if camera_depths and motion_features != COLOURS * motion_side**2:
            raise ValueError(
                f"{self.name}: motion_features={motion_features} with a camera, which sees squares of {motion_side}x"
                f"{motion_side} places in {COLOURS} colours; expected {COLOURS * motion_side**2}."
            )
        self.num_codes, self.grid, self.context = num_codes, (int(grid[0]), int(grid[1])), context
        self.num_actions, self.features, self.num_layers, self.dropout = num_actions, features, num_layers, dropout
        self.motion_heads, self.motion_features, self.motion_side = motion_heads, motion_features, motion_side
        policy = self.dtype_policy
        scale = keras.initializers.RandomNormal(stddev=context**-0.5)
        # One embedding for each past frame: a product with one-hot codes, so W_f e is a row of one table.
        self.codes = keras.layers.Embedding(context * num_codes, features, scale, name="codes", dtype=policy)
        self.spread = [
            keras.layers.Conv2D(
                2 * features, 3, padding="same", dilation_rate=2 ** (i % 3), name=f"spread_{i}", dtype=policy
            )
            for i in range(num_layers)
        ]
        self.out = [keras.layers.Dense(features, name=f"out_{i}", dtype=policy) for i in range(num_layers)]
        # Wide from the start: other gates are open for each action, or motion is averaged over for long.
        apart = keras.initializers.RandomNormal(stddev=1.0)
        self.actions = [
            keras.layers.Embedding(context * num_actions, 2 * features, apart, name=f"action_{i}", dtype=policy)
            for i in range(num_layers if num_actions else 0)
        ]
        self.drop = keras.layers.Dropout(dropout, dtype=policy)
        self.motion = self._motion() if motion_heads else []
        self.camera_depths = camera_depths
        self.parallax = self._parallax() if camera_depths else []

    def _parallax(self) -> list[keras.layers.Layer]:
        """What the last frames show of the next one, and its way into the map."""
        sizes = (self.num_codes, self.grid, self.motion_side, self.context, self.num_actions, self.camera_depths)
        parallax = Parallax(*sizes, name="parallax")
        parallax.trainable = False
        return [parallax, keras.layers.Dense(self.features, name="foreseen", dtype=self.dtype_policy)]

    def _motion(self) -> list[keras.layers.Layer]:
        """Vectors of codes, of actions, what is known of these, the motion, and its way into the map."""
        size, wide, policy = self.motion_features, keras.initializers.RandomNormal(stddev=1.0), self.dtype_policy
        return [
            keras.layers.Embedding(self.num_codes, size, wide, name="moved_codes", dtype=policy),
            keras.layers.Embedding(
                self.context * max(self.num_actions, 1), size, wide, name="moving_actions", dtype="float32"
            ),
            keras.layers.Dense(size, activation="gelu", name="known", dtype="float32"),
            Motion(self.grid, self.context, self.motion_heads, self.motion_side, name="motion", dtype=policy),
            keras.layers.Dense(self.features, name="moved", dtype=policy),
        ]

    def build(self, input_shape: Any = None) -> None:
        """All sizes are known from the constructor."""
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.positions = self.add_weight(name="positions", shape=(*self.grid, self.features), initializer=small)
        self.codes.build()
        for spread, out in zip(self.spread, self.out, strict=True):
            spread.build((None, *self.grid, self.features))
            out.build((None, *self.grid, self.features))
        for action in self.actions:
            action.build()
        if self.motion:
            size = self.motion_features
            codes, actions, known, motion, moved = self.motion
            codes.build(), actions.build(), known.build((None, size))
            motion.build((None, self.context, *self.grid, size), (None, size))
            moved.build((None, *self.grid, self.context * self.motion_heads * size))
        if self.parallax:
            parallax, foreseen = self.parallax
            parallax.build(), foreseen.build((None, *self.grid, self.motion_side**2 * parallax.channels))
        self.built = True

    def call(self, past: Tensor, actions: Tensor | None = None, training: bool | None = None) -> Tensor:
        """The map; `actions` int32 `[batch, context]` where there are actions: actions[:, i] follows past frame i."""
        past = ops.cast(past, "int32")
        numbers = self._numbers(past, actions)
        frame = ops.arange(self.context, dtype="int32")[:, None, None] * self.num_codes
        h = ops.sum(self.codes(past + frame), axis=1) + ops.cast(self.positions, self.compute_dtype)
        if self.motion:
            codes, acting, known, motion, moved = self.motion
            h = h + moved(motion(codes(past), known(self._summed(acting(numbers)))))
        if self.parallax:
            parallax, foreseen = self.parallax
            h = h + foreseen(ops.cast(parallax(past, actions if self.num_actions else numbers), self.compute_dtype))
        for i, (spread, out) in enumerate(zip(self.spread, self.out, strict=True)):
            inner = spread(h)
            if self.actions:
                inner = inner + self._summed(self.actions[i](numbers))[:, None, None, :]
            h = h + out(self.drop(gate(inner), training=training))
        return h

    def show(self, squares: Any) -> None:
        """Tells a built layer what each code looks like, so that it need not find out: what is moved starts so.

        squares: float `[num_codes, motion_side, motion_side, motion_features / motion_side^2]`, of any scale.
        Raises: ValueError for another shape; nothing that moves.
        """
        side, size = self.motion_side, self.motion_features
        expected = (self.num_codes, side, side, size // side**2)
        if not (self.motion or self.parallax) or tuple(squares.shape) != expected:
            raise ValueError(f"{self.name}: squares of shape {tuple(squares.shape)}; expected {expected}, and motion.")
        squares = ops.reshape(ops.cast(squares, "float32"), (self.num_codes, size))
        squares = (squares - ops.mean(squares)) / (ops.std(squares) + 1e-6)
        if self.motion:
            self.motion[0].embeddings.assign(squares)
        if self.parallax:
            self.parallax[0].looks.assign(squares)

    def _numbers(self, past: Tensor, actions: Tensor | None) -> Tensor:
        """Rows of the tables of actions, one table for each step of the past; without actions there is one action."""
        steps = ops.arange(self.context, dtype="int32")
        if not self.num_actions:
            return ops.zeros_like(past[:, :, 0, 0]) + steps
        return ops.cast(actions, "int32") + steps * self.num_actions

    def _summed(self, embedded: Tensor) -> Tensor:
        return ops.sum(embedded, axis=1) * self.context**-0.5

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = (
            "num_codes",
            "grid",
            "context",
            "num_actions",
            "features",
            "num_layers",
            "dropout",
            "motion_heads",
            "motion_features",
            "motion_side",
            "camera_depths",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
