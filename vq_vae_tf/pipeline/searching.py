"""A whole split under codes found by search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.evaluation.codebook import code_counts, codebook_use
from vq_vae_tf.evaluation.image_report import Searched
from vq_vae_tf.evaluation.likelihood import likelihood_scores
from vq_vae_tf.evaluation.reconstruction import reconstruction_scores
from vq_vae_tf.pipeline.decoding import decoder
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.prior import Prior
from vq_vae_tf.training.progress import Progress
from vq_vae_tf.training.result import load_weights
from vq_vae_tf.vqvae import VQVAE


def score_searched(run: Run, vqvae: VQVAE, prior: Prior | None) -> Searched:
    """Searches the evaluation split's codes, and scores them as those of the encoder are."""
    settings, quantizer = run.config.evaluation, vqvae.quantizer
    found = list(_searched_codes(run, vqvae))

    def batches() -> Iterator[dict[str, Any]]:
        examples = run.data.examples(settings.eval_split, settings.eval_batch_size)
        return ({**batch, "codes": codes} for batch, codes in zip(examples, found, strict=True))

    def bound(batch: Mapping[str, Any], p: Prior | None) -> Any:
        given = {key: value for key, value in batch.items() if key != "codes"}
        return vqvae.bound(batch["codes"], given, p)

    counts = code_counts(batches(), quantizer.num_codes, quantizer.num_codebooks)
    priors = {"uniform": None} if prior is None else {"uniform": None, "learned": prior}
    bounds = {
        name: tf.function(lambda batch, p=p: bound(batch, p), reduce_retracing=True, autograph=False)
        for name, p in priors.items()
    }
    return Searched(
        candidates=settings.search_candidates,
        sweeps=settings.search_sweeps,
        reconstruction=reconstruction_scores(
            lambda batch: decoder(vqvae)(batch["codes"]), batches(), run.config.model.data_variance
        ),
        use=codebook_use(counts),
        likelihood={name: likelihood_scores(bounds[name], batches()) for name in bounds},
    )


def _searched_codes(run: Run, vqvae: VQVAE) -> Iterator[np.ndarray]:
    """Codes of every batch of the evaluation split, searched in the precision of training, checked in float32."""
    settings, precision = run.config.evaluation, run.config.run.precision
    fast = vqvae
    if precision != "float32":
        fast = run.modality.build_vqvae(run.config, run.data, precision)
        load_weights(fast, run.vqvae)

    @tf.function(reduce_retracing=True, autograph=False)
    def search(batch: Mapping[str, Any]) -> tf.Tensor:
        found = fast.search(batch, settings.search_candidates, settings.search_sweeps)
        own = vqvae.encode(batch)
        loss_of = {name: vqvae.code_loss(codes, batch) for name, codes in (("found", found), ("own", own))}
        better = tf.reshape(loss_of["found"] < loss_of["own"], (-1, *[1] * (len(own.shape) - 1)))
        return tf.where(better, found, own)

    split, size = settings.eval_split, settings.eval_batch_size
    total = -(-run.data.sizes[split] // size)
    progress = Progress(total, 0, "search")
    for step, batch in enumerate(run.data.examples(split, size)):
        yield search(batch).numpy()
        progress.update(step + 1, {})
    progress.close()
