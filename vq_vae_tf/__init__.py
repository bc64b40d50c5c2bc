"""VQ-VAE for Keras 3 and TensorFlow: discrete codes of images, a prior over them, samples, scores, serving.

van den Oord, Vinyals, Kavukcuoglu, "Neural Discrete Representation Learning", 2017 (arXiv 1711.00937).

    import vq_vae_tf as vq
    z = vq.VectorQuantizer(num_embeddings=512, embedding_dim=64)(z)

Names are imported when they are first used, so `import vq_vae_tf` itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vq_vae_tf.version import VERSION as __version__

if TYPE_CHECKING:
    from vq_vae_tf.autoregressive import GatedPixelCNN, LocalPixelCNN, Transformer, WaveNet, sample
    from vq_vae_tf.autoregressive_decoder import AutoregressivePixels
    from vq_vae_tf.compression import Compressor
    from vq_vae_tf.dynamics import Dynamics, PastEncoder
    from vq_vae_tf.errors import UserError
    from vq_vae_tf.hierarchy import TwoLevelNetwork, TwoLevelPrior, TwoLevelQuantizer
    from vq_vae_tf.joint import JointQuantizer
    from vq_vae_tf.modalities.image.decoder import ImageDecoder
    from vq_vae_tf.modalities.image.encoder import ImageEncoder
    from vq_vae_tf.modalities.image.likelihood import Categorical, DiscretizedLogisticMixture, Gaussian
    from vq_vae_tf.modalities.video.decoder import ClipDecoder
    from vq_vae_tf.modalities.video.encoder import ClipEncoder
    from vq_vae_tf.prior import Prior, UniformPrior
    from vq_vae_tf.quantizers import (
        EntropyConstrainedQuantizer,
        FiniteScalarQuantizer,
        LookupFreeQuantizer,
        ProductQuantizer,
        ResidualQuantizer,
        SimVQ,
        VectorQuantizer,
    )
    from vq_vae_tf.vqvae import VQVAE

_HOMES = {
    "AutoregressivePixels": "autoregressive_decoder",
    "Categorical": "modalities.image.likelihood",
    "ClipDecoder": "modalities.video.decoder",
    "ClipEncoder": "modalities.video.encoder",
    "Compressor": "compression",
    "DiscretizedLogisticMixture": "modalities.image.likelihood",
    "Dynamics": "dynamics",
    "EntropyConstrainedQuantizer": "quantizers",
    "FiniteScalarQuantizer": "quantizers",
    "GatedPixelCNN": "autoregressive",
    "Gaussian": "modalities.image.likelihood",
    "ImageDecoder": "modalities.image.decoder",
    "ImageEncoder": "modalities.image.encoder",
    "JointQuantizer": "joint",
    "LocalPixelCNN": "autoregressive",
    "LookupFreeQuantizer": "quantizers",
    "PastEncoder": "dynamics",
    "Prior": "prior",
    "ProductQuantizer": "quantizers",
    "ResidualQuantizer": "quantizers",
    "SimVQ": "quantizers",
    "Transformer": "autoregressive",
    "TwoLevelNetwork": "hierarchy",
    "TwoLevelPrior": "hierarchy",
    "TwoLevelQuantizer": "hierarchy",
    "UniformPrior": "prior",
    "UserError": "errors",
    "VQVAE": "vqvae",
    "VectorQuantizer": "quantizers",
    "WaveNet": "autoregressive",
    "sample": "autoregressive",
}

__all__ = [
    "VQVAE",
    "AutoregressivePixels",
    "Categorical",
    "ClipDecoder",
    "ClipEncoder",
    "Compressor",
    "DiscretizedLogisticMixture",
    "Dynamics",
    "EntropyConstrainedQuantizer",
    "FiniteScalarQuantizer",
    "GatedPixelCNN",
    "Gaussian",
    "ImageDecoder",
    "ImageEncoder",
    "JointQuantizer",
    "LocalPixelCNN",
    "LookupFreeQuantizer",
    "PastEncoder",
    "Prior",
    "ProductQuantizer",
    "ResidualQuantizer",
    "SimVQ",
    "Transformer",
    "TwoLevelNetwork",
    "TwoLevelPrior",
    "TwoLevelQuantizer",
    "UniformPrior",
    "UserError",
    "VectorQuantizer",
    "WaveNet",
    "__version__",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"vq_vae_tf.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'vq_vae_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
