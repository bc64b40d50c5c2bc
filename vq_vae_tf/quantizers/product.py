"""Several short codes per vector, one for each slice."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.quantizers.base import Batch, Quantized
from vq_vae_tf.quantizers.codebook import GRADIENTS, Codebook, CodebookQuantizer

SLOW = 0.1
"""s over the weight that the optimizer moves. At full speed the precision runs away from what encoder and decoder have
learned; and where codes are coarse beside the draw, it takes their error for the draw's."""


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
        rate_cost: above 0, each dimension is told as exactly as pays: distances are of vectors times exp(s), s a weight
            for each dimension, and the loss has rate_cost * sum_i log(1 + 2 exp(2 s_i) var_i / temperature) / 2 more,
            var_i the variance of the codes: the nats that a vector's codes tell, were they Gaussian. What telling more
            gains, s feels through z_q = z + exp(-s) n, n what the draw adds. For the bound on log p(x) in nats per
            dimension, rate_cost is the number of vectors per dimension of x. 0: all dimensions alike.
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
        self.temperature, self.rate_cost = float(temperature), rate_cost
        self.books, self.book_dim = num_codebooks, embedding_dim // num_codebooks

    def _build_state(self) -> None:
        if not self.rate_cost:
            self._book = Codebook(self, (self.books, self.num_codes, self.book_dim))
            return
        self.precision = self.add_weight(
            name="precision", shape=(self.embedding_dim,), initializer="zeros", dtype="float32", autocast=False
        )
        self._book = Codebook(self, (self.books, self.num_codes, self.book_dim), scale=self._scale_of_books)

    @property
    def draws(self) -> bool:
        """Whether training draws its codes."""
        return self.temperature > 0

    def _scale_of_books(self) -> Any:
        return ops.reshape(self._scale(), (self.books, 1, self.book_dim))

    def _scale(self) -> Any:
        """What vectors are multiplied by before they are compared: exp(s)."""
        return ops.exp(SLOW * self.precision) if self.rate_cost else 1.0

    def _rate(self) -> Any:
        """Nats that a vector's codes tell, were they Gaussian; gradients to the precision alone."""
        known = ops.stop_gradient(ops.reshape(ops.var(self._book.value, axis=1), (-1,)) / ops.square(self._scale()))
        return 0.5 * ops.sum(ops.log1p(2.0 / self.temperature * known * ops.square(self._scale())))

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
        codes = self._book.choose(slices, self.temperature if batch.training and self.draws else None)
        found = self._book.lookup(codes)
        turned = GRADIENTS[self.gradient](slices, found)
        output = ops.reshape(turned, (-1, self.embedding_dim)) / self._scale()
        compared = vectors * ops.stop_gradient(self._scale())
        loss = self._loss(compared, ops.reshape(found, (-1, self.embedding_dim)), batch.rows)
        if self.rate_cost and vectors.shape[0] != 0:
            loss = loss + self.rate_cost * self._rate()
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
