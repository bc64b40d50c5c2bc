"""Trained models back from a work folder, each proved to be what training wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from vq_vae_tf import build
from vq_vae_tf.autoregressive.vectors import along_axes
from vq_vae_tf.codes import open_codes
from vq_vae_tf.config import Config, replace
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.run import Run, read_flagfile
from vq_vae_tf.prior import Prior
from vq_vae_tf.training.result import TrainResult, load_weights, read_result
from vq_vae_tf.training.source import check_source
from vq_vae_tf.vqvae import VQVAE


def trained(directory: Path, stage: str) -> TrainResult:
    """What training wrote of its result. Raises: UserError if it has not finished or the file is damaged."""
    result = read_result(directory)
    if result is None:
        raise UserError(f"{directory} has no finished training; run bin/train with --stages={stage} first.")
    return result


def load_vqvae(run: Run) -> tuple[VQVAE, str]:
    """The trained VQ-VAE in float32, which draws codes as `drawn_at` says, and the digest of its weights."""
    trained(run.vqvae, "vqvae")
    build.clear_session(run.config.run.seed)
    config = replace(run.config, code_temperature=drawn_at(run.config), last_temperature=0.0)
    model = run.modality.build_vqvae(config, run.known)
    return model, load_weights(model, run.vqvae).digest


def drawn_at(config: Config) -> float:
    """The temperature at which a trained VQ-VAE's codes are drawn; 0: they are not."""
    q = config.quantizer
    return q.draw_temperature or q.last_temperature or q.code_temperature


def first_stage(config: Config, data: Any) -> VQVAE:
    """The trained VQ-VAE of the run that --first_stage names, in float32, for this run's images.

    Raises:
        UserError: there is no such run, it is of no images, or it has a first stage itself.
    """
    name = config.model.first_stage
    path = Path(name) / "config.flags"
    if not path.is_file():
        raise UserError(f"--first_stage={name} holds no run (no config.flags); give a folder that bin/train has made.")
    first = read_flagfile(path)
    if first.data.modality != "image" or first.model.first_stage:
        raise UserError(f"--first_stage={name} is no plain run on images; give one that is.")
    model = build.build_vqvae(first, data.image_shape)
    load_weights(model, Path(name) / "vqvae")
    return model


def shown_vectors(run: Run) -> Callable[[Any], None]:
    """What gives a prior with --prior_vectors the run's codebooks, and how often each of their codes comes."""
    vqvae, digest = load_vqvae(run)
    book = ops.convert_to_numpy(vqvae.quantizer.codebook)
    vectors = np.reshape(book, (-1, *book.shape[-2:]))
    counts = np.reshape(open_codes(run.codes, digest).manifest.histogram("train"), vectors.shape[:2])

    def show(prior: Prior) -> None:
        seen, whole = prior.network.vector_dim, vectors.shape[-1]
        prior.network.show(vectors if seen == whole else along_axes(vectors, seen), counts)

    return show


def load_prior(run: Run) -> Prior | None:
    """The trained prior in float32; None if the run has none. Raises: UserError for one over another model's codes."""
    if read_result(run.prior) is None:
        return None
    digest = trained(run.vqvae, "vqvae").digest
    check_source(run.prior, digest)
    codes = open_codes(run.codes, digest)
    model = run.modality.build_prior(run.config, codes.manifest)
    load_weights(model, run.prior)
    return model


def trained_pair(run: Run) -> tuple[VQVAE, Prior]:
    """The trained VQ-VAE and prior. Raises: UserError if the run has none."""
    vqvae, _ = load_vqvae(run)
    prior = load_prior(run)
    if prior is None:
        raise UserError(f"{run.directory} has no trained prior; run bin/train with --stages=codes,prior first.")
    return vqvae, prior


def model_digests(run: Run) -> dict[str, str]:
    """The digests of the weights that an export of this run holds."""
    digests = {"vqvae": trained(run.vqvae, "vqvae").digest}
    if read_result(run.prior) is not None:
        digests["prior"] = trained(run.prior, "prior").digest
    return digests
