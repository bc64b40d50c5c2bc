"""Trained models back from a work folder, each proved to be what training wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vq_vae_tf import build
from vq_vae_tf.codes import open_codes
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.prior import Prior
from vq_vae_tf.training.digest import weights_digest
from vq_vae_tf.vqvae import VQVAE


def trained(directory: Path, stage: str) -> dict[str, Any]:
    """What training wrote of its result. Raises: UserError if it has not finished or the file is damaged."""
    path = directory / "result.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{directory} has no finished training; run bin/train with --stages={stage} first.") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); remove it and run bin/train again.") from error


def load_vqvae(run: Run) -> tuple[VQVAE, str]:
    """The trained VQ-VAE in float32 and the digest of its weights."""
    digest = trained(run.vqvae, "vqvae")["digest"]
    build.clear_session(run.config.run.seed)
    model = build.build_vqvae(run.config, run.data.image_shape)
    return load_weights(model, run.vqvae / "model.weights.h5", digest), digest


def load_prior(run: Run) -> Prior | None:
    """The trained prior in float32; None if the run has none."""
    if not (run.prior / "result.json").exists():
        return None
    codes = open_codes(run.codes, trained(run.vqvae, "vqvae")["digest"])
    model = build.build_prior(run.config, codes.manifest)
    return load_weights(model, run.prior / "model.weights.h5", trained(run.prior, "prior")["digest"])


def load_weights(model: Any, path: Path, digest: str) -> Any:
    """Loads weights and proves that they are those that training wrote. Raises: UserError naming the file."""
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({str(error).splitlines()[0]}); restore it or train again.") from error
    if weights_digest(model) != digest:
        raise UserError(f"{path} is not what training wrote (its digest differs); restore it or train again.")
    return model
