"""The prior over codes, p(z) (VQ-VAE paper, section 3.3): uniform, or an autoregressive network."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive import sample
from vq_vae_tf.autoregressive.base import concrete, whole
from vq_vae_tf.autoregressive.uniform import Uniform
from vq_vae_tf.ops.fit_loss import fit_loss

Tensor = Any


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Prior(keras.Model):
    """`log p(z) = sum_t log p(z_t | z_<t, condition)` over a whole code map.

    Inputs are codes int32 `[batch, *code_shape]` or a dict `{"codes": ..., "label": int32 [batch], "map": ...}`;
    "label" and "map" are used when the network was built to need them and ignored otherwise.

    Args:
        network: an `AutoregressiveNetwork` over `code_shape`.
    """

    def __init__(self, network: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.network = network
        self.bits_tracker = keras.metrics.Mean(name="bits_per_code")

    def build(self, input_shape: Any = None) -> None:
        """All sizes are known from the network."""
        if not self.network.built:
            self.network.build()
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        """Logits `[batch, *code_shape, num_codes]` of every code given the ones before it."""
        codes, condition = split_inputs(inputs)
        return self.network(codes, condition, training=training)

    def loss_terms(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        """`loss`: mean nats a code; `bits_per_code`: the same in bits."""
        return _terms(self.nats(inputs, training))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Mean nats a code, so that plain `compile(optimizer)` and `fit(codes)` train the prior.

        Targets are ignored. Raises: ValueError for sample weights.
        """
        del y
        nats = self.nats(x, training) if y_pred is None else _nats(split_inputs(x)[0], y_pred)
        terms = _terms(nats)
        self.bits_tracker.update_state(terms["bits_per_code"], sample_weight=ops.shape(nats)[0])
        return fit_loss(self, terms["loss"], sample_weight)

    def nats(self, inputs: Any, training: bool | None = None) -> Tensor:
        """-log p of every code given the ones before it, float32 `[batch, *code_shape]`; inputs as for a call."""
        codes, condition = split_inputs(inputs)
        return self.network.nats(codes, condition, training)

    def log_prob(self, codes: Any, condition: dict | None = None) -> Tensor:
        """Nats of whole code maps: `[batch, *code_shape]` -> float32 `[batch]`."""
        whole(codes, f"{self.name}: codes")
        values = concrete(codes)
        if values is not None and values.size and not (values.min() >= 0 and values.max() < self.network.num_symbols):
            expected = f"0..{self.network.num_symbols - 1}; were they written by another model?"
            raise ValueError(f"{self.name}: codes in {values.min()}..{values.max()} given; expected {expected}")
        nats = self.network.nats(codes, condition, training=False)
        return -ops.sum(ops.reshape(nats, (-1, self.network.num_positions)), axis=-1)

    def bits_per_code(self, codes: Any, condition: dict | None = None) -> Tensor:
        """Mean bits a code of each map, `[batch]`; a uniform prior spends log2(num_codes)."""
        return -self.log_prob(codes, condition) / (self.network.num_positions * math.log(2))

    def sample(
        self,
        batch_size: Any,
        seed: Any,
        condition: dict | None = None,
        temperature: Any = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        given: Any = None,
        keep_mask: Any = None,
    ) -> Tensor:
        """Codes int32 `[batch, *code_shape]`; arguments as in `autoregressive.sample`."""
        return sample(self.network, batch_size, seed, condition, temperature, top_k, top_p, given, keep_mask)

    def get_config(self) -> dict:
        """Constructor arguments."""
        return {**super().get_config(), "network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Prior:
        """The model that `get_config` describes."""
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects)
        return cls(**{**config, "network": network})


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class UniformPrior(Prior):
    """`p(z) = num_codes ** -(number of codes)`: log2(num_codes) bits a code, no weights, nothing to train.

    The prior that the VQ-VAE objective assumes while it is trained (section 3.1).
    """

    def __init__(self, num_codes: int, code_shape: tuple, **kwargs: Any):
        super().__init__(Uniform(num_codes, code_shape), **kwargs)

    def get_config(self) -> dict:
        """Constructor arguments."""
        config = super().get_config()
        config.pop("network")
        return {**config, "num_codes": self.network.num_symbols, "code_shape": self.network.symbol_shape}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> UniformPrior:
        """The model that `get_config` describes."""
        return cls(**config)


def split_inputs(inputs: Any) -> tuple[Tensor, dict]:
    """Codes and condition of bare codes or of a dict."""
    if not isinstance(inputs, dict):
        return inputs, {}
    return inputs["codes"], {name: value for name, value in inputs.items() if name != "codes"}


def _terms(nats: Tensor) -> dict[str, Tensor]:
    mean = ops.mean(nats)
    return {"loss": mean, "bits_per_code": ops.stop_gradient(mean) / math.log(2)}


def _nats(codes: Tensor, logits: Tensor) -> Tensor:
    return ops.sparse_categorical_crossentropy(ops.cast(codes, "int32"), logits, from_logits=True)
