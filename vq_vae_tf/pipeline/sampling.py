"""Pictures from the prior: classes, temperatures, completions of given pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.grids import grid_png
from vq_vae_tf.evaluation.reconstruction import as_served
from vq_vae_tf.evaluation.report import counted
from vq_vae_tf.files import replacing
from vq_vae_tf.modalities.image.pictures import read_picture
from vq_vae_tf.pipeline.decoding import decoder
from vq_vae_tf.pipeline.loading import trained_pair
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.prior import Prior
from vq_vae_tf.vqvae import VQVAE

CLASSES_SHOWN = 10
"""Of data with more classes, samples show the first so many unless others are asked for."""


def draw_codes(prior: Prior, labels: Any, draw: Draw, given: Any = None, keep_mask: Any = None) -> np.ndarray:
    """Codes int32 `[batch, *code_shape]`, one for each label, in one compiled graph.

    Args:
        prior: p(z).
        labels: int `[batch]`; without classes they only say how many.
        draw: see `Draw`.
        given: codes `[batch, *code_shape]`, kept where `keep_mask` of the same shape is 1.
        keep_mask: see `given`.
    """
    seed, temperature = seed_tensor(draw.seed), tf.constant(draw.temperature, tf.float32)
    drawn = _compiled(prior, draw.top_k, draw.top_p)
    return drawn(tf.constant(labels, tf.int32), seed, temperature, given, keep_mask).numpy()


def seed_tensor(seed: int) -> tf.Tensor:
    """Any int as the scalar int32 of its lowest 32 bits."""
    return tf.constant((seed & 0xFFFFFFFF ^ 0x80000000) - 0x80000000, tf.int32)


@lru_cache(maxsize=2)
def _compiled(prior: Prior, top_k: int, top_p: float) -> Callable[..., tf.Tensor]:
    """The sampler of `prior` under XLA; one compilation serves every seed and temperature."""

    @tf.function(jit_compile=True, autograph=False)
    def drawn(labels: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor, given: Any, keep_mask: Any) -> tf.Tensor:
        return prior.sample(labels.shape[0], seed, {"label": labels}, temperature, top_k, top_p, given, keep_mask)

    return drawn


def class_labels(run: Run, prior: Prior, names: tuple[str, ...] = ()) -> dict[str, int]:
    """Class name -> label, of `names` or of the first classes; one row without a name where there are no classes.

    Raises:
        UserError: for a class that the data does not have.
    """
    if not prior.network.num_labels:
        if names:
            raise UserError(
                f"--classes={','.join(names)} was given, but this prior knows no classes; leave the flag out."
            )
        return {"": 0}
    known = run.known.class_names
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(
            f"--classes has {unknown[0]!r}, which is no class of {run.known.name}; choose from {', '.join(known[:20])}."
        )
    return {name: known.index(name) for name in (names or known[:CLASSES_SHOWN])}


def draw_classes(
    run: Run, vqvae: VQVAE, prior: Prior, draw: Draw, names: tuple[str, ...] = (), per_class: int = 0
) -> dict[str, np.ndarray]:
    """Class name -> sampled images, uint8 `[per_class, height, width, channels]`."""
    per_class = per_class or run.config.evaluation.samples_per_class
    labels = class_labels(run, prior, names)
    codes = draw_codes(prior, np.repeat(list(labels.values()), per_class), draw)
    images = as_served(decoder(vqvae)(tf.constant(codes)))
    return {name: images[i * per_class : (i + 1) * per_class] for i, name in enumerate(labels)}


def write_grid(path: Path, rows: Mapping[str, np.ndarray], columns: int, factor: int = 2) -> None:
    """Writes the rows as one PNG, each pixel `factor` pixels wide. Raises: UserError if the file cannot be written."""
    images = np.concatenate(list(rows.values()))
    try:
        with replacing(path) as partial:
            partial.write_bytes(grid_png(images, columns=max(1, min(columns, len(images))), factor=factor))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); give a folder that can.") from error


def draw_sweep(run: Run, draws: Sequence[Draw], names: tuple[str, ...], output: Path | None) -> str:
    """Writes a block of rows (a row a class) for each of `draws`; returns what to tell the user."""
    vqvae, prior = trained_pair(run)
    check_top_k(draws, prior)
    rows = {
        f"{name} {draw.temperature:g}": images
        for draw in draws
        for name, images in draw_classes(run, vqvae, prior, draw, names).items()
    }
    path = output or run.samples / f"seed-{draws[0].seed}.png"
    write_grid(path, rows, run.config.evaluation.samples_per_class)
    order = ", ".join(label.strip() for label in rows)
    return f"{counted(sum(map(len, rows.values())), 'picture')} in {path}; rows from the top: {order}"


def complete_pictures(
    run: Run, draws: Sequence[Draw], names: tuple[str, ...], files: Sequence[Path], keep: float, output: Path | None
) -> str:
    """Writes a row for each picture file and class: the picture, its reconstruction, completions of its upper part.

    Args:
        run: a run with a trained prior.
        draws: one block of completions each.
        names: classes that pictures are completed as; none: the first ones.
        files: pictures; cut to the centred square and resized as in training.
        keep: the part of the code grid that is kept, from the top.
        output: the PNG; None: completions.png among the run's samples.

    Raises:
        UserError: for a class that the data does not have, a picture that cannot be read, too many codes to draw among.
    """
    vqvae, prior = trained_pair(run)
    check_top_k(draws, prior)
    classes = class_labels(run, prior, names)
    pictures = [read_picture(path, run.known.image_shape, "--complete") for path in files]
    images = np.repeat(np.stack(pictures), len(classes), axis=0)
    labels = np.tile(list(classes.values()), len(files))
    codes = np.asarray(vqvae.encode(images))
    mask = np.zeros(codes.shape, np.int32)
    mask[:, : round(keep * codes.shape[1])] = 1
    decode = decoder(vqvae)
    columns = [images, as_served(decode(tf.constant(codes)))]
    each = run.config.evaluation.samples_per_class
    for draw in draws:
        many_labels, given, kept = (np.repeat(a, each, axis=0) for a in (labels, codes, mask))
        drawn = draw_codes(prior, many_labels, draw, given, kept)
        completed = as_served(decode(tf.constant(drawn))).reshape(len(images), each, *images.shape[1:])
        columns += list(np.moveaxis(completed, 1, 0))
    path = output or run.samples / "completions.png"
    write_grid(path, {str(i): row for i, row in enumerate(np.stack(columns, axis=1))}, len(columns))
    told = f"{counted(len(files), 'picture')} completed in {path}; columns: original, reconstruction, completions"
    return f"{told}; rows of each picture: {', '.join(classes)}" if any(classes) else told


def check_top_k(draws: Sequence[Draw], prior: Prior) -> None:
    """Raises: UserError if more codes are asked for than there are."""
    for draw in draws:
        if not 0 <= draw.top_k <= prior.network.num_symbols:
            raise UserError(f"--top_k={draw.top_k} is out of range; give 0 to {prior.network.num_symbols}.")
