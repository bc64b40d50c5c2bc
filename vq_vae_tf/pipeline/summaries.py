"""What TensorBoard shows while the VQ-VAE trains: pictures and the use of the codebook."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from vq_vae_tf.evaluation.grids import beside_grid
from vq_vae_tf.evaluation.reconstruction import as_served
from vq_vae_tf.modalities.image.data import ImageData
from vq_vae_tf.pipeline.decoding import draws
from vq_vae_tf.vqvae import VQVAE

SHOWN = 16


def vqvae_summaries(data: ImageData) -> Callable[[VQVAE, int, tf.summary.SummaryWriter], None]:
    """A function for `train` that writes originals beside reconstructions, and a histogram of their codes.

    The pictures are the first of the validation split, else of the test split, else of the training split.
    """
    split = next(name for name in ("validation", "test", "train") if data.sizes.get(name))
    x = next(iter(data.examples(split, SHOWN)))["x"].numpy()

    def summarize(model: VQVAE, step: int, writer: tf.summary.SummaryWriter) -> None:
        codes = model.encode(x)
        with writer.as_default(step=step):
            if not draws(model):  # a loop over pixels, not compiled here, would hold training up for minutes
                grid = beside_grid([x, as_served(model.decode(codes))], columns=4)
                tf.summary.image("originals beside reconstructions", grid[None])
            tf.summary.histogram("codes", np.asarray(codes).reshape(-1), buckets=min(64, model.quantizer.num_codes))

    return summarize
