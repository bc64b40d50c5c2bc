"""A whole split under codes found by search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.evaluation.codebook import code_counts, codebook_use
from vq_vae_tf.evaluation.image_report import Messages, Searched
from vq_vae_tf.evaluation.likelihood import likelihood_scores
from vq_vae_tf.evaluation.reconstruction import as_served, reconstruction_scores
from vq_vae_tf.pipeline.coding import coder, compressor
from vq_vae_tf.pipeline.decoding import decoder
from vq_vae_tf.pipeline.kept import KeptCodes
from vq_vae_tf.pipeline.loading import model_digests
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.prior import Prior
from vq_vae_tf.progress import shown as with_progress
from vq_vae_tf.version import VERSION
from vq_vae_tf.vqvae import VQVAE


def score_searched(run: Run, vqvae: VQVAE, prior: Prior | None, shown: int) -> Searched:
    """Searches the evaluation split's codes, and scores them as those of the encoder are; decodes the first `shown`."""
    settings, quantizer = run.config.evaluation, vqvae.quantizer
    weighed = prior if settings.search_rate_weight or settings.search_bytes else None
    found = list(_searched_codes(run, vqvae, prior))

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
        rate_weight=0.0 if settings.search_bytes else settings.search_rate_weight,
        messages=None if weighed is None else _messages(weighed, batches(), settings.search_bytes),
        reconstruction=reconstruction_scores(
            lambda batch: decoder(vqvae)(batch["codes"]), batches(), run.config.model.data_variance
        ),
        use=codebook_use(counts),
        likelihood={name: likelihood_scores(bounds[name], batches()) for name in bounds},
        reconstructions=as_served(decoder(vqvae)(np.concatenate(found[: 1 + shown // len(found[0])])[:shown])),
    )


def _messages(prior: Prior, batches: Iterator[Mapping[str, Any]], most: int) -> Messages:
    """Every map coded under the prior; each is decoded again, and must be what it was."""
    code = compressor(prior)
    sizes: list[int] = []
    places = 0
    for batch in batches:
        known = {"label": batch["label"]} if prior.network.num_labels else None
        messages = code.compress(batch["codes"], known)
        if not np.array_equal(code.decompress(messages, known), batch["codes"]):
            raise RuntimeError(
                "codes came back from the arithmetic coder as others: the prior's step is not reproducible"
            )
        sizes += map(len, messages)
        places = batch["codes"][0].size
    above = sum(size > most for size in sizes) if most else None
    return Messages(8.0 * float(np.mean(sizes)) / places, most, max(sizes), above)


def _searched_codes(run: Run, vqvae: VQVAE, prior: Prior | None) -> Iterator[np.ndarray]:
    """Codes of every batch of the evaluation split; what an evaluation before has found is not searched again."""
    settings, code_of = run.config.evaluation, coder(run, vqvae, prior)
    kept = KeptCodes(run.searched, {**_searched_with(run), "version": VERSION})
    total = -(-run.data.sizes[settings.eval_split] // settings.eval_batch_size)
    for batch in with_progress(run.data.examples(settings.eval_split, settings.eval_batch_size), "search", total):
        yield kept.of(batch, lambda: code_of(batch).numpy())  # noqa: B023, called at once


def _searched_with(run: Run) -> dict[str, Any]:
    """What the codes depend on beside the pictures."""
    flags = {name: value for name, value in asdict(run.config.evaluation).items() if name.startswith("search_")}
    return {"digests": model_digests(run), "precision": run.config.run.precision, **flags}
