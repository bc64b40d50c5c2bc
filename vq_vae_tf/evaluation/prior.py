"""Bits per code of a learned prior, next to what it must beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.codebook import code_counts, codebook_use


@dataclass(frozen=True)
class PriorScores:
    """Bits per code of a split under three distributions, worst first where the prior has learnt anything."""

    num_examples: int
    num_symbols: int
    uniform_bits: float
    """log2 K: what a code costs without any model."""
    unigram_bits: float
    """Entropy of the split's own code frequencies: the best that a model without context can do."""
    bits_per_code: float
    """Cross entropy of the split under the prior."""

    @property
    def saved(self) -> float:
        """Share of the uniform bits that the prior saves, 0..1."""
        return 1.0 - self.bits_per_code / self.uniform_bits

    @property
    def codes_per_example(self) -> float:
        """What bits per code are multiplied by to give bits per example."""
        return self.num_symbols / self.num_examples


def prior_scores(
    log_prob: Callable[[Mapping[str, Any]], Any],
    batches: Iterable[Mapping[str, Any]],
    num_codes: int,
    num_codebooks: int | None = None,
) -> PriorScores:
    """Streams a split of codes through a prior.

    Equation: bits per code = -sum_examples log p(z) / (log 2 * number of codes).

    Args:
        log_prob: batch -> log p(z) in nats `[batch]`; compile it first.
        batches: dictionaries with "codes" (and "label"), every example once.
        num_codes: K.
        num_codebooks: None where codes have no channel axis.
    """
    examples, nats = 0, 0.0
    counts = np.zeros((num_codebooks or 1, num_codes), np.int64)
    for batch in batches:
        values = np.asarray(log_prob(batch), np.float64)
        examples, nats = examples + values.size, nats - float(values.sum())
        counts += code_counts([batch], num_codes, num_codebooks).reshape(counts.shape)
    use = codebook_use(counts)
    if not use.num_symbols:
        raise UserError("No code came to be evaluated; choose a split that is not empty.")
    if not math.isfinite(nats):
        raise UserError(
            "The prior gives codes of this split a log probability that is not finite; "
            "train it again with a smaller --prior_learning_rate."
        )
    return PriorScores(
        num_examples=examples,
        num_symbols=use.num_symbols,
        uniform_bits=math.log2(num_codes),
        unigram_bits=use.entropy_bits,
        bits_per_code=nats / math.log(2.0) / use.num_symbols,
    )
