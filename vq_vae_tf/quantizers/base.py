"""What every quantizer is: a layer from vectors to codes and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from vq_vae_tf.ops.ema import code_histogram
from vq_vae_tf.ops.replicas import replica_count, replica_sum
from vq_vae_tf.quantizers.usage import CodeUsage, Seen


class Batch(NamedTuple):
    """What a quantizer is told of `[n, dim]` vectors."""

    rows: Any | None
    """bool `[n]`: which count in the loss; None: all."""
    valid: Any
    """bool `[n]`: which of those are finite, and count in the statistics."""
    training: bool
    learning: bool
    """Training, and not frozen."""


class Quantized(NamedTuple):
    """What a quantizer makes of `[n, dim]`."""

    codes: Any
    """int32 `[n]` or `[n, num_codebooks]`."""
    output: Any
    """float32 `[n, dim]` with gradients to z."""
    loss: Any
    """float32 scalar."""
    used: Any = None
    """float32 `[num_codebooks]`: which codebooks this step used; None: all."""


class Quantizer(keras.layers.Layer):
    """Abstract: z -> codes -> z_q, with what all quantizers share (shapes, masks, dtypes, counts, error messages).

    A quantizer defines `_assign`, `_lookup`, `_quantize`, `codebook` and, if it has state, `_build_state`, `_learn`.

    Args:
        num_codes: codes per codebook.
        embedding_dim: dim of the vectors.
        num_codebooks: codes per vector; `None`: one, and no axis for it.
    """

    layout = "raster"
    """What the axes of the codes mean: as `code_shape` says."""

    def __init__(self, num_codes: int, embedding_dim: int, num_codebooks: int | None = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self._require("num_codes", num_codes, num_codes >= 2, "at least 2")
        self._require("embedding_dim", embedding_dim, embedding_dim >= 1, "at least 1")
        self._require("num_codebooks", num_codebooks, num_codebooks is None or num_codebooks >= 1, "None or at least 1")
        self.num_codes, self.embedding_dim, self.num_codebooks = num_codes, embedding_dim, num_codebooks
        self.supports_masking = True
        self._seen = Seen()
        self._usage = CodeUsage(self)

    def _require(self, name: str, value: Any, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"{type(self).__name__} received {name}={value!r}; expected {expected}.")

    # Shapes

    def build(self, input_shape: Any) -> None:
        """Creates the state; `input_shape` is `[batch, *grid, embedding_dim]`.

        Raises:
            ValueError: the rank is below 2, or the last axis is not `embedding_dim`.
        """
        self._check_shape(tuple(input_shape))
        books = () if self.num_codebooks is None else (self.num_codebooks,)
        self.code_counts = self.add_state("code_counts", (*books, self.num_codes))
        self._build_state()
        self.built = True

    def _check_shape(self, shape: tuple[int | None, ...]) -> None:
        if len(shape) < 2 or shape[-1] != self.embedding_dim:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' received an input of shape {shape}; expected at least two axes, "
                f"[batch, *grid, embedding_dim], with embedding_dim={self.embedding_dim}."
            )

    def _build_state(self) -> None:
        """Creates what this quantizer keeps beyond the counts."""

    def add_state(self, name: str, shape: tuple[int, ...], initializer: Any = "zeros", dtype: str = "float32") -> Any:
        """A variable that no optimizer touches, and to which every replica assigns the same new value."""
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, dtype=dtype, trainable=False,
            autocast=False, aggregation="only_first_replica",
        )  # fmt: skip

    def _ensure_built(self) -> None:
        if not self.built:
            self.build((None, self.embedding_dim))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """That of the input."""
        return tuple(input_shape)

    def compute_output_spec(self, z: Any, *args: Any, **kwargs: Any) -> Any:
        """Shape and dtype of z, whatever the policy."""
        return keras.KerasTensor(self.compute_output_shape(z.shape), z.dtype)

    def code_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of one example's codes: `[*grid]` or `[*grid, num_codebooks]` for z of `[*grid, embedding_dim]`."""
        grid = tuple(shape)[:-1]
        return grid if self.num_codebooks is None else (*grid, self.num_codebooks)

    # z -> z_q

    def call(self, z: Any, mask: Any = None, training: bool | None = None) -> Any:
        """The quantized z, same shape and dtype, with gradients to z; adds the losses; counts and learns when training.

        Args:
            z: float `[batch, *grid, embedding_dim]`.
            mask: bool `[batch]`, `[batch, time]` ... up to `[batch, *grid]`: which vectors count in the loss, the
                statistics and the learning. Every vector is quantized.
            training: whether to count and, unless the layer is frozen (`trainable = False`), to learn.

        Raises:
            ValueError: the shape is wrong.
        """
        self._check_shape(tuple(z.shape))
        vectors = ops.reshape(ops.cast(z, "float32"), (-1, self.embedding_dim))
        rows = self._rows(z, mask)
        finite = ops.isfinite(ops.sum(ops.stop_gradient(vectors), axis=-1))
        valid = finite if rows is None else finite & rows
        training = bool(training) and vectors.shape[0] != 0
        batch = Batch(rows, valid, training, training and self.trainable)
        quantized = self._quantize(vectors, batch)
        wide = keras.config.floatx() == "float64"  # that of all other losses
        self.add_loss(ops.cast(quantized.loss, "float64") if wide else quantized.loss)
        self._seen.put((quantized.codes, valid))
        if batch.training:
            self._seen.take()
            weights = self._weights(quantized.used, valid)
            counts = replica_sum(code_histogram(quantized.codes, weights, self.num_codes))
            self.code_counts.assign_add(counts)
            if batch.learning:
                self._learn(ops.stop_gradient(vectors), quantized.codes, weights, counts)
        return ops.cast(ops.reshape(quantized.output, ops.shape(z)), z.dtype)

    def _weights(self, used: Any | None, valid: Any) -> Any:
        """1 where a code counts, 0 where not, the shape of the codes."""
        valid = ops.cast(valid, "float32")
        if self.num_codebooks is None:
            return valid
        return valid[:, None] * (ops.ones((self.num_codebooks,)) if used is None else used)

    def _rows(self, z: Any, mask: Any) -> Any | None:
        if mask is None:
            return None
        rank = len(mask.shape)
        if rank > len(z.shape) - 1 or any(
            a is not None and b is not None and a != b for a, b in zip(mask.shape, z.shape, strict=False)
        ):
            raise ValueError(
                f"{type(self).__name__} '{self.name}' received a mask of shape {tuple(mask.shape)} for an input of "
                f"shape {tuple(z.shape)}; expected the input's leading axes, at most all but the last."
            )
        mask = ops.reshape(ops.cast(mask, "bool"), (*ops.shape(mask), *(1,) * (len(z.shape) - 1 - rank)))
        return ops.reshape(ops.broadcast_to(mask, ops.shape(z)[:-1]), (-1,))

    def _mean(self, per_row: Any, rows: Any | None) -> Any:
        """The mean of `[n, ...]` numbers over the rows that count, on all replicas; 0 if there are none.

        A replica's share is divided by the mean number of rows per replica: the mean of the shares is the global mean.
        """
        if rows is None:
            number = ops.cast(ops.shape(per_row)[0], "float32")
        else:
            per_row = ops.where(ops.reshape(rows, (-1, *(1,) * (len(per_row.shape) - 1))), per_row, 0.0)
            number = replica_sum(ops.sum(ops.cast(rows, "float32"))) / replica_count()
        return ops.sum(per_row, axis=0) / ops.maximum(number, 1.0 / replica_count())

    def _quantize(self, vectors: Any, batch: Batch) -> Quantized:
        """Quantizes float32 `[n, dim]`, after setting codes from it if `batch.learning`."""
        raise NotImplementedError

    def _learn(self, vectors: Any, codes: Any, weights: Any, counts: Any) -> None:
        """What changes after a training batch was quantized; `weights` as from `_weights`, `counts` on all replicas."""

    # Codes

    def encode(self, z: Any) -> Any:
        """The codes of z.

        Args:
            z: float `[batch, *grid, embedding_dim]`.

        Returns:
            int32 `[batch, *grid]`, or `[batch, *grid, num_codebooks]`.
        """
        z = ops.convert_to_tensor(z)
        self._check_shape(tuple(z.shape))
        self._ensure_built()
        codes = self._assign(ops.reshape(ops.cast(z, "float32"), (-1, self.embedding_dim)))
        return ops.reshape(codes, (ops.shape(z)[0], *self.code_shape(ops.shape(z)[1:])))

    def decode(self, codes: Any) -> Any:
        """The vectors that the codes stand for.

        Args:
            codes: integers `[batch, *grid]`, or `[batch, *grid, num_codebooks]`, in [0, num_codes).

        Returns:
            float32 `[batch, *grid, embedding_dim]`.

        Raises:
            ValueError: not integers; another number of codebooks; a code out of range (where values can be seen).
        """
        self._ensure_built()
        codes = self._checked(ops.convert_to_tensor(codes))
        shape = ops.shape(codes)
        grid = shape if self.num_codebooks is None else shape[:-1]
        flat = ops.reshape(codes, (-1,) if self.num_codebooks is None else (-1, codes.shape[-1]))
        return ops.reshape(self._lookup(flat), (*grid, self.embedding_dim))

    def _checked(self, codes: Any) -> Any:
        who = f"{type(self).__name__} '{self.name}' was given codes"
        dtype = keras.backend.standardize_dtype(codes.dtype)
        if "int" not in dtype:
            raise ValueError(f"{who} of type {dtype} to decode; expected integers.")
        if self.num_codebooks is not None and not self._accepts_codebooks(codes.shape[-1] if codes.shape else None):
            raise ValueError(
                f"{who} of shape {tuple(codes.shape)} to decode; expected a last axis of {self.num_codebooks}, "
                "one code per codebook."
            )
        seen = _values(codes)
        if seen is not None and seen.size and (seen.min() < 0 or seen.max() >= self.num_codes):
            raise ValueError(
                f"{who} between {seen.min()} and {seen.max()} to decode; expected codes from 0 to {self.num_codes - 1}."
            )
        return ops.cast(codes, "int32")

    def _accepts_codebooks(self, number: int | None) -> bool:
        return number == self.num_codebooks

    def _assign(self, vectors: Any) -> Any:
        """Codes of float32 `[n, dim]`: int32 `[n]` or `[n, num_codebooks]`."""
        raise NotImplementedError

    def comparable(self, vectors: Any) -> Any:
        """float32 `[n, dim]` as what the nearest code of `codebook` is sought for: the same number of axes."""
        return vectors

    def _lookup(self, codes: Any) -> Any:
        """Vectors float32 `[n, dim]` of codes `[n]` or `[n, num_codebooks]`."""
        raise NotImplementedError

    @property
    def codebook(self) -> Any:
        """float32 `[num_codes, dim]`, or `[num_codebooks, num_codes, dim]`."""
        raise NotImplementedError

    def count_seen(self) -> None:
        """Counts the codes of the last call, if it was not of training and they have not been: see `CodeUsage`."""
        seen = self._seen.take()
        if seen is None:
            return
        codes, valid = seen
        try:
            counts = replica_sum(code_histogram(codes, self._weights(None, valid), self.num_codes))
        except Exception:  # each backend has its own error for a tensor of a graph that is done
            return
        self.code_counts.assign_add(counts)

    def reset_code_counts(self) -> None:
        """Starts counting anew."""
        self._seen.take()
        if self.built:
            self.code_counts.assign(ops.zeros(self.code_counts.shape, "float32"))


def _values(tensor: Any) -> np.ndarray | None:
    """The numbers in a tensor, or None while a graph is being traced."""
    try:
        return np.asarray(ops.convert_to_numpy(tensor))
    except Exception:  # each backend has its own error for "this tensor has no value yet"
        return None
