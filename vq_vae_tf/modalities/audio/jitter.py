"""Codes that now and then stand in for their neighbours."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vq_vae_tf.modalities.audio.perturbation import Perturbation


@keras.saving.register_keras_serializable(package="vq_vae_tf")
class TimeJitter(Perturbation):
    """In training, every vector of `[batch, time, dim]` is replaced by the one before or after it, each with rate / 2.

    So no code can count on its neighbours, nor on its exact place: codes come to mean what lasts, as phones do.
    Paper: Chorowski et al. 2019 (arXiv 1901.08810), section III-C, with rate 0.12.

    Args:
        rate: probability that a vector is replaced.
        seed: of the draws.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__("rate", rate, seed, **kwargs)
        self.rate = rate

    def call(self, z: Any, training: bool | None = None) -> Any:
        """z, jittered in training; beyond both ends stand the ends themselves."""
        if not training:
            return z
        drawn = keras.random.uniform(ops.shape(z)[:2], seed=self.seeds)[..., None]
        before = ops.concatenate([z[:, :1], z[:, :-1]], axis=1)
        after = ops.concatenate([z[:, 1:], z[:, -1:]], axis=1)
        return ops.where(drawn < self.rate / 2, before, ops.where(drawn > 1.0 - self.rate / 2, after, z))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
