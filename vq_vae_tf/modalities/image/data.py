"""Image data by name: TFDS, a folder of pictures, or the embedded ViZDoom frames, behind one contract."""

from __future__ import annotations

from pathlib import Path

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image import tfds_source
from vq_vae_tf.modalities.image.folder import open_folder
from vq_vae_tf.modalities.image.source import ImageData

__all__ = ["ImageData", "open_image_data"]


def open_image_data(
    dataset: str,
    data_dir: str | Path | None = None,
    image_size: int = 0,
    validation_size: int = 0,
    strict: bool = False,
    max_examples: int = 0,
) -> ImageData:
    """Opens images by name: a TFDS name ("cifar10"), "folder:/path", "vizdoom" or "vizdoom/<configuration>".

    data_dir: where TFDS keeps its data sets; None or "" is its default.
    image_size: pixels; images are cut to a centred square and resized to it. 0 keeps them as they are.
    validation_size: examples held out of the training split.
    strict: refuse a folder with unreadable files instead of leaving them out.
    max_examples: at most so many examples of each split; 0 means all.

    Raises: UserError when the data set is not there, cannot be read, or its images do not have one size.
    """
    for name, value in (
        ("image_size", image_size),
        ("validation_size", validation_size),
        ("max_examples", max_examples),
    ):
        if value < 0:
            raise UserError(f"--{name}={value}: expected 0 or more.")
    if dataset.startswith("folder:"):
        return open_folder(dataset.removeprefix("folder:"), image_size, validation_size, strict, max_examples)
    if dataset == "vizdoom" or dataset.startswith("vizdoom/"):
        from vq_vae_tf.modalities.image import vizdoom  # imports TFDS, which takes seconds

        return vizdoom.open_vizdoom(dataset, data_dir or None, image_size, validation_size, max_examples)
    return tfds_source.open_tfds(dataset, data_dir or None, image_size, validation_size, max_examples)
