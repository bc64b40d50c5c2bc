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
from vq_vae_tf.vqvae import VQVAE

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
        expected: float32 `[n, time, height, width, 3]`, see `expected_films`.
        sharpening: see `consensus`; None: as was chosen.
    """
    count, films, time, *grid = codings.shape
    if count == 1:
        return decoded(vqvae, codings[0])
    wanted = np.array([gradient_energy(film[None]) for film in given], np.float32).repeat(time)
    frames = codings.reshape(count, films * time, *grid)
    aims = None if expected is None else np.asarray(expected, np.float32).reshape(films * time, *expected.shape[2:])
    if sharpening is None:
        sharpening = SHARPENING if expected is None else SHARPENING_EXPECTED
    compose, made = _compiled(vqvae, sharpening), []
    for chosen in shown(of_one_size(films * time, _FRAMES), "consensus"):
        aim = None if aims is None else tf.constant(aims[chosen])
        made.append(compose(tf.constant(frames[:, chosen]), tf.constant(wanted[chosen]), aim).numpy())
    composed = np.concatenate(made)[: films * time]
    return decoded(vqvae, composed.reshape(films, time, *grid))


@lru_cache(maxsize=2)
def _compiled(vqvae: VQVAE, sharpening: float) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tf.Tensor]:
    @tf.function(jit_compile=True, autograph=False)
    def compose(codings: tf.Tensor, wanted: tf.Tensor, expected: tf.Tensor | None) -> tf.Tensor:
        return consensus(codings, vqvae.decode, wanted, sharpening, expected=expected)

    return compose
