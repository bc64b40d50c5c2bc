"""Networks that predict the next symbol, and the one cached sampler."""

from vq_vae_tf.autoregressive.base import AutoregressiveNetwork
from vq_vae_tf.autoregressive.gated_pixelcnn import GatedPixelCNN
from vq_vae_tf.autoregressive.local_pixelcnn import LocalPixelCNN
from vq_vae_tf.autoregressive.sampler import sample, sample_naive
from vq_vae_tf.autoregressive.transformer import Transformer
from vq_vae_tf.autoregressive.wavenet import WaveNet

NETWORKS: dict[str, type[AutoregressiveNetwork]] = {
    "pixelcnn": GatedPixelCNN,
    "wavenet": WaveNet,
    "transformer": Transformer,
}

__all__ = [
    "NETWORKS",
    "AutoregressiveNetwork",
    "GatedPixelCNN",
    "LocalPixelCNN",
    "Transformer",
    "WaveNet",
    "sample",
    "sample_naive",
]
