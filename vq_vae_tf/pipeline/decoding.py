"""Codes -> images in one compiled graph, also where a network draws them pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import tensorflow as tf

from vq_vae_tf.vqvae import VQVAE

DRAWN = 256
"""Images that are drawn pixel by pixel to score reconstructions: each takes as many steps as it has values."""


def draws(vqvae: VQVAE) -> bool:
    """Whether decoding is a loop over pixels."""
    return hasattr(vqvae.likelihood, "network")


@lru_cache(maxsize=2)
def decoder(vqvae: VQVAE) -> Callable[[Any], tf.Tensor]:
    """`vqvae.decode` as one graph; under XLA where it is a loop, compiled again for every batch size."""
    looping = draws(vqvae)
    return tf.function(vqvae.decode, reduce_retracing=not looping, autograph=False, jit_compile=looping)
