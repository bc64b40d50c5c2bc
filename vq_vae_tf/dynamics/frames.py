"""The next frame's codes from past frames' codes and actions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive import sample
from vq_vae_tf.autoregressive.base import concrete
from vq_vae_tf.dynamics.past import PastEncoder
from vq_vae_tf.prior import Prior, split_inputs

Tensor = Any
FRAME_SEED = 0x5EED  # keeps the noise of the frames of a rollout apart


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

        Raises: ValueError for a past that misfits, too few actions, or other films of one than of the other.
        """
        past, actions = ops.cast(self._checked_past(past), "int32"), ops.cast(actions, "int32")
        context = self.past.context
        if actions.shape[1] is not None and actions.shape[1] < context:
            raise ValueError(
                f"{self.name}: {actions.shape[1]} actions given; expected at least {context}, the {context - 1} "
                "between the past frames and those that lead to the imagined ones."
            )
        if None not in (past.shape[0], actions.shape[0]) and past.shape[0] != actions.shape[0]:
            raise ValueError(f"{self.name}: {past.shape[0]} pasts and actions of {actions.shape[0]}; expected as many.")
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
