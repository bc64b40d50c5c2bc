"""Codes chosen under a prior that is trained with them: the joint training that the paper leaves as future work."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from vq_vae_tf.ops.nearest import nearest_code
from vq_vae_tf.quantizers.base import Batch, Quantized
from vq_vae_tf.quantizers.codebook import GRADIENTS
from vq_vae_tf.quantizers.entropy_constrained import EntropyConstrainedQuantizer


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class JointQuantizer(EntropyConstrainedQuantizer):
    """k_t = argmin_j |z_t - e_j|^2 - bit_cost log2 p(j | n_<t), where n are the nearest codes and p a network.

    The network learns on the codes k in the same step: their mean nats are added to the losses of
    `CodebookQuantizer`. A network that knows nothing yet costs the same for every code, so training starts as without
    it. Paper: section 3.3, "training the prior and the VQ-VAE jointly ... we leave this as future research".

    The choice is one sweep: the context of p is what nearness alone would choose, all places are decided at once, and
    what a code does to the cost of later ones is left out. No gradient goes from bits to z: the encoder follows by the
    commitment to cheaper codes.

    Args:
        num_embeddings: codes in the codebook.
        embedding_dim: of the vector.
        network: an `AutoregressiveNetwork` over the grid, without channels and condition.
        bit_cost: lambda, squared distance per bit; 0 gives the nearest code.
        kwargs: the arguments of the codebook (see `CodebookQuantizer`), then those of a Keras layer.

    Raises:
        ValueError: a network of another number of symbols, or one that needs a condition; z over another grid.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, network: Any, bit_cost: float = 0.01, **kwargs: Any
    ) -> None:
        super().__init__(num_embeddings, embedding_dim, bit_cost, **kwargs)
        given = (network.num_symbols, network.channels, network.num_labels, network.condition_features)
        self._require("network", given, given == (num_embeddings, 1, 0, 0), f"({num_embeddings}, 1, 0, 0): K symbols, "
                      "one channel, no labels, no map")  # fmt: skip
        self.network = network

    def _build_state(self) -> None:
        super()._build_state()
        if not self.network.built:  # a network out of a config may be
            self.network.build()

    def _check_shape(self, shape: tuple[int | None, ...]) -> None:
        super()._check_shape(shape)
        grid = tuple(shape[1:-1])
        if grid != self.network.symbol_shape:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' received an input over the grid {grid}; expected that of its "
                f"network, {self.network.symbol_shape}."
            )

    def _ensure_built(self) -> None:
        if not self.built:
            self.build((None, *self.network.symbol_shape, self.embedding_dim))

    def code_bits_of(self, vectors: Any) -> Any:
        """-log2 p(j | n_<t): float32 `[n, num_embeddings]` of float32 `[n, embedding_dim]`, whole grids in order."""
        logits = self._logits(nearest_code(vectors, self._book.value), training=False)
        return ops.stop_gradient(-ops.log_softmax(logits, axis=-1)) / math.log(2.0)

    def _logits(self, codes: Any, training: bool) -> Any:
        logits = self.network(ops.reshape(codes, (-1, *self.network.symbol_shape)), training=training)
        return ops.reshape(logits, (-1, self.num_codes))

    def _assign(self, vectors: Any) -> Any:
        book = ops.stop_gradient(self._book.value)
        costs = ops.sum(book * book, axis=-1) + self.bit_cost * self.code_bits_of(vectors)
        scores = ops.matmul(ops.stop_gradient(vectors), ops.transpose(book)) - 0.5 * costs
        return ops.cast(ops.argmax(scores, axis=-1), "int32")

    def _quantize(self, vectors: Any, batch: Batch) -> Quantized:
        if batch.learning:
            self._book.prepare(vectors, batch.valid)
        codes = self._assign(vectors)
        z_q = self._book.lookup(codes)
        logits = self._logits(codes, batch.training)
        nats = self._mean(ops.sparse_categorical_crossentropy(codes, logits, from_logits=True), batch.rows)
        return Quantized(codes, GRADIENTS[self.gradient](vectors, z_q), self._loss(vectors, z_q, batch.rows) + nats)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        config.pop("probabilities")
        return {**config, "network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> JointQuantizer:
        """The inverse of `get_config`."""
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects=custom_objects)
        return cls(**{**config, "network": network})
