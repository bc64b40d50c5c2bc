"""Training by `compile` and `fit`, on the backend at hand."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from vq_vae_tf.errors import UserError
from vq_vae_tf.files import sha256_of
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.modalities.image.likelihood import Gaussian
from vq_vae_tf.plain_fit import Schedule, fit_packed
from vq_vae_tf.quantizers import VectorQuantizer
from vq_vae_tf.vqvae import VQVAE

OPTIONS = {
    "steps": 240, "batch_size": 16, "learning_rate": 1e-2, "schedule": "cosine", "warmup_steps": 5, "clip_norm": 1.0,
    "jit": False, "seed": 3,
}  # fmt: skip
SIZES = {"units": 8, "residual_units": 4, "residual_blocks": 1}


def model():
    keras.utils.set_random_seed(0)
    parts = (ImageEncoder(3, downsamplings=1, **SIZES), VectorQuantizer(8, 3, ema_decay=0.9))
    vqvae = VQVAE(*parts, ImageDecoder(3, upsamplings=1, **SIZES), Gaussian(0.05))
    vqvae.build((None, 4, 4, 3))
    return vqvae


def images():
    return np.random.default_rng(0).integers(0, 256, (40, 1, 1, 3)).repeat(4, 1).repeat(4, 2).astype(np.uint8)


@pytest.fixture
def packed(tmp_path):
    model().save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", images())
    (tmp_path / "options.json").write_text(json.dumps(OPTIONS))
    return tmp_path


def test_it_learns_and_says_what_it_wrote(packed):
    result = fit_packed(packed, verbose=0)
    assert result == json.loads((packed / "fitted.json").read_text())
    assert result["sha256"] == sha256_of(packed / "fitted.weights.h5")
    trained, x = model(), images()
    before = np.square(keras.ops.convert_to_numpy(trained.reconstruct(x)) - x).mean()
    trained.load_weights(packed / "fitted.weights.h5")
    after = np.square(keras.ops.convert_to_numpy(trained.reconstruct(x)) - x).mean()
    assert after < 0.5 * min(before, x.var())
    assert {path.name for path in packed.iterdir()} == {
        "model.keras", "x.npy", "options.json", "fitted.json", "fitted.weights.h5",
    }  # fmt: skip


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
def test_the_rate_rises_and_falls_as_the_equation_says(schedule):
    rates = [float(Schedule(20, 2.0, schedule, 4)(step)) for step in range(20)]
    u = np.arange(16) / 16
    falling = {"constant": np.ones(16), "cosine": (1 + np.cos(np.pi * u)) / 2, "linear": 1 - u}[schedule]
    np.testing.assert_allclose(rates, np.concatenate([[0.5, 1.0, 1.5, 2.0], 2 * falling]), rtol=1e-5, atol=1e-7)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no packed model"):
        fit_packed(tmp_path)
