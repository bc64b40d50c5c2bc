"""Images -> codes -> messages, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import tensorflow as tf

from vq_vae_tf.compression import Compressor
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.modality import CodeOf
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.prior import Prior
from vq_vae_tf.training.result import load_weights
from vq_vae_tf.vqvae import VQVAE, condition


def compressor(prior: Prior) -> Compressor:
    """Codes -> messages and back, a step of the prior as one graph."""
    return Compressor(prior, compiled=partial(tf.function, autograph=False))


def drawer(vqvae: VQVAE) -> CodeOf:
    """Batch -> codes drawn from q(z | x), other draws for each batch."""
    step = tf.Variable(0)

    def draw(batch: Mapping[str, Any]) -> tf.Tensor:
        return vqvae.draw(batch, step.assign_add(1))[0]

    return tf.function(draw, reduce_retracing=True, autograph=False)


def check_searchable(run: Run, prior: Prior | None) -> None:
    """Raises: UserError for a search that weighs what codes cost under a prior, where there is none."""
    for name in ("search_rate_weight", "search_bytes"):
        if (given := getattr(run.config.evaluation, name)) and prior is None:
            raise UserError(f"--{name}={given} needs a learned prior; train one (--stages=codes,prior) first.")


def coder(run: Run, vqvae: VQVAE, prior: Prior | None) -> CodeOf:
    """Batch -> codes, by the run's --search_ flags: the encoder's, or searched, under a prior if they weigh its rate.

    The search is made in the precision of training, its outcome checked against the encoder's codes in float32, but
    where --search_bytes limits the rate, which those do not keep.
    """
    settings, precision = run.config.evaluation, run.config.run.precision
    if not settings.search_candidates:
        return tf.function(vqvae.encode, reduce_retracing=True, autograph=False)
    weight, fast = settings.search_rate_weight, vqvae
    weighed = prior if weight or settings.search_bytes else None
    if precision != "float32":
        fast = run.modality.build_vqvae(run.config, run.known, precision)
        load_weights(fast, run.vqvae)

    def whole_loss(codes: Any, batch: Mapping[str, Any]) -> Any:
        loss = vqvae.code_loss(codes, batch)
        return loss if weighed is None else loss - weight * weighed.log_prob(codes, condition(batch))

    most = compressor(weighed).bits_within(settings.search_bytes) if weighed and settings.search_bytes else None

    def search(batch: Mapping[str, Any]) -> tf.Tensor:
        found = fast.search(batch, settings.search_candidates, settings.search_sweeps, weighed, weight, most)
        if most is not None:
            return found
        own = vqvae.encode(batch)
        better = tf.reshape(whole_loss(found, batch) < whole_loss(own, batch), (-1, *[1] * (len(own.shape) - 1)))
        return tf.where(better, found, own)

    return tf.function(search, reduce_retracing=True, autograph=False)
