"""Two levels of codes (VQ-VAE-2, Razavi, van den Oord, Vinyals 2019, arXiv 1906.00446), and a prior over both."""

from vq_vae_tf.hierarchy.network import TwoLevelNetwork
from vq_vae_tf.hierarchy.prior import TwoLevelPrior
from vq_vae_tf.hierarchy.quantizer import TwoLevelQuantizer

__all__ = ["TwoLevelNetwork", "TwoLevelPrior", "TwoLevelQuantizer"]
