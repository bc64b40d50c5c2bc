"""A VQ-VAE handed over to `vq_vae_tf.plain_fit`, which trains it on another Keras backend, and taken back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from vq_vae_tf import build
from vq_vae_tf.build_options import vqvae_options
from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import check_room, replacing, sha256_of, weights_size, write_json
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.stages import check_batch
from vq_vae_tf.pipeline.starting import beginning
from vq_vae_tf.plain_fit import DATA, MODEL, OPTIONS, RESULT, WEIGHTS
from vq_vae_tf.training.digest import weights_digest
from vq_vae_tf.training.result import TrainResult, read_result, write_result

_FINISHED = "{} holds finished training already; give another --workdir, or remove it."


def folder_of(run: Run) -> Path:
    """What travels: the model before training, the training images, the options; and comes back: the weights."""
    return run.directory / "handover"


def pack(run: Run) -> str:
    """Writes the model before training, all training images and the options; returns what to tell the user.

    With --augment the mirrored images lie beside the others, instead of a coin for each.

    Raises:
        UserError: what `plain_fit` does not do was asked for, the run is trained already, or has too few images.
    """
    config, folder = run.config, folder_of(run)
    options = vqvae_options(config)
    if config.data.modality != "image" or options.weight_decay or options.weight_ema:
        raise UserError(
            "Only image models without --weight_decay and --weight_ema are handed over; train with bin/train, or "
            "leave them out."
        )
    if read_result(run.vqvae) is not None:
        raise UserError(_FINISHED.format(run.vqvae))
    check_batch(options.batch_size, run.data.sizes["train"], "--batch_size")
    build.clear_session(config.run.seed)
    model = run.modality.build_vqvae(config, run.data, config.run.precision)
    beginning(run, "vqvae")(model)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in (RESULT, WEIGHTS):  # of what was packed before
            (folder / name).unlink(missing_ok=True)
        check_room(folder, weights_size(model))
        model.save(folder / MODEL)
        _write_images(run, folder / DATA)
        write_json(folder / OPTIONS, asdict(options) | {"seed": config.run.seed})
    return f"model and images packed; train it with KERAS_BACKEND=jax python -m vq_vae_tf.plain_fit {folder}"


def _write_images(run: Run, path: Path) -> None:
    """uint8 `[n, height, width, channels]`, batch by batch: they need not fit into memory."""
    copies = 2 if run.config.data.augment else 1
    size = run.data.sizes["train"]
    with replacing(path) as partial:
        shape = (copies * size, *run.data.image_shape)
        array = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
        start = 0
        for batch in run.data.examples("train", 1000):
            x = batch["x"].numpy()
            array[start : start + len(x)] = x
            if copies == 2:
                array[size + start : size + start + len(x)] = x[:, :, ::-1]
            start += len(x)
        array.flush()


def take_back(run: Run) -> str:
    """The weights that `plain_fit` left become the run's trained VQ-VAE: the other stages go on from there.

    Raises:
        UserError: the run has a trained VQ-VAE, nothing came back, or what did is damaged or of another model.
    """
    folder = folder_of(run)
    if read_result(run.vqvae) is not None:
        raise UserError(_FINISHED.format(run.vqvae))
    try:
        fitted = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        whole = sha256_of(folder / WEIGHTS) == fitted["sha256"]
        seconds, loss = float(fitted["seconds"]), float(fitted["loss"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} holds no trained weights ({error}); run vq_vae_tf.plain_fit on it.") from error
    if not whole:
        raise UserError(f"{folder / WEIGHTS} is damaged (another SHA-256 than in {RESULT}); copy or train it again.")
    build.clear_session(run.config.run.seed)
    model = run.modality.build_vqvae(run.config, run.data, run.config.run.precision)
    try:
        model.load_weights(folder / WEIGHTS)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder / WEIGHTS} is of another model than --workdir={run.directory}; pack again."
        ) from error
    options = vqvae_options(run.config)
    result = TrainResult(
        steps=options.steps,
        digest=weights_digest(model),
        seconds=seconds,
        metrics={"step": options.steps, "loss": loss},
        options=asdict(options) | {"seed": run.config.run.seed},
    )
    with writing(run.vqvae):
        run.vqvae.mkdir(parents=True, exist_ok=True)
        write_result(model, result, run.vqvae)
    return f"weights taken back into {run.vqvae}; bin/train goes on with the other stages"
