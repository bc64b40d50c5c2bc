"""Several short codes per vector, one for each slice."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.ops.replicas import replica_sum
from vq_vae_tf.quantizers.base import Batch, Quantized
from vq_vae_tf.quantizers.codebook import GRADIENTS, Codebook, CodebookQuantizer

LEAST = 0.01
"""Mean squared noise, of the temperature, below which it is no measure: of dimensions that no code uses."""


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class ProductQuantizer(CodebookQuantizer):
    """The vector cut into `num_codebooks` slices, each quantized with its own codebook. Jegou et al. 2011; paper 4.1.

    Equation: z_q = (e^1_{k_1}, ..., e^C_{k_C}), k_c = argmin_j |z^c - e^c_j|; losses are means over all elements, as
    for one codebook. The paper's CIFAR-10 likelihood uses 8 x 8 x 10 codes. One batched product searches all slices.

    Args:
        num_codebooks: C, codes per vector; divides `embedding_dim`.
        num_embeddings: codes in each codebook.
        embedding_dim: of the whole vector.
        temperature: in training, code k of a slice is drawn with probability proportional to
            exp(-|z^c - e^c_k|^2 / temperature); 0: the nearest code, always.
        rate_cost: above 0, it is learned how exactly each dimension is told: distances are of vectors times exp(s), s a
            weight a dimension, which goes to where codes are as probable as the bound wants them, q(e) ~ exp(-D), D the
            nats that an error of z costs: exp(-2 s_i) temperature / 2 is the inverse of D's curvature in z_i. That is
            E[n dD/dn] / E[n^2], n = z_q - z, so what z_q feels of s is D's slope where the draw fell, and the loss has
            rate_cost * sum_i s_i against it: for D in nats per dimension of x, vectors of z per dimension of x. 0: all
            dimensions alike.
        kwargs: the arguments of the codebook (see `CodebookQuantizer`), then those of a Keras layer.
    """

    def __init__(
        self,
        num_codebooks: int,
        num_embeddings: int,
        embedding_dim: int,
        temperature: float = 0.0,
        rate_cost: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, num_codebooks=num_codebooks, **kwargs)
        self._require("num_codebooks", num_codebooks, num_codebooks is not None, "a number of codebooks")
        whole = embedding_dim % num_codebooks == 0
        self._require("num_codebooks", num_codebooks, whole, f"a divisor of embedding_dim={embedding_dim}")
        self._require("temperature", temperature, temperature >= 0, "a number that is not negative")
        self._require("rate_cost", rate_cost, rate_cost >= 0, "a number that is not negative")
        self._require("rate_cost", rate_cost, temperature > 0 or not rate_cost, "0 beside temperature=0")
        self.temperature, self.rate_cost = temperature, rate_cost
        self.books, self.book_dim = num_codebooks, embedding_dim // num_codebooks

    def _build_state(self) -> None:
        if not self.rate_cost:
            self._book = Codebook(self, (self.books, self.num_codes, self.book_dim))
            return
        self.log_precision = self.add_weight(
            name="log_precision", shape=(self.embedding_dim,), initializer="zeros", dtype="float32", autocast=False
        )
        self._book = Codebook(self, (self.books, self.num_codes, self.book_dim), scale=self._scale_of_books)

    def _scale_of_books(self) -> Any:
        return ops.reshape(self._scale(), (self.books, 1, self.book_dim))

    def _scale(self) -> Any:
        """What vectors are multiplied by before they are compared: exp(s). No gradient."""
        return ops.stop_gradient(ops.exp(self.log_precision)) if self.rate_cost else 1.0

    def _felt(self, noise: Any, valid: Any) -> Any:
        """Zeros `[n, dim]` by which z_q feels s: their gradient in s is -n temperature / (2 mean n^2), n = `noise`."""
        noise, count = ops.where(valid[:, None], noise, 0.0), replica_sum(ops.sum(ops.cast(valid, "float32")))
        square = replica_sum(ops.sum(ops.square(noise), axis=0)) / ops.maximum(count, 1.0)
        felt = 0.5 * self.temperature / ops.maximum(square, LEAST * self.temperature)
        change = self.log_precision - ops.stop_gradient(self.log_precision)
        return -ops.stop_gradient(noise * felt / self._scale()) * change

    @property
    def codebook(self) -> Any:
        """float32 `[num_codebooks, num_embeddings, embedding_dim / num_codebooks]`."""
        self._ensure_built()
        return self._book.value

    def _slices(self, vectors: Any) -> Any:
        return ops.reshape(vectors * self._scale(), (-1, self.books, self.book_dim))

    def comparable(self, vectors: Any) -> Any:
        """See `Quantizer`: cut into slices."""
        return self._slices(vectors)

    def _assign(self, vectors: Any) -> Any:
        return self._book.choose(self._slices(vectors))

    def _lookup(self, codes: Any) -> Any:
        return ops.reshape(self._book.lookup(codes), (-1, self.embedding_dim)) / self._scale()

    def _quantize(self, vectors: Any, batch: Batch) -> Quantized:
        slices = self._slices(vectors)
        if batch.learning:
            self._book.prepare(slices, batch.valid)
        codes = self._book.choose(slices, self.temperature if batch.training else 0.0)
        found = self._book.lookup(codes)
        compared, z_q = (ops.reshape(part, (-1, self.embedding_dim)) for part in (slices, found))
        output = ops.reshape(GRADIENTS[self.gradient](slices, found), (-1, self.embedding_dim)) / self._scale()
        loss = self._loss(compared, z_q, batch.rows)
        if self.rate_cost and batch.training:
            output = output + self._felt(z_q - compared, batch.valid)
            loss = loss + self.rate_cost * ops.sum(self.log_precision)
        return Quantized(codes, output, loss)

    def _learn(self, vectors: Any, codes: Any, weights: Any, counts: Any) -> None:
        self._book.learn(self._slices(vectors), codes, weights, counts)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_codebooks": self.num_codebooks,
            "temperature": self.temperature,
            "rate_cost": self.rate_cost,
        }
