"""The paper's quantizer: one codebook, the nearest code."""

from __future__ import annotations

from typing import Any

import keras

from vq_vae_tf.quantizers.base import Batch, Quantized
from vq_vae_tf.quantizers.codebook import GRADIENTS, Codebook, CodebookQuantizer, unit_vectors

Schedule = keras.optimizers.schedules.LearningRateSchedule
DISTANCES = ("euclidean", "cosine")


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class VectorQuantizer(CodebookQuantizer):
    """z_q = e_k, k = argmin_j |z - e_j|. Paper section 3, equations 1 to 3; appendix A.1.

    Losses, and the arguments of the codebook (`commitment_cost`, `ema_decay`, `initialization`, `revive_below`,
    `gradient`, `seed`): see `CodebookQuantizer`.

    Args:
        num_embeddings: codes in the codebook, the paper's K.
        embedding_dim: the paper's D.
        distance: "euclidean" (the paper's), or "cosine": z and codes are scaled to length 1 first, so the output has
            length 1 and losses compare unit vectors (Yu et al. 2021, arXiv 2110.04627, section 3.1).
        temperature: in training, code k is drawn with probability proportional to exp(-|z - e_k|^2 / temperature);
            0: the nearest code, always. Or a Keras schedule (`keras.optimizers.schedules`): positive temperatures over
            the batches that the codebook has learned from.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        commitment_cost: float = 0.25,
        ema_decay: float | None = None,
        initialization: Any = "data",
        revive_below: float = 0.01,
        gradient: str = "straight_through",
        distance: str = "euclidean",
        temperature: float | keras.optimizers.schedules.LearningRateSchedule = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_embeddings,
            embedding_dim,
            commitment_cost,
            ema_decay,
            initialization,
            revive_below,
            gradient,
            seed,
            **kwargs,
        )
        self._require("distance", distance, distance in DISTANCES, f"one of {DISTANCES}")
        if isinstance(temperature, dict):  # out of a config
            temperature = keras.saving.deserialize_keras_object(temperature)
        possible = isinstance(temperature, Schedule) or temperature >= 0
        self._require("temperature", temperature, possible, "a number that is not negative, or a Keras schedule")
        self.distance = distance
        self._temperature = temperature if isinstance(temperature, Schedule) else float(temperature)

    def _build_state(self) -> None:
        self._book = Codebook(self, (self.num_codes, self.embedding_dim), unit=self.distance == "cosine")

    @property
    def codebook(self) -> Any:
        """float32 `[num_embeddings, embedding_dim]`."""
        self._ensure_built()
        return self._book.value

    @property
    def draws(self) -> bool:
        """Whether training draws its codes."""
        return isinstance(self._temperature, Schedule) or self._temperature > 0

    @property
    def temperature(self) -> Any:
        """At which codes are drawn, a number; under a schedule a scalar float32, after as much learning as so far."""
        if not isinstance(self._temperature, Schedule):
            return self._temperature
        self._ensure_built()
        return self._temperature(self._book.steps)

    def _scaled(self, vectors: Any) -> Any:
        return unit_vectors(vectors) if self.distance == "cosine" else vectors

    def comparable(self, vectors: Any) -> Any:
        """See `Quantizer`: of length 1 where the distance is cosine."""
        return self._scaled(vectors)

    def _assign(self, vectors: Any) -> Any:
        return self._book.choose(self._scaled(vectors))

    def _lookup(self, codes: Any) -> Any:
        return self._book.lookup(codes)

    def _quantize(self, vectors: Any, batch: Batch) -> Quantized:
        vectors = self._scaled(vectors)
        if batch.learning:
            self._book.prepare(vectors, batch.valid)
        codes = self._book.choose(vectors, self.temperature if batch.training and self.draws else None)
        z_q = self._book.lookup(codes)
        return Quantized(codes, GRADIENTS[self.gradient](vectors, z_q), self._loss(vectors, z_q, batch.rows))

    def _learn(self, vectors: Any, codes: Any, weights: Any, counts: Any) -> None:
        self._book.learn(self._scaled(vectors), codes, weights, counts)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        kept = self._temperature
        kept = keras.saving.serialize_keras_object(kept) if isinstance(kept, Schedule) else kept
        return {**super().get_config(), "distance": self.distance, "temperature": kept}
