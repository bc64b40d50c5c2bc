"""One small class-conditional model, exported once for all tests of serving."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from vq_vae_tf.autoregressive import GatedPixelCNN
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.modalities.image.likelihood import Gaussian
from vq_vae_tf.prior import Prior
from vq_vae_tf.quantizers import VectorQuantizer
from vq_vae_tf.serving.export import export_image_model
from vq_vae_tf.vqvae import VQVAE

CLASSES = ("ant", "bee", "cow")


@pytest.fixture(scope="session")
def vqvae():
    keras.utils.set_random_seed(3)
    encoder = ImageEncoder(4, units=8, residual_units=2, residual_blocks=1)
    decoder = ImageDecoder(3, units=8, residual_units=2, residual_blocks=1)
    model = VQVAE(encoder, VectorQuantizer(8, 4), decoder, Gaussian())
    model.build((None, 8, 8, 3))
    # Spread the codes: untrained ones all lie in one corner, and every image would get the same.
    z = encoder(np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32"))
    model.quantizer.weights[0].assign(keras.ops.reshape(z, (-1, 4))[:8])
    return model


@pytest.fixture(scope="session")
def prior():
    keras.utils.set_random_seed(4)
    model = Prior(GatedPixelCNN(8, (2, 2), num_labels=len(CLASSES), features=8, num_layers=1, kernel_size=3))
    model.build()
    for weight in model.weights:
        if "label" in weight.path:  # untrained labels hardly matter
            weight.assign(8.0 * keras.random.normal(weight.shape, seed=5))
    return model


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def labels():
    return np.arange(6, dtype=np.int32) % 3


@pytest.fixture(scope="session")
def exported(vqvae, prior, images, labels, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("exports")
    return export_image_model(
        vqvae, prior, root, "small", images=images, labels=labels, metadata={"class_names": list(CLASSES)}
    )


@pytest.fixture(scope="session")
def signatures(exported):
    loaded = tf.saved_model.load(str(exported))
    # Held together: a signature does not keep its model alive.
    return {"model": loaded, **loaded.signatures}
