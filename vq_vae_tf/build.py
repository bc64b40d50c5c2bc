"""From a config to objects: with `build_likelihood`, the only place that sees every registry."""

from __future__ import annotations

import math
from typing import Any

import keras

from vq_vae_tf.autoregressive import NETWORKS, GatedPixelCNN
from vq_vae_tf.autoregressive_decoder import AutoregressivePixels
from vq_vae_tf.build_likelihood import PIXELCNN, build_likelihood, decoder_network
from vq_vae_tf.codes import CodeManifest
from vq_vae_tf.config import Config
from vq_vae_tf.dynamics import Dynamics, PastEncoder
from vq_vae_tf.errors import UserError
from vq_vae_tf.hierarchy import TwoLevelNetwork, TwoLevelPrior, TwoLevelQuantizer
from vq_vae_tf.hierarchy.layout import TWO_LEVEL, factor_of
from vq_vae_tf.joint import JointQuantizer
from vq_vae_tf.modalities.image.contrast import ContrastCoding
from vq_vae_tf.modalities.image.cosine import contrast_bands, start_from_cosines
from vq_vae_tf.modalities.image.data import ImageData, open_image_data
from vq_vae_tf.modalities.image.decoder import ImageDecoder
from vq_vae_tf.modalities.image.encoder import ImageEncoder
from vq_vae_tf.prior import Prior
from vq_vae_tf.quantizers import QUANTIZERS, VectorQuantizer
from vq_vae_tf.second_stage import MapDecoder, MapEncoder, SecondStage
from vq_vae_tf.training.options import TrainingOptions
from vq_vae_tf.vqvae import VQVAE

CHANNELS = 3
"""Of a video frame, and of a pixel that `Motion` moves."""
DRAWN = ("vector", "product")
"""Each `--quantizer` whose codes can be drawn."""
GRID_QUANTIZERS = (TWO_LEVEL, "joint")
"""Each `--quantizer` that is made for one grid `(height, width)`; those of QUANTIZERS take vectors of any."""


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


def build_quantizer(config: Config, grid: tuple[int, ...], precision: str = "float32") -> Any:
    """The quantizer that the config names, for z over `grid`; `precision` is that of its convolutions, if any."""
    name = config.quantizer.quantizer
    if name not in QUANTIZERS and name not in GRID_QUANTIZERS:
        known = ", ".join((*QUANTIZERS, *GRID_QUANTIZERS))
        raise UserError(f"--quantizer={name} is not known; choose one of {known}.")
    if name in GRID_QUANTIZERS and len(grid) != 2:
        raise UserError(f"--quantizer={name} is for images; choose one of {', '.join(QUANTIZERS)}.")
    if config.evaluation.iw_samples > 1 and name in ("residual", TWO_LEVEL):
        raise UserError(
            f"--iw_samples={config.evaluation.iw_samples} sums over codings that differ in one code, which "
            f"--quantizer={name} does not have; give --iw_samples=1."
        )
    _check_kind(config)
    _check_search(config, len(grid))
    try:
        if name == TWO_LEVEL:
            return _two_level_quantizer(config, grid, precision)
        arguments = _quantizer_arguments(config)
        if name == "joint":
            network = _network(config, num_symbols=config.quantizer.num_embeddings, symbol_shape=grid)
            return JointQuantizer(**arguments["entropy_constrained"], network=network, name="quantizer")
        return QUANTIZERS[name](**arguments[name], name="quantizer")
    except ValueError as error:
        raise UserError(f"--quantizer={name}: {error}") from error


def _check_kind(config: Config) -> None:
    """Raises: UserError where the quantizer has not what other flags ask of it."""
    q, name = config.quantizer, config.quantizer.quantizer
    if q.code_temperature and name not in DRAWN:
        raise UserError(
            f"--code_temperature={q.code_temperature:g} draws codes by their distance, which --quantizer={name} does "
            f"not do; give 0, or one of {', '.join(DRAWN)}."
        )
    if q.rate_cost and (name != "product" or not q.code_temperature):
        raise UserError(
            f"--rate_cost={q.rate_cost:g} with --quantizer={name} --code_temperature={q.code_temperature:g}: it is of "
            "the drawn codes of a product quantizer; give --quantizer=product and a temperature above 0, or 0."
        )
    if config.prior.prior_vectors and name != "product":
        raise UserError(
            f"--prior_vectors with --quantizer={name}: codes are seen as short vectors of the codebooks of a product "
            "quantizer; give --quantizer=product, or leave it out."
        )


def _check_search(config: Config, grid_rank: int) -> None:
    """Raises: UserError where --search_candidates cannot be had."""
    count, weight, q = config.evaluation.search_candidates, config.evaluation.search_rate_weight, config.quantizer
    if not count and weight:
        raise UserError(
            f"--search_rate_weight={weight} is for a search; give --search_candidates too, or leave it out."
        )
    if not count:
        return
    decodes_at_once = grid_rank == 2 and config.model.likelihood != PIXELCNN and not config.model.first_stage
    if q.quantizer in ("residual", TWO_LEVEL) or not decodes_at_once:
        raise UserError(
            f"--search_candidates={count} tries codes one by one, for images of one grid whose pixels are decoded at "
            f"once; not for --modality={config.data.modality} --quantizer={q.quantizer} "
            f"--likelihood={config.model.likelihood}: give --search_candidates=0."
        )
    if not 2 <= count <= q.num_embeddings:
        raise UserError(f"--search_candidates={count}; expected 0 (no search) or 2 to {q.num_embeddings} of the codes.")


def _two_level_quantizer(config: Config, grid: tuple[int, ...], precision: str) -> TwoLevelQuantizer:
    model, apart = config.model, config.quantizer.levels_apart
    if any(side % 2**apart for side in grid):
        raise UserError(
            f"--quantizer={TWO_LEVEL}: the grid {grid[0]}x{grid[1]} of the finer codes does not divide by {2**apart} "
            f"(--levels_apart={apart}); give --image_size as a multiple of {2 ** (apart + model.downsamplings)}."
        )
    codebook = _quantizer_arguments(config)["vector"]
    books = {
        name: VectorQuantizer(**{**codebook, "seed": codebook["seed"] + i}, name=name)
        for i, name in enumerate(("top", "bottom"))
    }
    return TwoLevelQuantizer(**books, levels_apart=apart, name="quantizer", **model_sizes(config, precision))


def model_sizes(config: Config, precision: str) -> dict[str, Any]:
    """What every encoder, decoder and convolution of a quantizer takes."""
    names = ("units", "residual_units", "residual_blocks")
    return {**{name: getattr(config.model, name) for name in names}, "dtype": precision}


def _quantizer_arguments(config: Config) -> dict[str, dict[str, Any]]:
    q = config.quantizer
    size = {"num_embeddings": q.num_embeddings, "embedding_dim": q.embedding_dim}
    learned = {"commitment_cost": q.commitment_cost, "seed": config.run.seed}
    codebook = {**size, **learned, "ema_decay": q.ema_decay or None, "revive_below": q.revive_below}
    return {
        "vector": {**codebook, "temperature": q.code_temperature},
        "product": {
            "num_codebooks": q.num_codebooks,
            **codebook,
            "temperature": q.code_temperature,
            "rate_cost": q.rate_cost,
        },
        "residual": {"num_codebooks": q.num_codebooks, **codebook},
        "entropy_constrained": {**codebook, "bit_cost": q.bit_cost},
        "simvq": {**size, **learned},
        "finite_scalar": {"levels": [int(level) for level in q.levels.split(",")]},
        "lookup_free": {"num_bits": q.num_embeddings.bit_length() - 1, "commitment_cost": q.commitment_cost},
    }


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


def build_prior(config: Config, manifest: CodeManifest, precision: str = "float32") -> Prior:
    """The prior over the codes that `manifest` describes; every size, and the kind of prior, comes from there."""
    sizes: dict[str, Any] = {
        "num_symbols": manifest.num_codes,
        "num_labels": manifest.num_labels if config.prior.prior_labels else 0,
        "dropout": config.prior.prior_dropout,
        "dtype": precision,
    }
    if config.prior.prior_vectors:
        sizes["vector_dim"] = config.quantizer.embedding_dim // config.quantizer.num_codebooks
    shape = tuple(manifest.code_shape)
    if manifest.layout == TWO_LEVEL:
        factor, features = factor_of(shape[-1]), config.prior.prior_units
        top = _network(config, symbol_shape=shape[:-1], **{**sizes, "name": "top"})
        fine = tuple(side * factor for side in shape[:-1])
        bottom = _network(config, symbol_shape=fine, condition_features=features, **{**sizes, "name": "bottom"})
        network = TwoLevelNetwork(top, bottom, name="network", dtype=precision)
        model: Prior = TwoLevelPrior(network, name="prior", dtype=precision)
    else:
        network = _network(config, symbol_shape=shape, num_channels=manifest.num_codebooks, **sizes)
        model = Prior(network, name="prior", dtype=precision)
    model.build()
    return model


def _network(config: Config, **sizes: Any) -> Any:
    """The autoregressive network that `--prior` names, as wide and deep as the flags say."""
    _check_network(config)
    prior = config.prior
    network = NETWORKS[prior.prior]
    return network(**{"features": prior.prior_units, "num_layers": prior.prior_layers, "name": "network", **sizes})


def _check_network(config: Config) -> None:
    """Raises: UserError for a `--prior` that is not known."""
    name = config.prior.prior
    if name not in NETWORKS:
        raise UserError(f"--prior={name} is not known; choose one of {', '.join(NETWORKS)}.")


def _check_dynamics(config: Config) -> None:
    """Raises: UserError for a `--prior` that video has not."""
    name = config.prior.prior
    if NETWORKS.get(name) is not GatedPixelCNN:
        raise UserError(
            f"--prior={name} with --modality=video: the codes of the next frame are predicted by a gated PixelCNN; "
            "give --prior=pixelcnn."
        )


def build_dynamics(config: Config, manifest: CodeManifest, num_actions: int, precision: str = "float32") -> Dynamics:
    """The prior of a frame's codes given those before it and one of so many actions (0: none); sizes as in codes.

    `manifest` is of clips `[time, h, w]`.

    Raises: UserError for another --prior than a gated PixelCNN, or several codes at a place.
    """
    _check_dynamics(config)
    prior, video = config.prior, config.video
    if manifest.num_codebooks is not None or len(manifest.code_shape) != 3:
        raise UserError(
            f"--quantizer={config.quantizer.quantizer} gives several codes at each place, but --modality=video "
            "predicts one; give --quantizer=vector."
        )
    _, height, width = manifest.code_shape
    network = GatedPixelCNN(
        num_symbols=manifest.num_codes,
        symbol_shape=(height, width),
        condition_features=video.past_units,
        features=prior.prior_units,
        num_layers=prior.prior_layers,
        dropout=prior.prior_dropout,
        name="network",
        dtype=precision,
    )
    past = PastEncoder(
        manifest.num_codes,
        (height, width),
        context=video.past_frames,
        num_actions=num_actions if video.use_actions else 0,
        features=video.past_units,
        num_layers=video.past_layers,
        dropout=prior.prior_dropout,
        motion_heads=video.motion_heads,
        motion_features=CHANNELS * 4**config.model.downsamplings,
        motion_side=2**config.model.downsamplings,
        name="past",
        dtype=precision,
    )
    model = Dynamics(network, past, name="prior", dtype=precision)
    model.build()
    return model


def vqvae_options(config: Config) -> TrainingOptions:
    """How the VQ-VAE is trained."""
    return _training_options(config, config.training, "")


def prior_options(config: Config) -> TrainingOptions:
    """How the prior is trained. Raises: UserError also for a `--prior` that the modality has not."""
    (_check_dynamics if config.data.modality == "video" else _check_network)(config)
    return _training_options(config, config.prior, "prior_")


_SCHEDULED = (
    "steps",
    "batch_size",
    "learning_rate",
    "schedule",
    "warmup_steps",
    "weight_decay",
    "clip_norm",
    "weight_ema",
)


def _training_options(config: Config, section: Any, prefix: str) -> TrainingOptions:
    run = config.run
    scheduled = {name: getattr(section, prefix + name) for name in _SCHEDULED}
    try:
        return TrainingOptions(
            **scheduled,
            jit=run.jit,
            log_every=run.log_every,
            checkpoint_every=run.checkpoint_every,
            summary_every=run.checkpoint_every,
        )
    except UserError as error:
        raise UserError(str(error).replace("--", f"--{prefix}")) from error


def clear_session(seed: int) -> None:
    """Starts names and random numbers anew, so that a stage does not depend on which ran before it."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
