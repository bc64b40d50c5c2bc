"""A WaveNet as the decoder: p(x | z_q) one sample after the other, each given the ones before it and the codes."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive import sample
from vq_vae_tf.modalities.audio.likelihood import AudioLikelihood
from vq_vae_tf.ops.mu_law import mu_law_decode, mu_law_encode


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class AutoregressiveWaveform(AudioLikelihood):
    """Mu-law symbols drawn by an autoregressive network that is conditioned on the decoder's map of features.

    Equation: p(x|z) = product over t of p(mu_law(x_t) | mu_law(x_<t), map(z)), softmax over the network's symbols.
    Paper: section 4.2, "we use a dilated convolutional architecture similar to WaveNet decoder"; WaveNet
    (arXiv 1609.03499), section 2.2.

    Args:
        network: an `AutoregressiveNetwork` over (time,), `condition_features` the width of the decoder's map.
        temperature: of what `mean` gives; below 1 it has less noise than recordings. Densities and `sample` have 1.
    """

    def __init__(self, network: Any, temperature: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(network.symbol_shape) != 1 or network.condition_features < 1:
            raise ValueError(
                f"{self.name}: the network has symbols over {network.symbol_shape} and condition_features="
                f"{network.condition_features}; expected (time,) and the width of the decoder's map."
            )
        self.network, self.temperature = network, temperature

    def build(self, input_shape: Any = None) -> None:
        """Creates the network's weights; its sizes are its own."""
        del input_shape
        if not self.network.built:
            self.network.build()
        self.built = True

    @property
    def outputs(self) -> int:
        """The width of the map."""
        return self.network.condition_features

    def loss(self, params: Any, x: Any, training: bool | None = None) -> Any:
        """-log p(x | params) in nats of the mu-law symbols, `[batch]`, all samples at once (teacher forcing)."""
        symbols = mu_law_encode(x, self.network.num_symbols)
        return ops.sum(self.network.nats(symbols, {"map": params}, training), axis=-1)

    def log_prob(self, params: Any, x: Any) -> Any:
        """log p(mu_law(x) | params) in nats, `[batch]`."""
        return -self.loss(params, x, training=False)

    def mean(self, params: Any) -> Any:
        """A draw with a fixed seed: the expectation has no closed form and is no sound."""
        return self._drawn(params, 0, self.temperature)

    def sample(self, params: Any, seed: Any = None) -> Any:
        """Draws sample by sample with the cached sampler; `seed` may also be a scalar int32 tensor."""
        if seed is None or isinstance(seed, keras.random.SeedGenerator):
            seed = keras.random.randint((), 0, 2**31 - 1, dtype="int32", seed=seed)
        return self._drawn(params, seed, 1.0)

    def _drawn(self, params: Any, seed: Any, temperature: float) -> Any:
        drawn = sample(self.network, ops.shape(params)[0], seed, {"map": params}, temperature)
        return mu_law_decode(drawn, self.network.num_symbols)

    def get_config(self) -> dict[str, Any]:
        """The network, serialised, and the temperature."""
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "temperature": self.temperature}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> AutoregressiveWaveform:
        """The inverse of `get_config`."""
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects=custom_objects)
        return cls(**{**config, "network": network})
