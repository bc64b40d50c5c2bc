"""How evenly codes are used."""

from __future__ import annotations

import math
from typing import Any

from keras import ops


def entropy_bits(counts: Any) -> Any:
    """The entropy of the distribution that `counts` are proportional to: -sum_k p_k log2 p_k, p = counts / sum(counts).

    Args:
        counts: `[..., num_codes]`, not negative.

    Returns:
        float32 `[...]` in bits, between 0 and log2(num_codes); 0 where all counts are 0.
    """
    counts = ops.cast(counts, "float32")
    total = ops.sum(counts, axis=-1, keepdims=True)
    p = counts / ops.maximum(total, 1e-30)
    nats = 0.0 - ops.sum(p * ops.log(ops.maximum(p, 1e-30)), axis=-1)  # a minus alone would make -0.0 of one code
    return ops.clip(nats, 0.0, math.log(counts.shape[-1])) / math.log(2.0)


def perplexity(counts: Any) -> Any:
    """The number of equally used codes with the same entropy: 2 ** entropy_bits(counts).

    Args:
        counts: `[..., num_codes]`, not negative.

    Returns:
        float32 `[...]` between 1 and num_codes; 1 where all counts are 0.
    """
    return ops.exp2(entropy_bits(counts))
