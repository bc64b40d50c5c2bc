"""Codes -> sounds, and sounds of any length drawn from the prior."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.pipeline.decoding import draws
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.sampling import class_labels, draw_codes, seed_tensor
from vq_vae_tf.prior import Prior
from vq_vae_tf.vqvae import VQVAE
from vq_vae_tf.windows import added, by_windows, next_window


@lru_cache(maxsize=2)
def decoder(vqvae: VQVAE) -> Callable[[Any, Any], tf.Tensor]:
    """Codes and speakers -> sounds, in one graph; under XLA where a WaveNet draws sample by sample."""

    def decode(codes: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(vqvae.decode(codes, {"label": label}), -1.0, 1.0)

    looping = draws(vqvae)
    return tf.function(decode, reduce_retracing=not looping, autograph=False, jit_compile=looping)


def drawn_sounds(
    run: Run, vqvae: VQVAE, prior: Prior, draw: Draw, names: tuple[str, ...] = (), seconds: float = 0.0
) -> dict[str, np.ndarray]:
    """Speaker -> a drawn sound, float32 `[time]`.

    names: speakers; none: the first ones. seconds: how long; 0: the window of training. Longer ones go on window by
    window (`windows.next_window`).
    """
    labels, hop = class_labels(run, prior, names), vqvae.encoder.hop
    speakers, samples = list(labels.values()), max(1, round(seconds * run.known.rate)) if seconds else run.known.window
    codes, decode = draw_long(prior, speakers, draw, -(-samples // hop)), decoder(vqvae)
    who = tf.constant(speakers, tf.int32)
    if draws(vqvae):
        sounds = by_windows(decode, tf.constant(codes), who, run.known.window // hop)
    else:
        sounds = decode(tf.constant(codes), who)
    return dict(zip(labels, sounds.numpy()[:, :samples], strict=True))


def draw_long(prior: Prior, labels: list[int], draw: Draw, length: int) -> np.ndarray:
    """Codes int32 `[batch, length]`, window by window, as an export draws them."""
    codes = last = draw_codes(prior, labels, draw)
    number = 0
    settings = seed_tensor(draw.seed), tf.constant(labels, tf.int32), tf.constant(draw.temperature, tf.float32)
    while codes.shape[1] < length:
        number += 1
        last = _compiled(prior, draw.top_k, draw.top_p)(tf.constant(last), tf.constant(number), *settings).numpy()
        codes = np.concatenate([codes, added(last)], axis=1)
    return codes[:, :length]


@lru_cache(maxsize=2)
def _compiled(prior: Prior, top_k: int, top_p: float) -> Callable[..., tf.Tensor]:
    """The next window under XLA."""

    @tf.function(jit_compile=True, autograph=False)
    def further(last: tf.Tensor, number: tf.Tensor, seed: tf.Tensor, labels: tf.Tensor, heat: tf.Tensor) -> tf.Tensor:
        return next_window(prior, last, number, seed, {"label": labels}, heat, top_k, top_p)

    return further
