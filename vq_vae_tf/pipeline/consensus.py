"""One film that stands for many imagined ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import tensorflow as tf

from vq_vae_tf.consensus import SHARPENING, consensus
from vq_vae_tf.evaluation.rollouts import gradient_energy
from vq_vae_tf.pipeline.imagining import decoded
from vq_vae_tf.progress import shown
from vq_vae_tf.vqvae import VQVAE

_FRAMES = 16  # at a time; each in as many decodings as 16 times the codes tried at a place


def consensus_films(vqvae: VQVAE, codings: np.ndarray, given: np.ndarray, sharpening: float = SHARPENING) -> np.ndarray:
    """Frames uint8 `[n, time, height, width, 3]`, each the `consensus` of its futures, as sharp as the frames given.

    Args:
        codings: int32 `[futures, n, time, h, w]`; of one future the film is that.
        given: uint8 `[n, past, height, width, 3]`, the frames before.
        sharpening: see `consensus`.
    """
    count, films, time, *grid = codings.shape
    if count == 1:
        return decoded(vqvae, codings[0])
    wanted = np.array([gradient_energy(film[None]) for film in given], np.float32).repeat(time)
    frames = codings.reshape(count, films * time, *grid)
    size = min(_FRAMES, films * time)
    compose, made = _compiled(vqvae, sharpening), []
    for first in shown(range(0, films * time, size), "consensus"):
        chosen = np.arange(first, first + size) % (films * time)
        made.append(compose(tf.constant(frames[:, chosen]), tf.constant(wanted[chosen])).numpy())
    composed = np.concatenate(made)[: films * time]
    return decoded(vqvae, composed.reshape(films, time, *grid))


@lru_cache(maxsize=2)
def _compiled(vqvae: VQVAE, sharpening: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    @tf.function(jit_compile=True, autograph=False)
    def compose(codings: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        return consensus(codings, vqvae.decode, wanted, sharpening)

    return compose
