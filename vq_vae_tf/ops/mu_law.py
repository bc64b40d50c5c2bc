"""Mu-law companding: a waveform as one of 256 symbols a sample."""

from __future__ import annotations

import math
from typing import Any

from keras import ops


def mu_law_encode(x: Any, num_values: int = 256) -> Any:
    """Symbols of a waveform, int32 0..num_values-1, of the shape of `x`.

    Equation: f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu), mu = num_values - 1; symbol = round((f(x) + 1) / 2 * mu).
    Paper: WaveNet (arXiv 1609.03499), section 2.2; ITU-T G.711.

    Args:
        x: float, full scale is [-1, 1]; what lies outside is clipped.
        num_values: how many symbols.
    """
    mu = num_values - 1
    x = ops.clip(ops.cast(x, "float32"), -1.0, 1.0)
    companded = ops.sign(x) * ops.log1p(mu * ops.abs(x)) / math.log1p(mu)
    return ops.cast(ops.round((companded + 1.0) * (0.5 * mu)), "int32")


def mu_law_decode(symbols: Any, num_values: int = 256) -> Any:
    """The waveform in [-1, 1] that symbols stand for, float32: the inverse of the companding at the symbol's centre.

    Equation: y = 2 symbol / mu - 1; x = sign(y) ((1 + mu)^|y| - 1) / mu.
    """
    mu = num_values - 1
    y = ops.cast(symbols, "float32") * (2.0 / mu) - 1.0
    return ops.sign(y) * ops.expm1(ops.abs(y) * math.log1p(mu)) / mu
