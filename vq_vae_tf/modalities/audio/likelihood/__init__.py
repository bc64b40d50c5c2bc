"""p(x | z_q) for waveforms."""

from vq_vae_tf.modalities.audio.likelihood.base import AudioLikelihood
from vq_vae_tf.modalities.audio.likelihood.logmel import LogMelGaussian
from vq_vae_tf.modalities.audio.likelihood.spectral import Spectral

__all__ = ["AudioLikelihood", "LogMelGaussian", "Spectral"]
