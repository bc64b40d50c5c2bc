"""A PixelCNN as the decoder: p(x | z_q) one pixel after the other, each given the ones before it and the codes."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive import sample
from vq_vae_tf.modalities.image.likelihood import Likelihood
from vq_vae_tf.modalities.image.likelihood.base import sum_per_example


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class AutoregressivePixels(Likelihood):
    """A likelihood whose parameters are a map of features that an autoregressive network is conditioned on.

    Equation: p(x|z) = product over pixels and channels, in raster order, of p(x_i | x_<i, map(z)).
    Paper: section 4.2, "a PixelCNN decoder": with it a continuous VAE's latents collapse, discrete ones do not.

    The symbols stay 256-way, as in the PixelCNN papers: the trunk runs once a pixel and costs several times what the
    softmax over 256 values of three channels does, so a mixture of logistics would save little here.

    Args:
        network: an `AutoregressiveNetwork` over pixels, 256 symbols over (height, width, channels) with `num_channels`
            the channels; or over maps of codes (height, width), as many symbols as there are codes. Its
            `condition_features` are the width of the map that the decoder gives.
        use_codes: False puts zeros in the place of the map: the same network without codes, to compare with.
    """

    def __init__(self, network: Any, use_codes: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        shape = tuple(network.symbol_shape)
        pixels = len(shape) == 3 and network.num_channels == shape[-1] and network.num_symbols == 256
        if not pixels and (len(shape) != 2 or network.num_channels is not None):
            raise ValueError(
                f"{self.name}: the network has {network.num_symbols} symbols over {shape} with num_channels="
                f"{network.num_channels}; expected 256 over (height, width, channels) with num_channels=channels, or "
                "any number over (height, width)."
            )
        if network.condition_features < 1:
            raise ValueError(f"{self.name}: the network has condition_features=0; expected the width of the map.")
        self.network, self.use_codes = network, use_codes

    def build(self, input_shape: Any = None) -> None:
        """Creates the network's weights; its sizes are its own."""
        del input_shape
        if not self.network.built:
            self.network.build()
        self.built = True

    def outputs(self, channels: int) -> int:
        """The width of the map, for any number of channels."""
        del channels
        return self.network.condition_features

    def loss(self, params: Any, x: Any, training: bool | None = None) -> Any:
        """-log p(x | params) in nats, `[batch]`, all pixels at once (teacher forcing)."""
        return sum_per_example(self._nats(params, x, training))

    def log_prob_map(self, params: Any, x: Any) -> Any:
        """log p(pixel | pixels before it, params) in nats, `[batch, height, width]`."""
        nats = -self._nats(params, x, training=False)
        return nats if self.network.num_channels is None else ops.sum(nats, axis=-1)

    def _nats(self, params: Any, x: Any, training: bool | None) -> Any:
        x = ops.cast(x, "int32")
        logits = self.network(x, self._condition(params), training=training)
        return ops.sparse_categorical_crossentropy(x, logits, from_logits=True)

    def mean(self, params: Any) -> Any:
        """A draw with a fixed seed: the expectation has no closed form, and the paper shows draws."""
        return self.sample(params, seed=0)

    def sample(self, params: Any, seed: Any = None) -> Any:
        """Draws pixel by pixel with the cached sampler; `seed` may also be a scalar int32 tensor."""
        if seed is None or isinstance(seed, keras.random.SeedGenerator):
            seed = keras.random.randint((), 0, 2**31 - 1, dtype="int32", seed=seed)
        drawn = sample(self.network, ops.shape(params)[0], seed, self._condition(params))
        return ops.cast(drawn, "float32")

    def _condition(self, params: Any) -> dict[str, Any]:
        return {"map": params if self.use_codes else ops.zeros_like(params)}

    def get_config(self) -> dict[str, Any]:
        """The network, serialised, and whether it sees the codes."""
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "use_codes": self.use_codes}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> AutoregressivePixels:
        """The inverse of `get_config`."""
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects=custom_objects)
        return cls(**{**config, "network": network})
