"""Codes that are the signs of the vector."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from vq_vae_tf.ops.replicas import replica_count, replica_sum
from vq_vae_tf.ops.straight_through import straight_through
from vq_vae_tf.quantizers.base import Batch, Quantized, Quantizer
from vq_vae_tf.quantizers.codebook import squared_error


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class LookupFreeQuantizer(Quantizer):
    """z_q = sign(z); the code has bit i set where z_i > 0. Yu et al. 2023, arXiv 2310.05737, section 3.1.

    Equation: loss = commitment_cost |z - z_q|^2 + entropy_weight (E[H(b | z)] - diversity H(E[b | z])). Bit i of b is 1
    with probability sigmoid(4 z_i / temperature), what a softmax over -|z - c|^2 / temperature gives it. Entropies are
    sums over bits, in nats; the squared error is a mean over elements. The first entropy wants each vector sure of its
    bits, the second wants each bit on half of the time.

    Args:
        num_bits: dimensions of the vector; 2^num_bits codes.
        commitment_cost: the weight of the commitment loss.
        entropy_weight: the weight of the entropy terms.
        diversity: the weight of the second entropy against the first.
        temperature: of the soft assignment, in squared distance.

    Differs from the paper: the entropy of the mean is that of independent bits, an upper bound on the joint one that
    needs no sum over 2^num_bits codes.
    """

    def __init__(
        self,
        num_bits: int,
        commitment_cost: float = 0.25,
        entropy_weight: float = 0.1,
        diversity: float = 1.0,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if not 1 <= num_bits <= 24:
            raise ValueError(f"{type(self).__name__} received num_bits={num_bits!r}; expected 1 to 24.")
        super().__init__(num_codes=2**num_bits, embedding_dim=num_bits, **kwargs)
        for name, value in (("commitment_cost", commitment_cost), ("entropy_weight", entropy_weight)):
            self._require(name, value, value >= 0, "a number that is not negative")
        self._require("diversity", diversity, diversity >= 0, "a number that is not negative")
        self._require("temperature", temperature, temperature > 0, "a positive number")
        self.commitment_cost, self.entropy_weight = commitment_cost, entropy_weight
        self.diversity, self.temperature = diversity, temperature
        self._bits = (1 << np.arange(num_bits)).astype("int32")

    def _assign(self, vectors: Any) -> Any:
        return ops.sum(ops.cast(vectors > 0.0, "int32") * self._bits, axis=-1)

    def _lookup(self, codes: Any) -> Any:
        bits = ops.mod(ops.floor_divide(codes[:, None], self._bits), 2)
        return 2.0 * ops.cast(bits, "float32") - 1.0

    def _quantize(self, vectors: Any, batch: Batch) -> Quantized:
        codes = self._assign(vectors)
        z_q = self._lookup(codes)
        loss = self.commitment_cost * self._mean(squared_error(vectors, ops.stop_gradient(z_q)), batch.rows)
        if self.entropy_weight:
            loss = loss + self.entropy_weight * self._entropies(vectors, batch.rows)
        return Quantized(codes, straight_through(vectors, z_q), loss)

    def _entropies(self, vectors: Any, rows: Any | None) -> Any:
        logits = (4.0 / self.temperature) * vectors
        sure = self._mean(ops.sum(_logit_entropy(logits), axis=-1), rows)
        probabilities = self._mean(ops.sigmoid(logits), rows)
        # All replicas see the mean over all of them, so the sum of their gradients is that of the global term.
        mean = ops.clip(replica_sum(probabilities) / replica_count(), 1e-7, 1.0 - 1e-7)
        spread = -ops.sum(mean * ops.log(mean) + (1.0 - mean) * ops.log(1.0 - mean))
        return sure - self.diversity * spread

    @property
    def codebook(self) -> Any:
        """float32 `[2^num_bits, num_bits]`: every vector of signs."""
        return self._lookup(ops.arange(self.num_codes, dtype="int32"))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_bits": self.embedding_dim,
            "commitment_cost": self.commitment_cost,
            "entropy_weight": self.entropy_weight,
            "diversity": self.diversity,
            "temperature": self.temperature,
        }


def _logit_entropy(logits: Any) -> Any:
    """The entropy in nats of a bit that is 1 with probability sigmoid(logit), without overflow."""
    size = ops.abs(logits)
    return ops.log1p(ops.exp(-size)) + size * ops.sigmoid(-size)
