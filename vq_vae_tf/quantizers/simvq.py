"""A codebook of random points that moves as a whole."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.ops.nearest import nearest_code
from vq_vae_tf.quantizers.base import Batch, Quantized, Quantizer
from vq_vae_tf.quantizers.codebook import GRADIENTS, squared_error


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class SimVQ(Quantizer):
    """e = C W: fixed random coefficients C, one learned linear map W. Zhu et al. 2024, arXiv 2411.02038.

    Equation: loss = |sg(z) - e|^2 + commitment_cost |z - sg(e)|^2, means over all elements. Every used code moves W,
    and W moves every code, so none is left behind.

    Args:
        num_embeddings: codes in the codebook.
        embedding_dim: of the vector.
        commitment_cost: the weight of the commitment loss.
        gradient: "straight_through", or "rotation" (Fifty et al. 2024).
        seed: of the coefficients.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        commitment_cost: float = 0.25,
        gradient: str = "straight_through",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, **kwargs)
        self._require("commitment_cost", commitment_cost, commitment_cost >= 0, "a number that is not negative")
        self._require("gradient", gradient, gradient in GRADIENTS, f"one of {sorted(GRADIENTS)}")
        self.commitment_cost, self.gradient, self.seed = commitment_cost, gradient, seed

    def _build_state(self) -> None:
        dim = self.embedding_dim
        normal = keras.initializers.RandomNormal(stddev=dim**-0.5, seed=self.seed)
        self._coefficients = self.add_state("coefficients", (self.num_codes, dim), normal)
        self._map = self.add_weight(
            name="map", shape=(dim, dim), initializer=keras.initializers.Identity(), dtype="float32", autocast=False
        )

    @property
    def codebook(self) -> Any:
        """float32 `[num_embeddings, embedding_dim]`: C W."""
        self._ensure_built()
        return ops.matmul(self._coefficients, self._map)

    def _assign(self, vectors: Any) -> Any:
        return nearest_code(vectors, self.codebook)

    def _lookup(self, codes: Any) -> Any:
        return ops.take(self.codebook, codes, axis=0)

    def _quantize(self, vectors: Any, batch: Batch) -> Quantized:
        codebook = self.codebook
        codes = nearest_code(vectors, codebook)
        z_q = ops.take(codebook, codes, axis=0)
        loss = self._mean(squared_error(ops.stop_gradient(vectors), z_q), batch.rows)
        loss = loss + self.commitment_cost * self._mean(squared_error(vectors, ops.stop_gradient(z_q)), batch.rows)
        return Quantized(codes, GRADIENTS[self.gradient](vectors, z_q), loss)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_embeddings": self.num_codes,
            "embedding_dim": self.embedding_dim,
            "commitment_cost": self.commitment_cost,
            "gradient": self.gradient,
            "seed": self.seed,
        }
