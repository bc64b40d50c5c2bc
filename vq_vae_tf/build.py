"""From a config to the data and the VQ-VAE: with `build_*` beside it, the only place that sees every registry."""

from __future__ import annotations

import math
from typing import Any

import keras

from vq_vae_tf.autoregressive import GatedPixelCNN
from vq_vae_tf.autoregressive_decoder import AutoregressivePixels
from vq_vae_tf.build_likelihood import PIXELCNN, build_likelihood, decoder_network
from vq_vae_tf.build_quantizer import build_quantizer, model_sizes
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.contrast import ContrastCoding
from vq_vae_tf.modalities.image.cosine import contrast_bands, start_from_cosines
from vq_vae_tf.modalities.image.data import ImageData, open_image_data
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.second_stage import MapDecoder, MapEncoder, SecondStage
from vq_vae_tf.vqvae import VQVAE


def open_data(config: Config) -> ImageData:
    """The data set that the config names."""
    data = config.data
    return open_image_data(
        data.dataset,
        data.data_dir or None,
        image_size=data.image_size,
        validation_size=data.validation_size,
        strict=data.strict,
        max_examples=data.max_examples,
    )


def _contrast(config: Config, quantizer: Any, channels: int) -> ContrastCoding | None:
    """Raises: UserError where --contrast_codes cannot be had."""
    model, q = config.model, config.quantizer
    if not model.contrast_codes:
        return None
    if model.resampling != "folded" or q.quantizer != "product":
        raise UserError(
            f"--contrast_codes with --resampling={model.resampling} --quantizer={q.quantizer}: coefficients of squares "
            "go over their contrast, which has codes of its own; give --resampling=folded --quantizer=product."
        )
    side, bits = 2**model.downsamplings, math.log2(quantizer.num_codes)
    try:
        return contrast_bands(side, channels, quantizer.embedding_dim, quantizer.num_codebooks, bits)
    except ValueError as error:
        raise UserError(f"--contrast_codes with --num_codebooks and --embedding_dim: {error}") from error


def build_vqvae(config: Config, image_shape: tuple[int, int, int], precision: str = "float32") -> VQVAE:
    """The VQ-VAE for images `[height, width, channels]`, with its weights created, under a dtype policy."""
    model = config.model
    step = 2**model.downsamplings
    if any(size % step for size in image_shape[:2]):
        raise UserError(
            f"Images of {image_shape[0]}x{image_shape[1]} do not divide by {step} (--downsamplings="
            f"{model.downsamplings}); give --image_size as a multiple of {step}."
        )
    grid = (image_shape[0] // step, image_shape[1] // step)
    quantizer = build_quantizer(config, grid, precision)
    likelihood = build_likelihood(config, image_shape, precision)
    contrast = _contrast(config, quantizer, image_shape[-1])
    sizes = {**model_sizes(config, precision), "resampling": model.resampling, "contrast": contrast}
    vqvae = VQVAE(
        ImageEncoder(quantizer.embedding_dim, downsamplings=model.downsamplings, name="encoder", **sizes),
        quantizer,
        ImageDecoder(
            likelihood.outputs(image_shape[-1]),
            upsamplings=model.downsamplings,
            name="decoder",
            **sizes,
        ),
        likelihood,
        name="vqvae",
        dtype=precision,
    )
    vqvae.build((None, *image_shape))
    location = likelihood.location(image_shape[-1])
    if model.resampling == "folded" and location is not None:
        bits = math.log2(quantizer.num_codes)
        start_from_cosines(vqvae.encoder, vqvae.decoder, location, quantizer.num_codebooks or 1, bits)
    return vqvae


def build_second_stage(
    config: Config, first: VQVAE, image_shape: tuple[int, int, int], precision: str = "float32"
) -> SecondStage:
    """The VQ-VAE over the codes of `first`: --num_codebooks codes for a whole image, a PixelCNN as its decoder.

    Raises:
        UserError: the flags ask for another likelihood or quantizer, or the first stage's codes are no plain map.
    """
    model, q = config.model, config.quantizer
    if model.likelihood != PIXELCNN or q.quantizer != "product":
        raise UserError(
            f"--first_stage={model.first_stage} with --likelihood={model.likelihood} --quantizer={q.quantizer}: codes "
            f"are told by a PixelCNN, several for an image; give --likelihood={PIXELCNN} --quantizer=product."
        )
    if model.contrast_codes or model.contrast_weight:
        raise UserError(
            f"--first_stage={model.first_stage} with --contrast_codes or --contrast_weight: those are of pixels, and "
            "its codes are none; leave them out."
        )
    if model.pixelcnn_reach:
        raise UserError(
            f"--first_stage={model.first_stage} with --pixelcnn_reach={model.pixelcnn_reach}: differences are of "
            "pixels, and codes have none; leave it out."
        )
    grid = tuple(first.quantizer.code_shape(first.encoder.compute_output_shape((None, *image_shape))[1:]))
    sizes = model_sizes(config, precision)
    network = decoder_network(
        GatedPixelCNN,
        model.pixelcnn_units,
        precision,
        use_codes=model.pixelcnn_codes,
        num_symbols=first.quantizer.num_codes,
        symbol_shape=grid[:2],
        num_layers=model.pixelcnn_layers,
    )
    try:
        stage = SecondStage(
            first,
            MapEncoder(q.embedding_dim, downsamplings=model.downsamplings, name="encoder", **sizes),
            build_quantizer(config, (1, 1)),
            MapDecoder(model.pixelcnn_units, grid[:2], upsamplings=model.downsamplings, name="decoder", **sizes),
            AutoregressivePixels(network, use_codes=model.pixelcnn_codes, name="likelihood"),
            name="vqvae",
            dtype=precision,
        )
    except ValueError as error:
        raise UserError(f"--first_stage={model.first_stage}: {error}") from error
    stage.build((None, *image_shape))
    return stage


def clear_session(seed: int) -> None:
    """Starts names and random numbers anew, so that a stage does not depend on which ran before it."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
