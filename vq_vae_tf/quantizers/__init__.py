"""Quantizers: z_e -> codes -> z_q."""

from __future__ import annotations

from vq_vae_tf.quantizers.base import Quantizer
from vq_vae_tf.quantizers.vector import VectorQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {
    "vector": VectorQuantizer,
}

__all__ = ["QUANTIZERS", "Quantizer", "VectorQuantizer"]
