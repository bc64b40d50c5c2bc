"""How good imagined frames are: near the truth, as sharp as it, moved as the action says, different by seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from vq_vae_tf.evaluation.reconstruction import ReconstructionMetrics, as_served
from vq_vae_tf.ops.contrast import gradient_energies


def frame_scores(truth: Any, films: Any, variance: float) -> dict[str, list[float]]:
    """PSNR (dB) and SSIM of each frame, over all films; both `[n, time, height, width, 3]` in 0..255.

    See `ReconstructionMetrics`: decibels of the mean squared error, not a mean of decibels.
    """
    scores = []
    for t in range(truth.shape[1]):
        metrics = ReconstructionMetrics(variance)
        metrics.update(truth[:, t], films[:, t])
        scores.append(metrics.result())
    return {"psnr": [s.psnr for s in scores], "ssim": [s.ssim for s in scores]}


def gradient_energy(films: Any) -> float:
    """Mean `gradient_energies` of all frames as they are served; films `[n, time, height, width, 3]` in 0..255."""
    energies = [np.asarray(gradient_energies(as_served(film)), np.float64) for film in films]
    return float(np.mean(energies))


def phase_shift(before: Any, after: Any) -> np.ndarray:
    """How far pictures moved, whole pixels (down, right), int `[n, 2]`; both `[n, height, width, 3]`.

    Equation: the place of the maximum of F^-1[conj(F a) F b / |conj(F a) F b|], of grey pictures under Hann windows.
    """
    a, b = (_windowed(x) for x in (before, after))
    cross = np.conj(np.fft.fft2(a)) * np.fft.fft2(b)
    peaks = np.fft.ifft2(cross / np.maximum(np.abs(cross), 1e-12)).real
    height, width = peaks.shape[1:]
    down, right = np.unravel_index(peaks.reshape(len(peaks), -1).argmax(1), (height, width))
    return np.stack([_signed(down, height), _signed(right, width)], axis=-1)


def _windowed(x: Any) -> np.ndarray:
    grey = np.asarray(x, np.float64).mean(-1)
    grey = grey - grey.mean((1, 2), keepdims=True)
    return grey * np.hanning(grey.shape[1])[:, None] * np.hanning(grey.shape[2])


def _signed(place: np.ndarray, size: int) -> np.ndarray:
    return np.where(place > size // 2, place - size, place)


def sideways(films: Any) -> np.ndarray:
    """How many pixels a frame each film moves to the right, the median over its steps, float `[n]`."""
    films = np.asarray(films)
    steps = [phase_shift(films[:, t], films[:, t + 1])[:, 1] for t in range(films.shape[1] - 1)]
    return np.median(np.stack(steps, axis=1), axis=1)


def spread(films: Any) -> list[float]:
    """Standard deviation over seeds of each frame, grey levels of 255; films `[seeds, n, time, height, width, 3]`.

    Equation: sqrt(mean over films, pixels and channels of the variance over seeds).
    """
    variance = np.asarray(films, np.float32).var(axis=0, ddof=1)
    return np.sqrt(variance.mean((0, 2, 3, 4))).tolist()
