"""Several short codes per vector, one for each slice."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.quantizers.base import Batch, Quantized
from vq_vae_tf.quantizers.codebook import GRADIENTS, Codebook, CodebookQuantizer


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
        kwargs: the arguments of the codebook (see `CodebookQuantizer`), then those of a Keras layer.
    """

    def __init__(
        self, num_codebooks: int, num_embeddings: int, embedding_dim: int, temperature: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, num_codebooks=num_codebooks, **kwargs)
        self._require("num_codebooks", num_codebooks, num_codebooks is not None, "a number of codebooks")
        whole = embedding_dim % num_codebooks == 0
        self._require("num_codebooks", num_codebooks, whole, f"a divisor of embedding_dim={embedding_dim}")
        self._require("temperature", temperature, temperature >= 0, "a number that is not negative")
        self.temperature = temperature
        self.books, self.book_dim = num_codebooks, embedding_dim // num_codebooks

    def _build_state(self) -> None:
        self._book = Codebook(self, (self.books, self.num_codes, self.book_dim))

    @property
    def codebook(self) -> Any:
        """float32 `[num_codebooks, num_embeddings, embedding_dim / num_codebooks]`."""
        self._ensure_built()
        return self._book.value

    def _slices(self, vectors: Any) -> Any:
        return ops.reshape(vectors, (-1, self.books, self.book_dim))

    def comparable(self, vectors: Any) -> Any:
        """See `Quantizer`: cut into slices."""
        return self._slices(vectors)

    def _assign(self, vectors: Any) -> Any:
        return self._book.choose(self._slices(vectors))

    def _lookup(self, codes: Any) -> Any:
        return ops.reshape(self._book.lookup(codes), (-1, self.embedding_dim))

    def _quantize(self, vectors: Any, batch: Batch) -> Quantized:
        slices = self._slices(vectors)
        if batch.learning:
            self._book.prepare(slices, batch.valid)
        codes = self._book.choose(slices, self.temperature if batch.training else 0.0)
        z_q = self._lookup(codes)
        turned = GRADIENTS[self.gradient](slices, self._slices(z_q))
        output = ops.reshape(turned, (-1, self.embedding_dim))
        return Quantized(codes, output, self._loss(vectors, z_q, batch.rows))

    def _learn(self, vectors: Any, codes: Any, weights: Any, counts: Any) -> None:
        self._book.learn(self._slices(vectors), codes, weights, counts)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "num_codebooks": self.num_codebooks, "temperature": self.temperature}
