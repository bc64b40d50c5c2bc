"""The next frame's codes from past frames' codes and an action: video imagined in the space of codes."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive import sample
from vq_vae_tf.autoregressive.base import concrete, gate
from vq_vae_tf.prior import Prior, split_inputs

Tensor = Any
FRAME_SEED = 0x5EED  # keeps the noise of the frames of a rollout apart


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class PastEncoder(keras.layers.Layer):
    """What the past says of the next frame: codes int32 `[batch, context, h, w]` -> map `[batch, h, w, features]`.

    Equation: m = P + sum_f W_f e(z_f), f over the past frames; then blocks m <- m + V gate(conv3x3(m) + U a) with
    dilations 1, 2, 4 in turn, where a is the action that leads to the next frame and P are learned positions.
    The action acts through the gates because it multiplies: what a frame turns into depends on how one turns.

    Args:
        num_codes: K.
        grid: (h, w).
        context: past frames.
        num_actions: how many actions there are; 0: none are given.
        features: width of the map.
        num_layers: blocks.
        dropout: rate inside the blocks.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_codes, self.grid, self.context = num_codes, (int(grid[0]), int(grid[1])), context
        self.num_actions, self.features, self.num_layers, self.dropout = num_actions, features, num_layers, dropout
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
            keras.layers.Embedding(num_actions, 2 * features, apart, name=f"action_{i}", dtype=policy)
            for i in range(num_layers if num_actions else 0)
        ]
        self.drop = keras.layers.Dropout(dropout, dtype=policy)

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
        self.built = True

    def call(self, past: Tensor, action: Tensor | None = None, training: bool | None = None) -> Tensor:
        """The map; `action` int32 `[batch]` where there are actions."""
        frame = ops.arange(self.context, dtype="int32")[:, None, None] * self.num_codes
        h = ops.sum(self.codes(ops.cast(past, "int32") + frame), axis=1)
        h = h + ops.cast(self.positions, h.dtype)
        for i, (spread, out) in enumerate(zip(self.spread, self.out, strict=True)):
            inner = spread(h)
            if self.actions:
                inner = inner + self.actions[i](action)[:, None, None, :]
            h = h + out(self.drop(gate(inner), training=training))
        return h

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("num_codes", "grid", "context", "num_actions", "features", "num_layers", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Dynamics(Prior):
    """`log p(z_t | z_{t-context}, ..., z_{t-1}, a_{t-1})` over the code map of one frame. Paper: section 4.5.

    Inputs are a dict {"codes": int32 `[batch, h, w]`, "past": int32 `[batch, context, h, w]`, "action": int32
    `[batch]`}: the frame, those before it and the action that leads to it. Losses, scores and saving are those of
    `Prior`, of which it is one that is conditioned on the past.

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

    def log_prob(self, codes: Any, condition: dict | None = None) -> Tensor:
        """Nats of whole frames: `[batch, h, w]` -> float32 `[batch]`; `condition` has "past" and "action"."""
        return super().log_prob(codes, self.seen(condition))

    def sample(self, batch_size: Any, seed: Any, condition: dict | None = None, *args: Any, **settings: Any) -> Tensor:
        """Codes of next frames int32 `[batch, h, w]`; `condition` has "past" and "action", others as in `Prior`."""
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
        """Imagined frames: past codes `[batch, context, h, w]`, actions int32 `[batch, n]` -> int32 `[batch, n, h, w]`.

        actions[:, i] leads to the i-th imagined frame; without actions only their number counts. Each frame is drawn
        by the cached sampler and takes its place as the youngest of the past; nothing is decoded on the way.
        """
        past, actions = ops.cast(self._checked_past(past), "int32"), ops.cast(actions, "int32")
        batch, count = ops.shape(past)[0], ops.shape(actions)[1]
        in_time = ops.transpose(actions)
        drawn = ops.zeros((count, batch, *self.past.grid), dtype="int32")

        def one(i: Tensor, state: tuple) -> tuple:
            past, drawn = state
            condition = self.seen({"past": past, "action": ops.take(in_time, i, axis=0)})
            now = sample(self.network, batch, seed + i * FRAME_SEED, condition, temperature, top_k, top_p)
            past = ops.concatenate([past[:, 1:], now[:, None]], axis=1)
            return past, ops.slice_update(drawn, (i, 0, 0, 0), now[None])

        drawn = ops.fori_loop(0, count, one, (past, drawn))[1]
        return ops.transpose(drawn, (1, 0, 2, 3))

    def seen(self, condition: dict | None, training: bool | None = None) -> dict:
        """The network's condition, {"map": `[batch, h, w, features]`}. Raises: ValueError for a past that misfits."""
        condition = condition or {}
        past, action = self._checked_past(condition.get("past")), condition.get("action")
        if self.past.num_actions:
            self._check_action(action)
        return {"map": self.past(past, action, training=training)}

    def _checked_past(self, past: Any) -> Any:
        expected = (self.past.context, *self.past.grid)
        given = None if past is None else tuple(past.shape)
        if given is None or given[1:] != expected:
            raise ValueError(f"{self.name}: past codes of shape {given} given; expected [batch, {expected}].")
        return past

    def _check_action(self, action: Any) -> None:
        if action is None:
            raise ValueError(f"{self.name}: no action given; expected int32 [batch] in 0..{self.past.num_actions - 1}.")
        values = concrete(action)
        if values is not None and values.size and not (values.min() >= 0 and values.max() < self.past.num_actions):
            raise ValueError(
                f"{self.name}: actions in {values.min()}..{values.max()} given; expected "
                f"0..{self.past.num_actions - 1}."
            )

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
