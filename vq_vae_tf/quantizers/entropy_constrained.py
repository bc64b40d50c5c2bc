"""The cheapest code: distortion plus what it costs to send it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.ops.nearest import nearest_code
from vq_vae_tf.quantizers.base import Batch, Quantized
from vq_vae_tf.quantizers.codebook import GRADIENTS, Codebook, CodebookQuantizer


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class EntropyConstrainedQuantizer(CodebookQuantizer):
    """k = argmin_j |z - e_j|^2 - bit_cost log2 p_j. Chou, Lookabaugh and Gray 1989.

    The losses are those of the chosen code, see `CodebookQuantizer`. The distribution p is given, or the moving
    average of the codes' use, u: p_j = (u_j + s) / sum(u + s), where s is a hundredth of the mean of u, so that a code
    unused for long costs about log2(100 K) bits, not infinitely many. The cost is constant: no gradient goes to p.

    Args:
        num_embeddings: codes in the codebook.
        embedding_dim: of the vector.
        bit_cost: lambda, squared distance per bit; 0 gives the nearest code.
        probabilities: p, of shape `[num_embeddings]` and positive; None: the running distribution.
        kwargs: the arguments of the codebook (see `CodebookQuantizer`), then those of a Keras layer.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        bit_cost: float = 0.01,
        probabilities: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, **kwargs)
        self._require("bit_cost", bit_cost, bit_cost >= 0, "a number that is not negative")
        if probabilities is not None:
            p = np.asarray(probabilities, np.float64)
            self._require("probabilities", probabilities, p.shape == (num_embeddings,), f"{num_embeddings} numbers")
            self._require("probabilities", probabilities, bool(np.all(p > 0)), "positive numbers")
            probabilities = (p / p.sum()).tolist()
        self.bit_cost, self.probabilities = bit_cost, probabilities

    def _build_state(self) -> None:
        self._book = Codebook(self, (self.num_codes, self.embedding_dim))

    @property
    def codebook(self) -> Any:
        """float32 `[num_embeddings, embedding_dim]`."""
        self._ensure_built()
        return self._book.value

    @property
    def code_bits(self) -> Any:
        """-log2 p: float32 `[num_embeddings]`, what each code costs in bits."""
        self._ensure_built()
        if self.probabilities is not None:
            return ops.convert_to_tensor(-np.log2(self.probabilities), "float32")
        usage = ops.convert_to_tensor(self._book.usage)
        smoothed = usage + 0.01 * ops.mean(usage) + 1e-20
        return ops.log(ops.sum(smoothed) / smoothed) / math.log(2.0)

    def _assign(self, vectors: Any) -> Any:
        return nearest_code(vectors, self._book.value, penalty=self.bit_cost * self.code_bits)

    def _lookup(self, codes: Any) -> Any:
        return self._book.lookup(codes)

    def _quantize(self, vectors: Any, batch: Batch) -> Quantized:
        if batch.learning:
            self._book.prepare(vectors, batch.valid)
        codes = self._assign(vectors)
        z_q = self._book.lookup(codes)
        return Quantized(codes, GRADIENTS[self.gradient](vectors, z_q), self._loss(vectors, z_q, batch.rows))

    def _learn(self, vectors: Any, codes: Any, weights: Any, counts: Any) -> None:
        self._book.learn(vectors, codes, weights, counts)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "bit_cost": self.bit_cost, "probabilities": self.probabilities}
