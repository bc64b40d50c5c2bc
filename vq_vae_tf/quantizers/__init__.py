"""Quantizers: z_e -> codes -> z_q."""

from __future__ import annotations

from vq_vae_tf.quantizers.base import Quantizer
from vq_vae_tf.quantizers.entropy_constrained import EntropyConstrainedQuantizer
from vq_vae_tf.quantizers.finite_scalar import FiniteScalarQuantizer
from vq_vae_tf.quantizers.lookup_free import LookupFreeQuantizer
from vq_vae_tf.quantizers.product import ProductQuantizer
from vq_vae_tf.quantizers.residual import ResidualQuantizer
from vq_vae_tf.quantizers.simvq import SimVQ
from vq_vae_tf.quantizers.vector import VectorQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {
    "vector": VectorQuantizer,
    "product": ProductQuantizer,
    "residual": ResidualQuantizer,
    "finite_scalar": FiniteScalarQuantizer,
    "lookup_free": LookupFreeQuantizer,
    "simvq": SimVQ,
    "entropy_constrained": EntropyConstrainedQuantizer,
}

__all__ = [
    "QUANTIZERS",
    "EntropyConstrainedQuantizer",
    "FiniteScalarQuantizer",
    "LookupFreeQuantizer",
    "ProductQuantizer",
    "Quantizer",
    "ResidualQuantizer",
    "SimVQ",
    "VectorQuantizer",
]
