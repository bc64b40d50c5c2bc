"""What TensorBoard lets one hear and see while the VQ-VAE of sounds trains."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from vq_vae_tf.evaluation.sounds import spectrogram_picture
from vq_vae_tf.modalities.audio.source import AudioData
from vq_vae_tf.training.loop import Summarize
from vq_vae_tf.vqvae import VQVAE

SHOWN = 4


def audio_summaries(data: AudioData) -> Summarize:
    """A function for `train` that writes originals and reconstructions as sounds and spectrograms, and their codes.

    The sounds are the first of the validation split, else of the test, else of the training split. A WaveNet's own are
    left out: drawn sample by sample and not compiled here, they would hold training up for minutes.
    """
    split = next(name for name in ("validation", "test", "train") if data.sizes.get(name))
    batch = next(iter(data.examples(split, SHOWN)))

    def summarize(model: VQVAE, step: int, writer: tf.summary.SummaryWriter) -> None:
        codes = model.encode(batch)
        sounds = {"original": batch["x"].numpy()}
        if not hasattr(model.likelihood, "network"):
            made = model.decode(codes, {"label": batch["label"]})
            sounds["reconstruction"] = np.clip(np.asarray(made, np.float32), -1.0, 1.0)
        with writer.as_default(step=step):
            for name, x in sounds.items():
                tf.summary.audio(name, x[..., None], data.rate, max_outputs=SHOWN)
                pictures = np.stack([spectrogram_picture(sound) for sound in x])
                tf.summary.image(f"spectrogram of {name}", pictures, max_outputs=SHOWN)
            tf.summary.histogram("codes", np.asarray(codes).reshape(-1), buckets=min(64, model.quantizer.num_codes))

    return summarize
