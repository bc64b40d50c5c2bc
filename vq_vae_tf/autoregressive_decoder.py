"""A PixelCNN as the decoder: p(x | z_q) one pixel after the other, each given the ones before it and the codes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.autoregressive import sample
from vq_vae_tf.modalities.image.fold import fold, unfold
from vq_vae_tf.modalities.image.likelihood import Likelihood
from vq_vae_tf.modalities.image.likelihood.base import sum_per_example


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class AutoregressivePixels(Likelihood):
    """A likelihood whose parameters are a map of features that an autoregressive network is conditioned on.

    Equation: p(x|z) = product over pixels and channels, in order, of p(x_i | x_<i, map(z)).
    Paper: section 4.2, "a PixelCNN decoder": with it a continuous VAE's latents collapse, discrete ones do not.

    The order is raster order, over squares of `side` x `side` pixels and then over the pixels and channels of a square.
    A square is one place of the network: side = 2 makes its trunk, and each step of sampling, four times cheaper.

    Args:
        network: an `AutoregressiveNetwork` over squares of pixels, 256 symbols over (height / side, width / side,
            channels * side^2) with `num_channels` the last; or over maps of codes (height, width), as many symbols as
            there are codes. Its `condition_features` are side^2 times the width of the map that the decoder gives.
        use_codes: False for a network with condition_features=0, which sees no map: the one without codes, to compare
            with. (A map of zeros in its place would mislead one that measures pixels by a picture.)
        side: of the squares, in pixels.

    Raises:
        ValueError: a network that is over neither, or sees a map without codes or none with them.
    """

    def __init__(self, network: Any, use_codes: bool = True, side: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        shape = tuple(network.symbol_shape)
        pixels = len(shape) == 3 and network.num_channels == shape[-1] and network.num_symbols == 256
        if not pixels and (len(shape) != 2 or network.num_channels is not None):
            raise ValueError(
                f"{self.name}: the network has {network.num_symbols} symbols over {shape} with num_channels="
                f"{network.num_channels}; expected 256 over (height, width, channels) with num_channels=channels, or "
                "any number over (height, width)."
            )
        if use_codes == (network.condition_features < 1):
            raise ValueError(
                f"{self.name}: the network has condition_features={network.condition_features} with use_codes="
                f"{use_codes}; expected the width of the map with codes, 0 without."
            )
        if any(size % side**2 for size in (network.condition_features, *(shape[-1:] if pixels else ()))):
            raise ValueError(
                f"{self.name}: the network has {shape[-1]} channels and condition_features={network.condition_features}"
                f"; with side={side} both are multiples of {side**2}."
            )
        self.network, self.use_codes, self.side = network, use_codes, side

    def build(self, input_shape: Any = None) -> None:
        """Creates the network's weights; its sizes are its own."""
        del input_shape
        if not self.network.built:
            self.network.build()
        self.built = True

    def outputs(self, channels: int) -> int:
        """The width of the map; where nobody looks at one, that of a picture."""
        return self.network.condition_features // self.side**2 or channels

    def location(self, channels: int) -> tuple[np.ndarray, np.ndarray] | None:
        """See `Likelihood`: the first features of the map are 2 u, what the codes say of the pixel itself."""
        width = self.outputs(channels)
        if self.network.num_channels is None or width < channels:
            return None
        return 2.0 * np.eye(channels, width), np.zeros(width)

    def loss(self, params: Any, x: Any, training: bool | None = None) -> Any:
        """-log p(x | params) in nats, `[batch]`, all pixels at once (teacher forcing)."""
        return sum_per_example(self._nats(params, x, training))

    def log_prob_map(self, params: Any, x: Any) -> Any:
        """log p(pixel | pixels before it, params) in nats, `[batch, height, width]`."""
        nats = -self._nats(params, x, training=False)
        return nats if self.network.num_channels is None else ops.sum(unfold(nats, self.side), axis=-1)

    def _nats(self, params: Any, x: Any, training: bool | None) -> Any:
        symbols = self._squares(ops.cast(x, "int32"))
        return self.network.nats(symbols, self._condition(params), training)

    def _squares(self, pixels: Any) -> Any:
        return pixels if self.side == 1 else fold(pixels, self.side)

    def mean(self, params: Any) -> Any:
        """A draw with a fixed seed: the expectation has no closed form, and the paper shows draws."""
        return self.sample(params, seed=0)

    def sample(self, params: Any, seed: Any = None) -> Any:
        """Draws pixel by pixel with the cached sampler; `seed` may also be a scalar int32 tensor."""
        if seed is None or isinstance(seed, keras.random.SeedGenerator):
            seed = keras.random.randint((), 0, 2**31 - 1, dtype="int32", seed=seed)
        drawn = sample(self.network, ops.shape(params)[0], seed, self._condition(params))
        return ops.cast(drawn if self.side == 1 else unfold(drawn, self.side), "float32")

    def _condition(self, params: Any) -> dict[str, Any]:
        return {"map": self._squares(params)}

    def get_config(self) -> dict[str, Any]:
        """The network, serialised, whether it sees the codes, and the side of its squares."""
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "use_codes": self.use_codes, "side": self.side}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> AutoregressivePixels:
        """The inverse of `get_config`."""
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects=custom_objects)
        return cls(**{**config, "network": network})
