"""Another sampling rate: a windowed sinc, in NumPy."""

from __future__ import annotations

import math

import numpy as np

ZEROS = 32
"""Zero crossings of the sinc on either side."""
ROLLOFF = 0.95
"""Of the lower Nyquist frequency: where the filter is at half its height."""
_BETA = 12.0  # Kaiser: about 118 dB of stop band
_BLOCK = 1 << 21  # numbers gathered at a time: bounds the memory


def resample(x: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """The sound at another rate, float32 `[ceil(time * rate_out / rate_in)]`.

    Equation: y[n] = sum_k x[k] h(n rate_in / rate_out - k), h(t) = c sinc(c t) Kaiser(t), c = rolloff min(1, out / in);
    silence before the first sample and after the last.

    Args:
        x: float `[time]`.
        rate_in, rate_out: samples per second, whole numbers.
    """
    if rate_in == rate_out:
        return np.asarray(x, np.float32)
    common = math.gcd(rate_in, rate_out)
    up, down = rate_out // common, rate_in // common
    cutoff = ROLLOFF * min(1.0, up / down)
    half = math.ceil(ZEROS / cutoff)
    taps = np.arange(-half + 1, half + 1)
    length = -(-len(x) * up // down)
    padded = np.pad(np.asarray(x, np.float64), (half, half + 1))
    # One row of the filter for every position between two samples of x.
    phases = np.arange(up)[:, None] / up
    filters = _kernel(phases - taps, cutoff, half)
    out = np.empty(length, np.float32)
    block = max(_BLOCK // len(taps), 1)
    for first in range(0, length, block):
        n = np.arange(first, min(first + block, length))
        centre, phase = n * down // up, n * down % up
        out[n] = np.einsum("nt,nt->n", padded[centre[:, None] + half + taps], filters[phase])
    return out


def _kernel(t: np.ndarray, cutoff: float, half: int) -> np.ndarray:
    inside = np.clip(1.0 - (t / half) ** 2, 0.0, None)
    return cutoff * np.sinc(cutoff * t) * np.i0(_BETA * np.sqrt(inside)) / np.i0(_BETA)
