"""Bits per dimension of the evidence lower bound, over a whole split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.vqvae import VQVAE


@dataclass(frozen=True)
class LikelihoodScores:
    """The bound on -log p(x), split: `bits_per_dim` = `distortion` + `rate`, all in bits per dimension of x."""

    num_examples: int
    num_dims: int
    """Dimensions of one example: height x width x channels."""
    bits_per_dim: float
    distortion_bits_per_dim: float
    rate_bits_per_dim: float
    nats: float
    """Mean of -log p(x) over the examples, as bounded, in nats."""
    standard_error: float | None
    """Of `bits_per_dim`, over examples; None if there is one alone."""


Bound = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Batch -> {"distortion", "rate"} in nats `[batch]`."""


def without_codes(vqvae: VQVAE) -> Bound:
    """-log p(x) of a decoder that does not see its codes: exact, nothing is spent on them."""

    def exact(batch: Mapping[str, Any]) -> dict[str, Any]:
        distortion = vqvae.elbo(batch)["distortion"]
        return {"distortion": distortion, "rate": tf.zeros_like(distortion)}

    return exact


def with_shuffled_codes(vqvae: VQVAE) -> Bound:
    """The bound with each image under the codes of the one half a batch further: what it loses is what codes tell.

    Half a batch, because neighbours may be frames of one walk. The rate is that of a uniform prior.
    """

    def shuffled(batch: Mapping[str, Any]) -> dict[str, Any]:
        codes = vqvae.encode(batch)
        distortion = vqvae.distortion(tf.roll(codes, tf.shape(codes)[0] // 2, axis=0), batch)
        nats = math.prod(codes.shape[1:]) * math.log(vqvae.quantizer.num_codes)
        return {"distortion": distortion, "rate": tf.fill(tf.shape(distortion), nats)}

    return shuffled


def with_drawn_codes(vqvae: VQVAE, prior: Any, iw_samples: int = 1) -> Bound:
    """The bound with codes drawn from q(z | x): `VQVAE.drawn_elbo`, other draws for each batch."""
    step = tf.Variable(0)

    def drawn(batch: Mapping[str, Any]) -> Mapping[str, Any]:
        return vqvae.drawn_elbo(batch, step.assign_add(1), prior, iw_samples)

    return drawn


def likelihood_scores(elbo: Bound, batches: Iterable[Mapping[str, Any]]) -> LikelihoodScores:
    """Streams a split through `elbo`.

    Equation: bits/dim = (distortion + rate) / (dimensions log 2), distortion = -log p(x|z_q(x)), rate = -log p(z).
    Paper: section 3.1 (the bound), table 1 (bits/dim).

    Args:
        elbo: batch -> {"distortion", "rate"} in nats `[batch]`, as `VQVAE.elbo`; compile it first.
        batches: dictionaries with "x", every example once.

    Raises:
        UserError: the split is empty, or the bound of some example is not finite.
    """
    distortions: list[np.ndarray] = []
    rates: list[np.ndarray] = []
    dims = 0
    for batch in batches:
        terms = elbo(batch)
        distortions.append(np.asarray(terms["distortion"], np.float64).reshape(-1))
        rates.append(np.asarray(terms["rate"], np.float64).reshape(-1))
        dims = math.prod(batch["x"].shape[1:])
    if not distortions:
        raise UserError("No example came to be evaluated; choose a split that is not empty.")
    return _scores(np.concatenate(distortions), np.concatenate(rates), dims)


def _scores(distortion: np.ndarray, rate: np.ndarray, dims: int) -> LikelihoodScores:
    nats = distortion + rate
    wrong = int(np.sum(~np.isfinite(nats)))
    if wrong:
        raise UserError(
            f"The bound on log p(x) is not finite for {wrong} of {nats.size} examples; "
            "the model has diverged, train it again with a smaller --learning_rate."
        )
    scale = 1.0 / (dims * math.log(2.0))
    error = float(np.std(nats, ddof=1)) / math.sqrt(nats.size) * scale if nats.size > 1 else None
    return LikelihoodScores(
        num_examples=nats.size,
        num_dims=dims,
        bits_per_dim=float(np.mean(nats)) * scale,
        distortion_bits_per_dim=float(np.mean(distortion)) * scale,
        rate_bits_per_dim=float(np.mean(rate)) * scale,
        nats=float(np.mean(nats)),
        standard_error=error,
    )
