"""The next frame's codes from past frames' codes and actions: video imagined in the space of codes."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive import sample
from vq_vae_tf.autoregressive.base import concrete, gate
from vq_vae_tf.modalities.image.fold import fold, unfold
from vq_vae_tf.prior import Prior, split_inputs

Tensor = Any
FRAME_SEED = 0x5EED  # keeps the noise of the frames of a rollout apart
_START_WIDTH = 2.0  # sites of the codes; wide enough at the start to feel where a turn has gone, narrowed by learning


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Motion(keras.layers.Layer):
    """Past frames moved to where actions take them: motion compensation, learned, in the space of codes.

    Equation: y[u, v] = sum_{i, j} A[u, i] B[v, j] x[i, j], each row of A a softmax over i of -(i - u - d_u)^2 / 2 s^2,
    likewise B over j; displacements d (sites, one for each target row and column) and widths s are affine in what is
    known of the actions. Turning by theta moves column v to f tan(atan(v / f) + theta), whatever the row: a turn is
    in reach, however far it goes, and it is learned once for the whole picture. Motion that depends on depth is left
    to the convolutions behind.

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


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class PastEncoder(keras.layers.Layer):
    """What the past says of the next frame: codes int32 `[batch, context, h, w]` -> map `[batch, h, w, features]`.

    Equation: m = P + sum_f W_f e(z_f) + V motion(e(z_1), ..., e(z_context); a), then blocks
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

    Raises:
        ValueError: motion_features are no squares of motion_side.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if motion_features % motion_side**2:
            raise ValueError(
                f"{self.name}: motion_features={motion_features} is no multiple of motion_side^2={motion_side**2}."
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
        for i, (spread, out) in enumerate(zip(self.spread, self.out, strict=True)):
            inner = spread(h)
            if self.actions:
                inner = inner + self._summed(self.actions[i](numbers))[:, None, None, :]
            h = h + out(self.drop(gate(inner), training=training))
        return h

    def show(self, squares: Any) -> None:
        """Tells a built layer what each code looks like, so that it need not find out: what `Motion` moves starts so.

        squares: float `[num_codes, motion_side, motion_side, motion_features / motion_side^2]`, of any scale.
        Raises: ValueError for another shape; nothing that moves.
        """
        side, size = self.motion_side, self.motion_features
        expected = (self.num_codes, side, side, size // side**2)
        if not self.motion or tuple(squares.shape) != expected:
            raise ValueError(f"{self.name}: squares of shape {tuple(squares.shape)}; expected {expected}, and motion.")
        squares = ops.reshape(ops.cast(squares, "float32"), (self.num_codes, size))
        squares = (squares - ops.mean(squares)) / (ops.std(squares) + 1e-6)
        self.motion[0].embeddings.assign(squares)

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
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Dynamics(Prior):
    """`log p(z_t | z_{t-n}, a_{t-n}, ..., z_{t-1}, a_{t-1})`, n = context, over the code map of a frame. Section 4.5.

    Inputs are a dict {"codes": int32 `[batch, h, w]`, "past": int32 `[batch, context, h, w]`, "actions": int32
    `[batch, context]`}: the frame, those before it and the action that follows each of them. Losses, scores and saving
    are those of `Prior`, of which it is one that is conditioned on the past.

    Args:
        network: a network over a frame's codes with `condition_features` = the past's `features`.
        past: a `PastEncoder`.

    Raises:
        ValueError: network and past do not fit one another.
    """

    def __init__(self, network: Any, past: PastEncoder, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        given = (network.num_symbols, network.symbol_shape, network.condition_features)
        if given != (past.num_codes, past.grid, past.features):
            raise ValueError(
                f"{self.name}: a network over {given} and a past of {(past.num_codes, past.grid, past.features)}; "
                "expected the same number of codes, grid and features."
            )
        self.past = past

    def build(self, input_shape: Any = None) -> None:
        """All sizes are known from the parts."""
        if not self.past.built:
            self.past.build()
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        """Logits `[batch, h, w, num_codes]` of every code of the frame given the ones before it and the past."""
        codes, given = split_inputs(inputs)
        return self.network(codes, self.seen(given, training), training=training)

    def nats(self, inputs: Any, training: bool | None = None) -> Tensor:
        """See `Prior`."""
        codes, given = split_inputs(inputs)
        return self.network.nats(codes, self.seen(given, training), training)

    def log_prob(self, codes: Any, condition: dict | None = None) -> Tensor:
        """Nats of whole frames: `[batch, h, w]` -> float32 `[batch]`; `condition` has "past" and "actions"."""
        return super().log_prob(codes, self.seen(condition))

    def sample(self, batch_size: Any, seed: Any, condition: dict | None = None, *args: Any, **settings: Any) -> Tensor:
        """Codes of next frames int32 `[batch, h, w]`; `condition` has "past" and "actions", others as in `Prior`."""
        return super().sample(batch_size, seed, self.seen(condition), *args, **settings)

    def rollout(
        self,
        past: Any,
        actions: Any,
        seed: Any,
        temperature: Any = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> Tensor:
        """Imagined frames: past codes `[batch, context, h, w]`, actions int32 `[batch, context - 1 + n]` -> n frames.

        actions[:, t] leads from frame t to frame t + 1, counted over the given and the imagined ones; without actions
        only their number counts. Each frame is drawn by the cached sampler and takes its place as the youngest of the
        past; nothing is decoded on the way. Returns int32 `[batch, n, h, w]`.

        Raises: ValueError for a past that misfits or too few actions.
        """
        past, actions = ops.cast(self._checked_past(past), "int32"), ops.cast(actions, "int32")
        context = self.past.context
        if actions.shape[1] is not None and actions.shape[1] < context:
            raise ValueError(
                f"{self.name}: {actions.shape[1]} actions given; expected at least {context}, the {context - 1} "
                "between the past frames and those that lead to the imagined ones."
            )
        batch, count = ops.shape(past)[0], ops.shape(actions)[1] - (context - 1)
        in_time = ops.transpose(actions)
        drawn = ops.zeros((count, batch, *self.past.grid), dtype="int32")

        def one(i: Tensor, state: tuple) -> tuple:
            past, drawn = state
            latest = ops.transpose(ops.take(in_time, i + ops.arange(context, dtype="int32"), axis=0))
            condition = self.seen({"past": past, "actions": latest})
            now = sample(self.network, batch, seed + i * FRAME_SEED, condition, temperature, top_k, top_p)
            past = ops.concatenate([past[:, 1:], now[:, None]], axis=1)
            return past, ops.slice_update(drawn, (i, 0, 0, 0), now[None])

        drawn = ops.fori_loop(0, count, one, (past, drawn))[1]
        return ops.transpose(drawn, (1, 0, 2, 3))

    def seen(self, condition: dict | None, training: bool | None = None) -> dict:
        """The network's condition, {"map": `[batch, h, w, features]`}. Raises: ValueError for a past that misfits."""
        condition = condition or {}
        past, actions = self._checked_past(condition.get("past")), condition.get("actions")
        if self.past.num_actions:
            self._check_actions(actions)
        return {"map": self.past(past, actions, training=training)}

    def _checked_past(self, past: Any) -> Any:
        expected = (self.past.context, *self.past.grid)
        given = None if past is None else tuple(past.shape)
        if given is None or given[1:] != expected:
            raise ValueError(f"{self.name}: past codes of shape {given} given; expected [batch, {expected}].")
        return past

    def _check_actions(self, actions: Any) -> None:
        most, context = self.past.num_actions - 1, self.past.context
        shape = None if actions is None else tuple(actions.shape)
        if shape is None or shape[1:] != (context,):
            raise ValueError(
                f"{self.name}: actions of shape {shape} given; expected int32 [batch, {context}] in 0..{most}."
            )
        values = concrete(actions)
        if values is not None and values.size and not (values.min() >= 0 and values.max() <= most):
            raise ValueError(f"{self.name}: actions in {values.min()}..{values.max()} given; expected 0..{most}.")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "past": keras.saving.serialize_keras_object(self.past)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Dynamics:
        """The model that `get_config` describes."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("network", "past")
        }
        return cls(**{**config, **parts})
