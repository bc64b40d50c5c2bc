"""What was used of a codebook: codes that were seen, counted when they are asked for."""

from __future__ import annotations

import math
import re
import threading
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from vq_vae_tf.ops.entropy import perplexity

if TYPE_CHECKING:
    from vq_vae_tf.quantizers.base import Quantizer


class Seen:
    """The codes of the last call, kept apart by thread: that is how replicas are traced, one beside the other."""

    def __init__(self) -> None:
        self._of_thread: dict[int, tuple[Any, Any]] = {}

    def put(self, seen: tuple[Any, Any]) -> None:
        """Keeps codes and which of them count."""
        self._of_thread[threading.get_ident()] = seen

    def take(self) -> tuple[Any, Any] | None:
        """What was kept, once."""
        return self._of_thread.pop(threading.get_ident(), None)


class CodeUsage(keras.metrics.Metric):
    """What `fit` and `evaluate` show of a quantizer's batches since the epoch began, means over its codebooks.

    `perplexity`; `codes_in_use`; `dead_codes`, the others; `code_bits`, the entropy of the codes: bits that one costs
    without a prior that knows its neighbours. The histogram itself is the layer's `code_counts`. A layer with a name
    of its own puts it in front (`top_perplexity`), so that several in one model do not hide each other.

    A layer cannot tell evaluation from serving, and must not count there; but evaluation asks for numbers after every
    batch, and serving never does. So codes of a call that is not of training are counted when they are asked for. (Of
    a layer that a model calls twice those of the second call.)

    NaN before anything was counted. On the JAX backend the counts are out of reach inside the compiled step: the
    numbers appear at the end of the epoch, and not for evaluation.
    """

    NUMBERS = ("perplexity", "codes_in_use", "dead_codes", "code_bits")

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__(name="code_usage", dtype="float32")
        self._quantizer = lambda: quantizer

    def update_state(self) -> None:
        """Nothing: the quantizer counts."""

    def result(self) -> dict[str, Any]:
        """The four numbers by name."""
        quantizer = self._quantizer()
        if not quantizer.built or getattr(quantizer.code_counts, "_value", None) is None:
            values = [ops.full((), math.nan)] * len(self.NUMBERS)
        else:
            quantizer.count_seen()
            counts = ops.convert_to_tensor(quantizer.code_counts)
            unknown = ops.cast(ops.where(ops.sum(counts) > 0.0, 0.0, math.nan), "float32")
            each = perplexity(counts)
            used = ops.mean(ops.sum(ops.cast(counts > 0.0, "float32"), axis=-1))
            bits = ops.mean(ops.log(each)) / math.log(2.0)
            values = [unknown + n for n in (ops.mean(each), used, quantizer.num_codes - used, bits)]
        return {_prefix(quantizer) + name: value for name, value in zip(self.NUMBERS, values, strict=True)}

    def reset_state(self) -> None:
        """Starts counting anew."""
        self._quantizer().reset_code_counts()


def _prefix(quantizer: Quantizer) -> str:
    """What tells a layer's numbers from another's: its name, unless Keras gave it or it is simply `quantizer`."""
    words = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(quantizer).__name__)).lower()
    given = not re.fullmatch(rf"(quantizer|{words}(_\d+)?)", quantizer.name)
    return f"{quantizer.name}_" if given else ""
