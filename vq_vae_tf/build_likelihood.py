"""From a config to p(x | z_q) for images: the likelihoods, and the PixelCNNs that are one."""

from __future__ import annotations

from typing import Any

from vq_vae_tf.autoregressive import AutoregressiveNetwork, GatedPixelCNN, LocalPixelCNN
from vq_vae_tf.autoregressive_decoder import AutoregressivePixels
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.likelihood import LIKELIHOODS, DiscretizedLogisticMixture, Gaussian, Likelihood
from vq_vae_tf.ops.contrast import WINDOW

PIXELCNN = "pixelcnn"
"""The `--likelihood` that is made of a network; the others are in LIKELIHOODS."""


def build_likelihood(config: Config, image_shape: tuple[int, int, int], precision: str = "float32") -> Likelihood:
    """The likelihood that the config names; the Gaussian's variance is half the data's (Sonnet's published loss)."""
    name = config.model.likelihood
    if name not in LIKELIHOODS and name != PIXELCNN:
        known = ", ".join((*LIKELIHOODS, PIXELCNN))
        raise UserError(f"--likelihood={name} is not known; choose one of {known}.")
    if config.model.contrast_weight and name != "gaussian":
        raise UserError(
            f"--contrast_weight={config.model.contrast_weight:g} is for --likelihood=gaussian; --likelihood={name} "
            "says itself how sure it is of a pixel: give 0."
        )
    if config.model.contrast_weight and min(image_shape[:2]) <= WINDOW:
        raise UserError(
            f"--contrast_weight={config.model.contrast_weight:g} with images of {image_shape[0]}x{image_shape[1]}; it "
            f"compares pieces of {WINDOW}x{WINDOW} pixels: give larger images, or 0."
        )
    if name == PIXELCNN:
        return _pixelcnn_likelihood(config, image_shape, precision)
    if LIKELIHOODS[name] is Gaussian:
        return Gaussian(0.5 * config.model.data_variance, config.model.contrast_weight, name="likelihood")
    if LIKELIHOODS[name] is DiscretizedLogisticMixture:
        return DiscretizedLogisticMixture(config.model.mixture_components, name="likelihood")
    return LIKELIHOODS[name](name="likelihood")


def decoder_network(
    network: type[AutoregressiveNetwork], units: int, precision: str, use_codes: bool = True, **sizes: Any
) -> Any:
    """An autoregressive network that is the decoder: a map that it is conditioned on is as wide as itself."""
    condition = units if use_codes else 0
    return network(condition_features=condition, features=units, name="network", dtype=precision, **sizes)


def _pixelcnn_likelihood(config: Config, image_shape: tuple[int, int, int], precision: str) -> Likelihood:
    model = config.model
    if model.pixelcnn_reach:
        network: AutoregressiveNetwork = _local_pixelcnn(config, image_shape, precision)
        return AutoregressivePixels(network, use_codes=model.pixelcnn_codes, name="likelihood")
    if model.pixelcnn_messages:
        raise UserError(f"--pixelcnn_messages={model.pixelcnn_messages} without --pixelcnn_reach; give it, such as 3.")
    side, (height, width, channels) = model.pixelcnn_side, image_shape
    if height % side or width % side or model.pixelcnn_units % side**2:
        raise UserError(
            f"--pixelcnn_side={side} with images of {height}x{width} and --pixelcnn_units={model.pixelcnn_units}; give "
            "a side that divides the images and whose square divides the units."
        )
    network = decoder_network(
        GatedPixelCNN,
        model.pixelcnn_units,
        precision,
        use_codes=model.pixelcnn_codes,
        num_symbols=256,
        symbol_shape=(height // side, width // side, channels * side**2),
        num_channels=channels * side**2,
        num_layers=model.pixelcnn_layers,
        logistics=model.pixelcnn_logistics,
    )
    return AutoregressivePixels(network, use_codes=model.pixelcnn_codes, side=side, name="likelihood")


def _local_pixelcnn(config: Config, image_shape: tuple[int, int, int], precision: str) -> LocalPixelCNN:
    model, channels = config.model, image_shape[-1]
    if model.pixelcnn_reach < 2:
        raise UserError(
            f"--pixelcnn_reach={model.pixelcnn_reach}: it looks at what its neighbours were guessed from; give at "
            "least 2, or 0 for gated layers."
        )
    if model.pixelcnn_side != 1 or not model.pixelcnn_logistics:
        raise UserError(
            f"--pixelcnn_reach={model.pixelcnn_reach} with --pixelcnn_side={model.pixelcnn_side} "
            f"--pixelcnn_logistics={model.pixelcnn_logistics}: it goes by pixels, whose values have an order; give "
            "--pixelcnn_side=1 and --pixelcnn_logistics of at least 1, such as 5."
        )
    return LocalPixelCNN(
        num_symbols=256,
        symbol_shape=image_shape,
        num_channels=channels,
        features=model.pixelcnn_units,
        head_features=max(model.pixelcnn_units // 2, 1),
        condition_features=max(model.pixelcnn_units // 8, channels) if model.pixelcnn_codes else 0,
        num_layers=model.pixelcnn_layers,
        logistics=model.pixelcnn_logistics,
        reach=model.pixelcnn_reach,
        messages=model.pixelcnn_messages,
        name="network",
        dtype=precision,
    )
