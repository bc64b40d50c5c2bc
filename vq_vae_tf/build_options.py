"""From a config to how its models are trained."""

from __future__ import annotations

from typing import Any

from vq_vae_tf.build_network import check_network
from vq_vae_tf.build_prior import check_dynamics
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.settings import SCHEDULED
from vq_vae_tf.training.options import TrainingOptions

_FORESIGHT_RATE, _FORESIGHT_WARMUP, _FORESIGHT_BATCH, _FORESIGHT_DECAY = 1e-3, 100, 8, 1e-2


def vqvae_options(config: Config) -> TrainingOptions:
    """How the VQ-VAE is trained."""
    return _training_options(config, config.training, "")


def prior_options(config: Config) -> TrainingOptions:
    """How the prior is trained. Raises: UserError also for a `--prior` that the modality has not."""
    (check_dynamics if config.data.modality == "video" else check_network)(config)
    return _training_options(config, config.prior, "prior_")


def foresight_options(config: Config, replicas: int = 1) -> TrainingOptions:
    """How what is to be expected of video is trained: in small batches that replicas can share."""
    run, steps = config.run, config.video.foresight_steps
    size = min(_FORESIGHT_BATCH, config.prior.prior_batch_size)
    return TrainingOptions(
        steps=steps,
        batch_size=-(-size // replicas) * replicas,
        learning_rate=_FORESIGHT_RATE,
        schedule="cosine",
        warmup_steps=min(_FORESIGHT_WARMUP, steps),
        weight_decay=_FORESIGHT_DECAY,
        clip_norm=1.0,
        jit=run.jit,
        log_every=run.log_every,
        checkpoint_every=run.checkpoint_every,
        summary_every=run.checkpoint_every,
    )


def _training_options(config: Config, section: Any, prefix: str) -> TrainingOptions:
    run = config.run
    scheduled = {name: getattr(section, prefix + name) for name in SCHEDULED}
    try:
        return TrainingOptions(
            **scheduled,
            jit=run.jit,
            log_every=run.log_every,
            checkpoint_every=run.checkpoint_every,
            summary_every=run.checkpoint_every,
        )
    except UserError as error:
        raise UserError(str(error).replace("--", f"--{prefix}")) from error
