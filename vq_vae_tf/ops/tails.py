"""Distributions where float32 runs out: logarithms of tails and of narrow bins."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

# Chebyshev fit of log(erfc(y) / t) + y^2 in t = 1 / (1 + y / 2), highest power first; relative error of erfc < 1.2e-7
# for all y >= 0 (Numerical Recipes, 2nd edition, section 6.2).
_ERFC: tuple[float, ...] = (0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807)
_ERFC += (-0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223)
_TINY = 1e-12


def log_normal_cdf(z: Any) -> Any:
    """log Phi(z) in float32, for any z: about -z^2 / 2 far to the left, never -inf."""
    z = ops.cast(z, "float32")
    tail = _log_half_erfc(ops.abs(z) * math.sqrt(0.5))
    # exp(tail) is at most 1/2, and the unused branch stays finite, so gradients do too.
    return ops.where(z < 0.0, tail, ops.log1p(-ops.exp(tail)))


def log_normal_bin(center: Any, half_width: float) -> Any:
    """log of the mass of the standard normal in `center` +- `half_width`, in float32, of the shape of `center`.

    Equation: log(Phi(b) - Phi(a)) = log Phi(b) + log(1 - exp(log Phi(a) - log Phi(b))), a < b, mirrored to the left
    tail, where neither term cancels.
    """
    left = -ops.abs(ops.cast(center, "float32"))
    high, low = log_normal_cdf(left + half_width), log_normal_cdf(left - half_width)
    return high + log_one_minus_exp(high - low)


def log_one_minus_exp(delta: Any) -> Any:
    """log(1 - exp(-delta)) for delta > 0."""
    return ops.log(-ops.expm1(-ops.maximum(delta, _TINY)))


def _log_half_erfc(y: Any) -> Any:
    t = 1.0 / (1.0 + 0.5 * y)
    fit = ops.full_like(t, _ERFC[0])
    for coefficient in _ERFC[1:]:
        fit = fit * t + coefficient
    return ops.log(t) - y * y + fit - math.log(2.0)
