"""No codebook to learn: each dimension rounded to a few levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.ops.straight_through import straight_through
from vq_vae_tf.quantizers.base import Batch, Quantized, Quantizer


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class FiniteScalarQuantizer(Quantizer):
    """Dimension i squashed into its `levels[i]` levels and rounded. Mentzer et al. 2023, arXiv 2309.15505, section 3.1.

    Equation: b_i = h_i tanh(z_i + atanh(o_i / h_i)) - o_i with h_i = (L_i - 1)(1 + 1e-3) / 2 and o_i = 0 for odd L_i,
    1/2 for even; z_q = round(b) / floor(L / 2), in [-1, 1]; the gradient is that of b / floor(L / 2). No loss.
    The code is the mixed-radix number of the digits round(b_i) + floor(L_i / 2), first dimension least significant.

    Args:
        levels: L, one number per dimension, each at least 2; the vector has `len(levels)` dimensions and
            prod(levels) codes, e.g. (8, 5, 5, 5) for 1000.

    Differs from the paper: its listing has tan for atanh, and 1 - 1e-3, which leaves no room for the offset if L_i = 2.
    """

    def __init__(self, levels: Sequence[int], **kwargs: Any) -> None:
        levels = tuple(int(level) for level in levels)
        super().__init__(num_codes=math.prod(levels), embedding_dim=len(levels), **kwargs)
        self._require("levels", levels, min(levels) >= 2, "at least 2 for each dimension")
        self._require("levels", levels, math.prod(levels) <= 1 << 24, "a product of at most 2^24 codes")
        self.levels = levels
        sizes = np.asarray(levels)
        self._radix = np.cumprod([1, *levels[:-1]]).astype("int32")
        self._sizes, self._middle = sizes.astype("int32"), (sizes // 2).astype("float32")
        self._half = ((sizes - 1) * (1 + 1e-3) / 2).astype("float32")
        self._offset = np.where(sizes % 2 == 0, 0.5, 0.0).astype("float32")
        self._shift = np.arctanh(self._offset / self._half).astype("float32")

    def _bounded(self, vectors: Any) -> Any:
        return ops.tanh(vectors + self._shift) * self._half - self._offset

    def _assign(self, vectors: Any) -> Any:
        digits = ops.clip(ops.round(self._bounded(vectors)) + self._middle, 0, self._sizes - 1.0)
        digits = ops.where(ops.isnan(digits), 0.0, digits)
        return ops.sum(ops.cast(digits, "int32") * self._radix, axis=-1)

    def comparable(self, vectors: Any) -> Any:
        """See `Quantizer`: squashed, on the scale of the codes."""
        return self._bounded(vectors) / self._middle

    def _lookup(self, codes: Any) -> Any:
        digits = ops.mod(ops.floor_divide(codes[:, None], self._radix), self._sizes)
        return (ops.cast(digits, "float32") - self._middle) / self._middle

    def _quantize(self, vectors: Any, batch: Batch) -> Quantized:
        codes = self._assign(vectors)
        output = straight_through(self._bounded(vectors) / self._middle, self._lookup(codes))
        return Quantized(codes, output, ops.zeros((), "float32"))

    @property
    def codebook(self) -> Any:
        """float32 `[num_codes, len(levels)]`: every point of the grid."""
        return self._lookup(ops.arange(self.num_codes, dtype="int32"))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "levels": list(self.levels)}
