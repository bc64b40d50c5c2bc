"""One free probability for each of the 256 values."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.image.likelihood.base import MAX_VALUE, Likelihood

VALUES = MAX_VALUE + 1


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class Categorical(Likelihood):
    """Independent 256-way softmax of each channel of each pixel.

    Equation: p(x|z) = product over dimensions of softmax(logits)[x].
    Paper: the authors' answer to how table 1's bits/dim are measured; also PixelCNN (arXiv 1601.06759), section 3.3.
    """

    def outputs(self, channels: int) -> int:
        """256 logits a channel."""
        return channels * VALUES

    def log_prob_map(self, params: Any, x: Any) -> Any:
        """log p(pixel | params) in nats, `[batch, height, width]`."""
        nats = ops.sparse_categorical_crossentropy(ops.cast(x, "int32"), _logits(params), from_logits=True)
        return -ops.sum(nats, axis=-1)

    def mean(self, params: Any) -> Any:
        """E[x | params]."""
        return ops.matmul(ops.softmax(_logits(params), axis=-1), ops.arange(VALUES, dtype="float32"))

    def sample(self, params: Any, seed: Any = None) -> Any:
        """Draws every channel on its own."""
        logits = _logits(params)
        drawn = keras.random.categorical(ops.reshape(logits, (-1, VALUES)), 1, seed=seed)
        return ops.cast(ops.reshape(drawn, ops.shape(logits)[:-1]), "float32")


def _logits(params: Any) -> Any:
    """`[batch, height, width, channels * 256]` -> float32 `[batch, height, width, channels, 256]`."""
    shape = ops.shape(params)
    return ops.reshape(ops.cast(params, "float32"), (*shape[:-1], params.shape[-1] // VALUES, VALUES))
