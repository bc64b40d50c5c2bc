"""Every recipe parses, builds its models at full size and trains the sizes that it states."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

import keras
import pytest

from vq_vae_tf import build, build_audio
from vq_vae_tf import config as config_lib
from vq_vae_tf.build_options import prior_options, vqvae_options
from vq_vae_tf.build_prior import build_dynamics, build_prior
from vq_vae_tf.build_quantizer import GRID_QUANTIZERS
from vq_vae_tf.codes import CodeManifest
from vq_vae_tf.commands import command_line
from vq_vae_tf.hierarchy.layout import TWO_LEVEL
from vq_vae_tf.quantizers import QUANTIZERS

RECIPES = sorted(config_lib.recipes_directory().glob("*.flags"))
STORED = {"cifar10": (32, 32, 3)}
FIELDS = ("Data:", "Command:", "Time:", "Measured:")
"""What the header of every recipe says, a line or more each, in this order."""


def config_of(path):
    return command_line.config_from(command_line.parse([f"--flagfile={path.name}"], config_lib.options()))


def recipes_of(modality):
    return [path for path in RECIPES if config_of(path).data.modality == modality]


@pytest.mark.parametrize("path", recipes_of("audio"), ids=lambda p: p.stem)
def test_audio_recipe_builds(path):
    config = config_of(path)
    vqvae = build_audio.build_audio_vqvae(config, 6, num_words=10)
    codes = vqvae.encode(keras.ops.zeros((1, config.audio.window)))
    assert tuple(codes.shape) == (1, config.audio.window // vqvae.encoder.hop)
    manifest = CodeManifest(1, vqvae.quantizer.num_codes, tuple(codes.shape[1:]), None, 6, (), "", {})
    prior = build_prior(config, manifest)
    assert keras.ops.all(keras.ops.isfinite(prior.log_prob(codes, {"label": keras.ops.zeros((1,), "int32")})))
    vqvae_options(config), prior_options(config)


@pytest.mark.parametrize("path", recipes_of("video"), ids=lambda p: p.stem)
def test_video_recipe_builds(path):
    config = config_lib.replace(config_of(path), data_variance=0.05)
    size = config.data.image_size or 84
    vqvae = build.build_vqvae(config, (size, size, 3))
    codes = vqvae.encode(keras.ops.zeros((1, size, size, 3), "uint8"))
    length, past = config.video.clip_length, config.video.past_frames
    manifest = CodeManifest(1, vqvae.quantizer.num_codes, (length, *codes.shape[1:]), None, 0, (), "", {})
    dynamics = build_dynamics(config, manifest, 5)
    given = {"past": keras.ops.repeat(codes[:, None], past, axis=1), "actions": keras.ops.zeros((1, past), "int32")}
    assert keras.ops.all(keras.ops.isfinite(dynamics.log_prob(codes, given)))
    vqvae_options(config), prior_options(config)


def vqvae_of(config, shape):
    """The model of a recipe; that of a first stage is not trained here."""
    if not config.model.first_stage:
        return build.build_vqvae(config, shape)
    recipe = config_lib.recipes_directory() / f"{Path(config.model.first_stage).name}.flags"
    first = build.build_vqvae(config_lib.replace(config_of(recipe), data_variance=0.05), shape)
    return build.build_second_stage(config, first, shape)


@pytest.mark.parametrize("path", recipes_of("image"), ids=lambda p: p.stem)
def test_recipe_builds(path):
    config = config_of(path)
    size = config.data.image_size
    shape = (size, size, 3) if size else STORED[config.data.dataset]
    config = config_lib.replace(config, data_variance=config.model.data_variance or 0.05)
    vqvae = vqvae_of(config, shape)
    quantizer = vqvae.quantizer
    apart = config.quantizer.levels_apart if quantizer.layout == TWO_LEVEL else 0
    grid = tuple(side // 2 ** (config.model.downsamplings + apart) for side in shape[:2])
    codes = vqvae.encode(keras.ops.zeros((1, *shape), "uint8"))
    code_shape = tuple(codes.shape[1:])
    if not config.model.first_stage:
        assert code_shape[:2] == grid
        outputs = vqvae.likelihood.outputs(shape[-1])
        assert tuple(vqvae.decode_params(codes).shape) == (1, *shape[:2], outputs)
    manifest = CodeManifest(
        1, quantizer.num_codes, code_shape, quantizer.num_codebooks, 10, (), "", {}, quantizer.layout
    )
    prior = build_prior(config, manifest)
    nats = prior.log_prob(codes, {"label": keras.ops.zeros((1,), "int32")})
    assert keras.ops.all(keras.ops.isfinite(nats))
    vqvae_options(config), prior_options(config)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_recipe_says_what_it_is(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    header = list(takewhile(lambda line: line.startswith("#"), lines))
    assert "section" in " ".join(header), "which section of the paper it follows"
    told = [(line[2:12].rstrip(), line[12:]) for line in header]
    fields = [(name, text) for name, text in told if name in FIELDS]
    assert [name for name, _ in fields] == list(FIELDS)
    assert all(text.strip() for _, text in fields)
    assert f"bin/train --flagfile={path.name}" in dict(fields)["Command:"]


@pytest.mark.parametrize("name", [*QUANTIZERS, *GRID_QUANTIZERS])
def test_every_quantizer_can_be_asked_for(name):
    values = {
        "quantizer": name,
        "units": 8,
        "num_embeddings": 16,
        "embedding_dim": 8,
        "num_codebooks": 4,
        "levels": "4,4",
        "prior_units": 8,
        "prior_layers": 1,
    }
    config = config_lib.replace(config_lib.Config(), data_variance=0.05, **values)
    vqvae = build.build_vqvae(config, (8, 8, 3))
    terms = vqvae.loss_terms(keras.ops.ones((2, 8, 8, 3), "uint8"), training=True)
    assert keras.ops.isfinite(terms["loss"])
    assert vqvae.quantizer.num_codes == 16


def test_the_wavenet_decoder_of_spoken_digits_fits_into_a_core_s_cache():
    """Each sample drawn reads every weight once: beyond 2 MB, the second-level cache, a step takes twice as long."""
    config = config_of(config_lib.recipes_directory() / "fsdd_wavenet.flags")
    network = build_audio.build_audio_likelihood(config).network
    network.build()
    assert network.receptive_field >= 1024
    assert 4 * network.count_params() < 1.5e6
