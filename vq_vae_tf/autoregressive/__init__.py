"""Networks that predict the next symbol, and the one cached sampler."""

from vq_vae_tf.autoregressive.base import AutoregressiveNetwork
from vq_vae_tf.autoregressive.gated_pixelcnn import GatedPixelCNN
from vq_vae_tf.autoregressive.sampler import sample, sample_naive

NETWORKS: dict[str, type[AutoregressiveNetwork]] = {"pixelcnn": GatedPixelCNN}

__all__ = ["NETWORKS", "AutoregressiveNetwork", "GatedPixelCNN", "sample", "sample_naive"]
