"""From a config to the quantizer."""

from __future__ import annotations

from typing import Any

import keras

from vq_vae_tf.build_likelihood import PIXELCNN
from vq_vae_tf.build_network import prior_network
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.hierarchy import TwoLevelQuantizer
from vq_vae_tf.hierarchy.layout import TWO_LEVEL
from vq_vae_tf.joint import JointQuantizer
from vq_vae_tf.quantizers import QUANTIZERS, VectorQuantizer

DRAWN = ("vector", "product")
"""Each `--quantizer` whose codes can be drawn."""
WITH_VECTORS = ("vector", "entropy_constrained", "product")
"""Each `--quantizer` whose codes stand for the vectors of a codebook, for a prior that sees those."""
GRID_QUANTIZERS = (TWO_LEVEL, "joint")
"""Each `--quantizer` that is made for one grid `(height, width)`; those of QUANTIZERS take vectors of any."""


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
    check_quantizer(config)
    _check_search(config, len(grid))
    try:
        if name == TWO_LEVEL:
            return _two_level_quantizer(config, grid, precision)
        arguments = _quantizer_arguments(config)
        if name == "joint":
            network = prior_network(config, num_symbols=config.quantizer.num_embeddings, symbol_shape=grid)
            return JointQuantizer(**arguments["entropy_constrained"], network=network, name="quantizer")
        return QUANTIZERS[name](**arguments[name], name="quantizer")
    except ValueError as error:
        raise UserError(f"--quantizer={name}: {error}") from error


def check_quantizer(config: Config) -> None:
    """Raises: UserError where the quantizer has not what other flags ask of it."""
    q, name = config.quantizer, config.quantizer.quantizer
    if q.code_temperature and name not in DRAWN:
        raise UserError(
            f"--code_temperature={q.code_temperature:g} draws codes by their distance, which --quantizer={name} does "
            f"not do; give 0, or one of {', '.join(DRAWN)}."
        )
    if q.last_temperature and (name != "vector" or not q.code_temperature):
        raise UserError(
            f"--last_temperature={q.last_temperature:g} with --quantizer={name} --code_temperature="
            f"{q.code_temperature:g}: it is of a vector quantizer's drawn codes; give --quantizer=vector and a "
            "temperature above 0, or 0."
        )
    if q.draw_temperature and not q.code_temperature:
        raise UserError(
            f"--draw_temperature={q.draw_temperature:g} is of a VQ-VAE trained with --code_temperature; give that too, "
            "or leave it out."
        )
    if q.rate_cost and (name != "product" or not q.code_temperature):
        raise UserError(
            f"--rate_cost={q.rate_cost:g} with --quantizer={name} --code_temperature={q.code_temperature:g}: it is of "
            "the drawn codes of a product quantizer; give --quantizer=product and a temperature above 0, or 0."
        )
    if config.prior.prior_vectors and name not in WITH_VECTORS:
        raise UserError(
            f"--prior_vectors with --quantizer={name}: codes are seen as vectors of a codebook that stays; give one of "
            f"{', '.join(WITH_VECTORS)}, or leave it out."
        )


def _check_search(config: Config, grid_rank: int) -> None:
    """Raises: UserError where --search_candidates cannot be had."""
    asked, q = config.evaluation, config.quantizer
    count, weight, most = asked.search_candidates, asked.search_rate_weight, asked.search_bytes
    if not count and (weight or most):
        given = f"--search_bytes={most}" if most else f"--search_rate_weight={weight}"
        raise UserError(f"{given} is for a search; give --search_candidates too, or leave it out.")
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
        "vector": {**codebook, "temperature": _temperature(config)},
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


def _temperature(config: Config) -> Any:
    """Of codes drawn in training: a number, or a schedule where the second half has another."""
    first, last = config.quantizer.code_temperature, config.quantizer.last_temperature
    if not last:
        return first
    return keras.optimizers.schedules.PiecewiseConstantDecay([config.training.steps // 2], [first, last])
