"""The paper's quantizer: one codebook, the nearest code."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.ops.ema import draw_vectors, ema_codebook, ema_counts
from vq_vae_tf.ops.nearest import nearest_code
from vq_vae_tf.ops.replicas import replica_sum
from vq_vae_tf.ops.straight_through import rotation_trick, straight_through
from vq_vae_tf.quantizers.base import Quantizer

USAGE_DECAY = 0.99  # of the counts that decide which codes are dead when the codebook learns by gradient


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class VectorQuantizer(Quantizer):
    """z_q = e_k, k = argmin_j |z - e_j|. Paper section 3, equations 1 to 3; appendix A.1.

    Equation: loss = |sg(z) - e|^2 + commitment_cost |z - sg(e)|^2, means over all elements; the first term is left out
    when `ema_decay` is given, since then the codes are moving averages of the vectors assigned to them.

    Args:
        num_embeddings: codes in the codebook, the paper's K.
        embedding_dim: the paper's D.
        commitment_cost: the paper's beta.
        ema_decay: None: the codebook learns by gradient (equation 3); a number in (0, 1): by moving averages (appendix
            A.1), e.g. 0.99.
        initialization: "data": the first training batches give the codes, different vectors for different codes;
            anything else: a Keras initializer.
        revive_below: a code whose moving count of uses falls below this share of the mean count is moved to a random
            vector of the batch; 0: never.
        gradient: "straight_through" (the paper's) or "rotation" (Fifty et al. 2024).
        seed: of the random choices.

    Differs from the paper: means over elements, where the paper has squared norms; codes start from data and dead codes
    are revived, unless `initialization="normal", revive_below=0`.
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
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_codes=num_embeddings, embedding_dim=embedding_dim, **kwargs)
        self._require("commitment_cost", commitment_cost, commitment_cost >= 0, "a number that is not negative")
        self._require(
            "ema_decay", ema_decay, ema_decay is None or 0 < ema_decay < 1, "None or a number between 0 and 1"
        )
        self._require("revive_below", revive_below, 0 <= revive_below < 1, "a number from 0 to below 1")
        self._require("gradient", gradient, gradient in GRADIENTS, f"one of {sorted(GRADIENTS)}")
        self.commitment_cost, self.ema_decay, self.revive_below = commitment_cost, ema_decay, revive_below
        self.from_data = initialization == "data"
        self.initializer = keras.initializers.get("variance_scaling" if self.from_data else initialization)
        self.gradient, self.seed = gradient, seed

    def _build_state(self) -> None:
        shape = (self.num_codes, self.embedding_dim)
        self.usage = self._state("usage", shape[:1])
        self.steps = self._state("steps", (), dtype="int32")
        if self.ema_decay is not None:
            self._codes = self._state("codebook", shape, self.initializer)
            return
        self._codes = self.add_weight(
            name="codebook", shape=shape, initializer=self.initializer, dtype="float32", autocast=False
        )
        # Only an optimizer may write to a trainable weight inside a compiled step (on JAX the write would be lost),
        # so initialisation and revival move a code through a second, untrained term.
        self._offsets = self._state("codebook_offsets", shape)

    @property
    def codebook(self) -> Any:
        """float32 `[num_embeddings, embedding_dim]`."""
        self._ensure_built()
        codes = ops.convert_to_tensor(self._codes)
        return codes if self.ema_decay is not None else codes + self._offsets

    def _move(self, codebook: Any) -> None:
        if self.ema_decay is not None:
            self._codes.assign(codebook)
        else:
            self._offsets.assign(codebook - self._codes)

    def _assign(self, vectors: Any) -> Any:
        return nearest_code(vectors, self.codebook)

    def _lookup(self, codes: Any) -> Any:
        return ops.take(self.codebook, codes, axis=0)

    def _prepare(self, vectors: Any, valid: Any) -> None:
        """Sets codes that nothing has used so far, and moves those that nothing uses any more."""
        if not (self.from_data or self.revive_below):
            return
        share = replica_sum(ops.sum(ops.cast(valid, "float32"))) / self.num_codes
        usage = ops.convert_to_tensor(self.usage)
        unset = usage == 0.0
        wanted = unset if self.from_data else ops.zeros_like(unset)
        wanted = wanted | (~unset & (usage < self.revive_below * share))
        drawn, found = draw_vectors(vectors, valid, wanted, self.seed, self.steps)
        self._move(ops.where(found[:, None], drawn, self.codebook))
        self.usage.assign(ops.where(found if self.from_data else found | unset, share, usage))
        self.steps.assign_add(1)

    def _quantize(self, vectors: Any, rows: Any | None, training: bool) -> tuple[Any, Any, Any]:
        codes = self._assign(vectors)
        z_q = self._lookup(codes)
        loss = self.commitment_cost * self._mean(_squared(vectors, ops.stop_gradient(z_q)), rows)
        if self.ema_decay is None:
            loss = loss + self._mean(_squared(ops.stop_gradient(vectors), z_q), rows)
        return codes, GRADIENTS[self.gradient](vectors, z_q), loss

    def _learn(self, vectors: Any, codes: Any, valid: Any, counts: Any) -> None:
        decay = USAGE_DECAY if self.ema_decay is None else self.ema_decay
        usage = ema_counts(ops.convert_to_tensor(self.usage), counts, decay)
        self.usage.assign(usage)
        if self.ema_decay is None:
            return
        residuals = ops.where(valid[:, None], vectors - self._lookup(codes), 0.0)
        sums = replica_sum(ops.segment_sum(residuals, codes, num_segments=self.num_codes))
        self._move(ema_codebook(self.codebook, sums, usage, decay))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_embeddings": self.num_codes,
            "embedding_dim": self.embedding_dim,
            "commitment_cost": self.commitment_cost,
            "ema_decay": self.ema_decay,
            "initialization": "data" if self.from_data else keras.initializers.serialize(self.initializer),
            "revive_below": self.revive_below,
            "gradient": self.gradient,
            "seed": self.seed,
        }


GRADIENTS = {"straight_through": straight_through, "rotation": rotation_trick}


def _squared(a: Any, b: Any) -> Any:
    return ops.mean(ops.square(a - b), axis=-1)
