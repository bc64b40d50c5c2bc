"""From a config to the autoregressive network over codes."""

from __future__ import annotations

from typing import Any

from vq_vae_tf.autoregressive import NETWORKS
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.hierarchy.layout import TWO_LEVEL

SEVERAL_CODES = ("product", "residual", TWO_LEVEL)
"""Each `--quantizer` that gives several codes at a place."""


def check_one_code(config: Config) -> None:
    """Raises: UserError for a quantizer that gives several codes at a place."""
    name = config.quantizer.quantizer
    if name in SEVERAL_CODES:
        raise UserError(
            f"--quantizer={name} gives several codes at each place, but --modality={config.data.modality} has one; "
            "give --quantizer=vector."
        )


def prior_network(config: Config, **sizes: Any) -> Any:
    """The autoregressive network that `--prior` names, as wide and deep as the flags say."""
    check_network(config)
    prior = config.prior
    network = NETWORKS[prior.prior]
    return network(**{"features": prior.prior_units, "num_layers": prior.prior_layers, "name": "network", **sizes})


def code_dimensions(config: Config) -> int:
    """Dimensions of the vector that a code stands for."""
    q = config.quantizer
    return q.embedding_dim // q.num_codebooks if q.quantizer == "product" else q.embedding_dim


def check_network(config: Config) -> None:
    """Raises: UserError for a `--prior` that is not known."""
    name = config.prior.prior
    if name not in NETWORKS:
        raise UserError(f"--prior={name} is not known; choose one of {', '.join(NETWORKS)}.")
