"""One film that stands for many imagined ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import tensorflow as tf

from vq_vae_tf.consensus import SHARPENING, SHARPENING_EXPECTED, consensus
from vq_vae_tf.evaluation.rollouts import gradient_energy
from vq_vae_tf.pipeline.imagining import decoded, of_one_size
from vq_vae_tf.progress import shown
from vq_vae_tf.quantizers.codings import neighbours
from vq_vae_tf.vqvae import VQVAE

NEARBY, DRAWN = 6, 3
"""Codes tried at each place where a picture is expected: those nearest to it, and of those drawn."""
_FRAMES = 16  # at a time; each in as many decodings as 16 times the codes tried at a place


def consensus_films(
    vqvae: VQVAE,
    codings: np.ndarray,
    given: np.ndarray,
    expected: np.ndarray | None = None,
    sharpening: float | None = None,
) -> np.ndarray:
    """Frames uint8 `[n, time, height, width, 3]`, each the `consensus` of its futures, as sharp as the frames given.

    Args:
        codings: int32 `[futures, n, time, h, w]`; of one future the film is that.
        given: uint8 `[n, past, height, width, 3]`, the frames before.
        expected: float32 `[n, first, height, width, 3]`, see `expected_films`; what the first frames also aim at.
        sharpening: see `consensus`; None: as was chosen.
    """
    if len(codings) == 1:
        return decoded(vqvae, codings[0])
    wanted = np.array([gradient_energy(film[None]) for film in given], np.float32)
    first, made = 0 if expected is None else expected.shape[1], []
    borders = [0, min(1, first), first, codings.shape[2]]
    for start, stop, worth in zip(borders, borders[1:], (*SHARPENING_EXPECTED, SHARPENING), strict=False):
        if stop > start:
            aims = expected[:, start:stop] if expected is not None and stop <= first else None
            worth = worth if sharpening is None else sharpening
            made.append(_composed(vqvae, codings[:, :, start:stop], wanted, aims, worth))
    return decoded(vqvae, np.concatenate(made, axis=1))


def _composed(
    vqvae: VQVAE, codings: np.ndarray, wanted: np.ndarray, aims: np.ndarray | None, sharpening: float
) -> np.ndarray:
    """Codes `[n, time, h, w]`."""
    count, films, time, *grid = codings.shape
    compose, frames, wanted = _compiled(vqvae, sharpening), codings.reshape(count, -1, *grid), wanted.repeat(time)
    pictures = None if aims is None else np.asarray(aims, np.float32).reshape(films * time, *aims.shape[2:])
    made = []
    for chosen in shown(of_one_size(films * time, _FRAMES), "consensus"):
        aim = None if pictures is None else tf.constant(pictures[chosen])
        made.append(compose(tf.constant(frames[:, chosen]), tf.constant(wanted[chosen]), aim).numpy())
    return np.concatenate(made)[: films * time].reshape(films, time, *grid)


@lru_cache(maxsize=3)
def _compiled(vqvae: VQVAE, sharpening: float) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tf.Tensor]:
    def nearby(pictures: tf.Tensor) -> tf.Tensor:
        z_e = vqvae.encoded(pictures, training=False)
        codes, _ = neighbours(vqvae.quantizer, z_e, min(NEARBY, vqvae.quantizer.num_codes))
        return tf.transpose(tf.reshape(codes, (*z_e.shape[:-1], -1)), (3, 0, 1, 2))

    @tf.function(jit_compile=True, autograph=False)
    def compose(codings: tf.Tensor, wanted: tf.Tensor, expected: tf.Tensor | None) -> tf.Tensor:
        if expected is None:
            return consensus(codings, vqvae.decode, wanted, sharpening)
        return consensus(codings, vqvae.decode, wanted, sharpening, DRAWN, expected, nearby)

    return compose
