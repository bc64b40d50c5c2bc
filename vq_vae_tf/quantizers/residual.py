"""Codes that refine each other: every level quantizes what the levels before it left."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.ops.nearest import nearest_code
from vq_vae_tf.ops.random import counter_uniform
from vq_vae_tf.quantizers.base import Batch, Quantized
from vq_vae_tf.quantizers.codebook import GRADIENTS, Codebook, CodebookQuantizer


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ResidualQuantizer(CodebookQuantizer):
    """z_q = e^1_{k_1} + ... + e^L_{k_L}; level l quantizes r_l = z - (e^1 + ... + e^{l-1}).

    Zeghidour et al. 2021, arXiv 2107.03312, section III.C. Equation: loss = mean over levels of |sg(r_l) - e^l|^2 +
    commitment_cost |r_l - sg(e^l)|^2. Inside r_l the codes are constants, not straight-through outputs: those would
    cancel z, and levels after the first would send it no gradient.

    Args:
        num_codebooks: L, levels, codes per vector.
        num_embeddings: codes in each codebook.
        embedding_dim: of the vector.
        shared: whether all levels use one codebook.
        level_dropout: the share of training steps that use only the first l levels, l uniform in 1 to L, so that
            prefixes of the codes decode well; 0: all levels, always.
        kwargs: the arguments of the codebook (see `CodebookQuantizer`), then those of a Keras layer.
    """

    def __init__(
        self,
        num_codebooks: int,
        num_embeddings: int,
        embedding_dim: int,
        shared: bool = False,
        level_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, num_codebooks=num_codebooks, **kwargs)
        self._require("num_codebooks", num_codebooks, num_codebooks is not None, "a number of codebooks")
        self._require("level_dropout", level_dropout, 0 <= level_dropout <= 1, "a share from 0 to 1")
        self.levels, self.shared, self.level_dropout = num_codebooks, shared, level_dropout

    def _build_state(self) -> None:
        shape = (self.num_codes, self.embedding_dim)
        self._draws = self.add_state("draws", (), dtype="int32")
        if self.shared:
            self._books = [Codebook(self, shape)] * self.levels
        else:
            self._books = [Codebook(self, shape, name=f"level_{level}_") for level in range(self.levels)]

    @property
    def codebook(self) -> Any:
        """float32 `[num_codebooks, num_embeddings, embedding_dim]`."""
        self._ensure_built()
        return ops.stack([book.value for book in self._books])

    def _levels(self, vectors: Any, batch: Batch | None = None) -> tuple[Any, list[Any], list[Any]]:
        """Codes `[n, L]`; per level, its residual and its code vector `[n, dim]`."""
        codes, residuals, parts = [], [], []
        for level, book in enumerate(self._books):
            if batch is not None and batch.learning and not (self.shared and level):
                book.prepare(vectors, batch.valid, self.levels if self.shared else 1)
            codes.append(nearest_code(vectors, book.value))
            residuals.append(vectors)
            parts.append(book.lookup(codes[-1]))
            vectors = vectors - ops.stop_gradient(parts[-1])
        return ops.stack(codes, axis=1), residuals, parts

    def comparable(self, vectors: Any) -> Any:
        """Raises: ValueError; one code changes what all later levels mean, so single codes cannot be compared."""
        raise ValueError(f"{self.name}: the codes of a residual quantizer have no neighbours; use another quantizer.")

    def _assign(self, vectors: Any) -> Any:
        return self._levels(vectors)[0]

    def _lookup(self, codes: Any) -> Any:
        return sum(book.lookup(codes[:, level]) for level, book in enumerate(self._books[: codes.shape[1]]))

    def _quantize(self, vectors: Any, batch: Batch) -> Quantized:
        codes, residuals, parts = self._levels(vectors, batch)
        used = self._used() if batch.training and self.level_dropout else ops.ones((self.levels,))
        losses = [self._loss(residual, part, batch.rows) for residual, part in zip(residuals, parts, strict=True)]
        loss = ops.sum(ops.stack(losses) * used) / ops.sum(used)
        z_q = sum(part * use for part, use in zip(parts, ops.unstack(used), strict=True))
        return Quantized(codes, GRADIENTS[self.gradient](vectors, z_q), loss, used)

    def _used(self) -> Any:
        """float32 `[L]`: 1 for the levels that this step uses."""
        drop, level = ops.unstack(counter_uniform(self.seed, self._draws, 2, stream=2))
        last = ops.where(drop < self.level_dropout, ops.floor(level * self.levels), self.levels - 1.0)
        self._draws.assign_add(1)
        return ops.cast(ops.arange(self.levels, dtype="float32") <= last, "float32")

    def _learn(self, vectors: Any, codes: Any, weights: Any, counts: Any) -> None:
        residuals = []
        for level, book in enumerate(self._books):
            residuals.append(vectors)
            vectors = vectors - book.lookup(codes[:, level])
        if self.shared:
            flat = ops.reshape(ops.stack(residuals, axis=1), (-1, self.embedding_dim))
            self._books[0].learn(flat, ops.reshape(codes, (-1,)), ops.reshape(weights, (-1,)), ops.sum(counts, axis=0))
            return
        for level, book in enumerate(self._books):
            book.learn(residuals[level], codes[:, level], weights[:, level], counts[level])

    def _accepts_codebooks(self, number: int | None) -> bool:
        return number is not None and 1 <= number <= self.levels

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"num_codebooks": self.num_codebooks, "shared": self.shared, "level_dropout": self.level_dropout}
        return {**super().get_config(), **own}
