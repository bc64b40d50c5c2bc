"""From a config and what codes there are to their prior."""

from __future__ import annotations

from typing import Any

from vq_vae_tf.autoregressive import NETWORKS, GatedPixelCNN
from vq_vae_tf.build_network import check_one_code, code_dimensions, prior_network
from vq_vae_tf.codes import CodeManifest
from vq_vae_tf.config import Config
from vq_vae_tf.dynamics import Dynamics, Foresight, Parallax, PastEncoder
from vq_vae_tf.dynamics.foresight import FRAMES
from vq_vae_tf.dynamics.parallax import COLOURS
from vq_vae_tf.errors import UserError
from vq_vae_tf.hierarchy import TwoLevelNetwork, TwoLevelPrior
from vq_vae_tf.hierarchy.layout import TWO_LEVEL, factor_of
from vq_vae_tf.prior import Prior

MOST_DIMENSIONS = 8
"""Of a code's vector, for a prior with --prior_vectors: of longer ones it sees so many axes, as they differ most."""


def build_prior(config: Config, manifest: CodeManifest, precision: str = "float32") -> Prior:
    """The prior over the codes that `manifest` describes; every size, and the kind of prior, comes from there."""
    sizes: dict[str, Any] = {
        "num_symbols": manifest.num_codes,
        "num_labels": manifest.num_labels if config.prior.prior_labels else 0,
        "dropout": config.prior.prior_dropout,
        "dtype": precision,
    }
    if config.prior.prior_vectors:
        dim = code_dimensions(config)
        sizes["vector_dim"] = dim if dim <= MOST_DIMENSIONS else min(MOST_DIMENSIONS, manifest.num_codes - 1)
    shape = tuple(manifest.code_shape)
    if manifest.layout == TWO_LEVEL:
        factor, features = factor_of(shape[-1]), config.prior.prior_units
        top = prior_network(config, symbol_shape=shape[:-1], **{**sizes, "name": "top"})
        fine = tuple(side * factor for side in shape[:-1])
        bottom = prior_network(config, symbol_shape=fine, condition_features=features, **{**sizes, "name": "bottom"})
        network = TwoLevelNetwork(top, bottom, name="network", dtype=precision)
        model: Prior = TwoLevelPrior(network, name="prior", dtype=precision)
    else:
        network = prior_network(config, symbol_shape=shape, num_channels=manifest.num_codebooks, **sizes)
        model = Prior(network, name="prior", dtype=precision)
    model.build()
    return model


def check_dynamics(config: Config) -> None:
    """Raises: UserError for a `--prior`, a way of it to see codes, or a `--quantizer`, that video has not."""
    check_one_code(config)
    if config.prior.prior_vectors:
        raise UserError("--prior_vectors with --modality=video: its prior knows codes by name; leave it out.")
    name = config.prior.prior
    if NETWORKS.get(name) is not GatedPixelCNN:
        raise UserError(
            f"--prior={name} with --modality=video: the codes of the next frame are predicted by a gated PixelCNN; "
            "give --prior=pixelcnn."
        )
    if config.video.foresight_steps and not config.video.camera_depths:
        raise UserError(
            f"--foresight_steps={config.video.foresight_steps} with --camera_depths=0: what is to be expected begins "
            "with what a camera sees; give --camera_depths=5."
        )


def build_dynamics(config: Config, manifest: CodeManifest, num_actions: int, precision: str = "float32") -> Dynamics:
    """The prior of a frame's codes given those before it and one of so many actions (0: none); sizes as in codes.

    `manifest` is of clips `[time, h, w]`.

    Raises: UserError as `check_dynamics`.
    """
    check_dynamics(config)
    prior, video = config.prior, config.video
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
        motion_features=COLOURS * 4**config.model.downsamplings,
        motion_side=2**config.model.downsamplings,
        camera_depths=video.camera_depths,
        name="past",
        dtype=precision,
    )
    model = Dynamics(network, past, name="prior", dtype=precision)
    model.build()
    return model


def build_foresight(config: Config, manifest: CodeManifest, precision: str = "float32") -> Foresight:
    """The next picture that is to be expected, of clips that `manifest` describes; its classes are the actions."""
    _, height, width = manifest.code_shape
    video = config.video
    parallax = Parallax(
        manifest.num_codes,
        (height, width),
        side=2**config.model.downsamplings,
        context=video.past_frames,
        num_actions=len(manifest.class_names) if video.use_actions else 0,
        depths=video.camera_depths,
        frames=FRAMES,
        name="parallax",
    )
    model = Foresight(parallax, name="foresight", dtype=precision)
    model.build()
    return model
