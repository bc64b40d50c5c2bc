"""p(x | z_q) for images: what the decoder's output says of the 256 values of each channel."""

from __future__ import annotations

from vq_vae_tf.modalities.image.likelihood.base import Likelihood
from vq_vae_tf.modalities.image.likelihood.categorical import Categorical
from vq_vae_tf.modalities.image.likelihood.gaussian import Gaussian
from vq_vae_tf.modalities.image.likelihood.logistic_mixture import DiscretizedLogisticMixture

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "gaussian": Gaussian,
    "categorical": Categorical,
    "logistic_mixture": DiscretizedLogisticMixture,
}

__all__ = ["LIKELIHOODS", "Categorical", "DiscretizedLogisticMixture", "Gaussian", "Likelihood"]
