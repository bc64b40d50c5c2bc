"""A learned codebook: where its codes start, how they move, and when they are given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from vq_vae_tf.ops.drawn import drawn_code
from vq_vae_tf.ops.ema import draw_vectors, ema_codebook, ema_counts, flat_codes, sum_by_code
from vq_vae_tf.ops.nearest import nearest_code
from vq_vae_tf.ops.replicas import replica_sum
from vq_vae_tf.ops.straight_through import rotation_trick, straight_through
from vq_vae_tf.quantizers.base import Quantizer

USAGE_DECAY = 0.99  # of the counts that decide which codes are dead when the codebook learns by gradient
GRADIENTS = {"straight_through": straight_through, "rotation": rotation_trick}


class Codebook:
    """One codebook `[num_codes, dim]`, or several `[num_codebooks, num_codes, dim]`, whose variables a layer owns.

    Args:
        layer: the owner; its `ema_decay`, `initialization`, `revive_below` and `seed` say how codes move.
        shape: of the codes.
        name: prefix of the variables' names.
        unit: whether codes have length 1.
        scale: None, or a function that gives what the layer multiplies each dimension by before it compares; its codes
            are kept without, and follow it at once.
    """

    def __init__(
        self,
        layer: CodebookQuantizer,
        shape: tuple[int, ...],
        name: str = "",
        unit: bool = False,
        scale: Callable[[], Any] | None = None,
    ) -> None:
        self.layer, self.shape, self.unit, self.scale = layer, shape, unit, scale
        self.usage = layer.add_state(f"{name}usage", shape[:-1])
        self.steps = layer.add_state(f"{name}steps", (), dtype="int32")
        if layer.ema_decay is not None:
            self._codes = layer.add_state(f"{name}codebook", shape, layer.initializer.clone())
            return
        self._codes = layer.add_weight(
            name=f"{name}codebook", shape=shape, initializer=layer.initializer.clone(), dtype="float32", autocast=False
        )
        # Only an optimizer may write to a trainable weight inside a compiled step (on JAX the write would be lost),
        # so initialisation and revival move a code through a second, untrained term.
        self._offsets = layer.add_state(f"{name}codebook_offsets", shape)

    @property
    def value(self) -> Any:
        """float32, of `shape`."""
        codes = ops.copy(self._codes)
        codes = codes if self.layer.ema_decay is not None else codes + self._offsets
        codes = codes if self.scale is None else codes * ops.stop_gradient(self.scale())
        return unit_vectors(codes) if self.unit else codes

    def lookup(self, codes: Any) -> Any:
        """Vectors float32 `[n, dim]` or `[n, num_codebooks, dim]` of codes `[n]` or `[n, num_codebooks]`."""
        table = ops.reshape(self.value, (-1, self.shape[-1]))
        return ops.take(table, flat_codes(codes, self.shape[-2]), axis=0)

    def choose(self, vectors: Any, temperature: Any = None) -> Any:
        """Codes int32 `[n]` or `[n, num_codebooks]`: the nearest, or at a temperature, drawn by distance."""
        if temperature is None:
            return nearest_code(vectors, self.value)
        return drawn_code(vectors, self.value, temperature, self.layer.seed, self.steps)

    def _move(self, value: Any) -> None:
        value = value if self.scale is None else value / self.scale()
        if self.layer.ema_decay is not None:
            self._codes.assign(unit_vectors(value) if self.unit else value)
        else:
            self._offsets.assign(value - self._codes)

    def prepare(self, vectors: Any, valid: Any, uses: int = 1) -> None:
        """Sets the codes that nothing has used so far, and moves those that nothing uses any more.

        Args:
            vectors: float32 `[n, dim]` or `[n, num_codebooks, dim]`, a training batch.
            valid: bool `[n]`, which of them count.
            uses: how many codes of this book each of them takes.
        """
        from_data, threshold = self.layer.from_data, self.layer.revive_below
        if not (from_data or threshold):
            self.steps.assign_add(1)
            return
        vectors = ops.stop_gradient(vectors)
        share = uses * replica_sum(ops.sum(ops.cast(valid, "float32"))) / self.shape[-2]
        usage = ops.copy(self.usage)
        unset = usage == 0.0
        wanted = unset if from_data else ops.zeros_like(unset)
        wanted = wanted | (~unset & (usage < threshold * share))
        found, drawn = self._draw(vectors, valid, wanted)
        self._move(ops.where(found[..., None], drawn, self.value))
        self.usage.assign(ops.where(found if from_data else found | unset, share, usage))
        self.steps.assign_add(1)

    def _draw(self, vectors: Any, valid: Any, wanted: Any) -> tuple[Any, Any]:
        if len(self.shape) == 2:
            drawn, found = draw_vectors(vectors, valid, wanted, self.layer.seed, self.steps)
            return found, drawn
        books, num_codes, dim = self.shape
        rows = ops.reshape(vectors, (-1, books * dim))
        drawn, found = draw_vectors(rows, valid, ops.any(wanted, axis=0), self.layer.seed, self.steps)
        return wanted & found, ops.transpose(ops.reshape(drawn, (num_codes, books, dim)), (1, 0, 2))

    def learn(self, vectors: Any, codes: Any, weights: Any, counts: Any) -> None:
        """Moves the averages on by one training batch.

        Args:
            vectors: float32 `[n, dim]` or `[n, num_codebooks, dim]`.
            codes: int32 `[n]` or `[n, num_codebooks]`, what they were assigned to.
            weights: float32, the shape of `codes`: 1 where an assignment counts, else 0.
            counts: float32, how often each code was used, on all replicas.
        """
        decay = USAGE_DECAY if self.layer.ema_decay is None else self.layer.ema_decay
        before = ops.copy(self.usage)
        # A level that this step left out, or a batch of which no row counts, says nothing of what is used.
        usage = ops.where(ops.sum(counts, axis=-1, keepdims=True) > 0.0, ema_counts(before, counts, decay), before)
        self.usage.assign(usage)
        if self.layer.ema_decay is None:
            return
        residuals = ops.where(weights[..., None] > 0.0, vectors - self.lookup(codes), 0.0)
        sums = replica_sum(sum_by_code(residuals, codes, self.shape[-2]))
        self._move(ema_codebook(self.value, sums, usage, decay))


class CodebookQuantizer(Quantizer):
    """Abstract: a quantizer with learned codebooks.

    Equation: loss = |sg(z) - e|^2 + commitment_cost |z - sg(e)|^2, means over all elements; the first term is left out
    when `ema_decay` is given, since then the codes are moving averages of the vectors assigned to them.
    Paper section 3, equation 3; appendix A.1.

    Args:
        num_embeddings: codes in a codebook, the paper's K.
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
    are revived, unless `initialization="random_normal", revive_below=0`.
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
        num_codebooks: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, num_codebooks, **kwargs)
        self._require("commitment_cost", commitment_cost, commitment_cost >= 0, "a number that is not negative")
        decaying = ema_decay is None or 0 < ema_decay < 1
        self._require("ema_decay", ema_decay, decaying, "None or a number between 0 and 1")
        self._require("revive_below", revive_below, 0 <= revive_below < 1, "a number from 0 to below 1")
        self._require("gradient", gradient, gradient in GRADIENTS, f"one of {sorted(GRADIENTS)}")
        self.commitment_cost, self.ema_decay, self.revive_below = commitment_cost, ema_decay, revive_below
        self.from_data = initialization == "data"
        self.initializer = keras.initializers.get("variance_scaling" if self.from_data else initialization)
        initializer = isinstance(self.initializer, keras.initializers.Initializer)
        self._require("initialization", initialization, initializer, '"data" or a Keras initializer')
        self.gradient, self.seed = gradient, seed

    def _loss(self, vectors: Any, z_q: Any, rows: Any | None) -> Any:
        """Commitment and, without moving averages, codebook loss of `[n, ...]` vectors and their codes."""
        loss = self.commitment_cost * self._mean(squared_error(vectors, ops.stop_gradient(z_q)), rows)
        if self.ema_decay is None:
            loss = loss + self._mean(squared_error(ops.stop_gradient(vectors), z_q), rows)
        return loss

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


def unit_vectors(vectors: Any) -> Any:
    """v / |v|, with finite gradients also at 0."""
    return vectors * ops.rsqrt(ops.sum(vectors * vectors, axis=-1, keepdims=True) + 1e-12)


def squared_error(a: Any, b: Any) -> Any:
    """|a - b|^2 / dim over the last axis."""
    return ops.mean(ops.square(a - b), axis=-1)
