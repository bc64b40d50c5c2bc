"""The prior over codes of two levels: first all of the top, then the bottom given the top."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.autoregressive import sample
from vq_vae_tf.hierarchy.layout import pack, unpack
from vq_vae_tf.prior import Prior

Tensor = Any
BOTTOM_SEED = 0x5EED  # keeps the noise of the two levels apart


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class TwoLevelPrior(Prior):
    """`p(top) p(bottom | top)` over codes packed as `vq_vae_tf.hierarchy.layout` says. Paper: arXiv 1906.00446, 3.2.

    Scores, losses and saving are those of `Prior`; only drawing differs, since the order is not raster order.

    Args:
        network: a `TwoLevelNetwork`.
    """

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
        """Codes int32 `[batch, h, w, 1 + factor^2]`; arguments as in `autoregressive.sample`.

        Raises:
            ValueError: `given` without `keep_mask`, since a prefix in raster order is none in the order of drawing.
        """
        if given is not None and keep_mask is None:
            raise ValueError(f"{self.name}: given without keep_mask; a prior over two levels keeps by mask only.")
        settings, network = (temperature, top_k, top_p), self.network
        (top_given, bottom_given), (top_mask, bottom_mask) = self._levels(given), self._levels(keep_mask)
        top = sample(network.top, batch_size, seed, condition, *settings, top_given, top_mask)
        below = network.below(top, condition)
        bottom = sample(network.bottom, batch_size, seed + BOTTOM_SEED, below, *settings, bottom_given, bottom_mask)
        return pack(top, bottom)

    def _levels(self, packed: Any) -> tuple[Any, Any]:
        """Codes or a mask of each level; a mask may come without batch."""
        if packed is None:
            return None, None
        packed = ops.convert_to_tensor(packed)
        shape = tuple(packed.shape)
        if shape == self.network.symbol_shape:
            return tuple(part[0] for part in unpack(packed[None]))
        if shape[1:] != self.network.symbol_shape:
            raise ValueError(
                f"{self.name}: given or keep_mask of shape {shape}; expected [batch, {self.network.symbol_shape}]."
            )
        return unpack(packed)
