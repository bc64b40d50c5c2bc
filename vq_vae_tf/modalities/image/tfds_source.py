"""Images from TensorFlow Datasets, by name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from vq_vae_tf.batches import ArrayStore
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.decode import to_square
from vq_vae_tf.modalities.image.source import SPLITS, ImageData, OpenStore

_READ_BATCH = 256


def open_tfds(
    name: str, data_dir: str | Path | None, image_size: int, validation_size: int, max_examples: int
) -> ImageData:
    """Opens a TFDS data set that has an "image" feature (and "label", if it has classes), downloading it if it must.

    Raises: UserError for an unknown name or version, files that must be fetched by hand, or a download that fails.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        raise UserError(
            f"--dataset={name}: no such data set, expected a TFDS name such as cifar10, folder:/path or vizdoom."
        ) from None
    except (ValueError, AssertionError, TypeError) as error:
        raise UserError(f"--dataset={name}: TFDS cannot build it{_present(name, data_dir)}: {_line(error)}") from None
    if not builder.is_prepared():
        _prepare(builder, name, data_dir)
    return from_builder(builder, name, image_size, validation_size, max_examples)


def _prepare(builder: Any, name: str, data_dir: str | Path | None) -> None:
    logging.warning("%s is not in %s%s: TFDS downloads it now", name, builder.data_path, _present(name, data_dir))
    try:
        builder.download_and_prepare()
    except Exception as error:  # whatever the network, a server or a data set's own script may raise
        by_hand = " ".join((getattr(builder, "MANUAL_DOWNLOAD_INSTRUCTIONS", None) or "").split())
        raise UserError(
            f"{name} is not in {builder.data_path}{_present(name, data_dir)} and could not be fetched: {_line(error)}; "
            f"expected a prepared copy there: {by_hand or 'fetch it with TFDS on a machine with a network'}, "
            "or give another --data_dir."
        ) from error


def _present(name: str, data_dir: str | Path | None) -> str:
    """Names the versions of a data set that are in the directory."""
    base = Path(data_dir or "~/tensorflow_datasets").expanduser() / name.split("/")[0].split(":")[0]
    versions = sorted({path.parent.relative_to(base).as_posix() for path in base.glob("**/dataset_info.json")})
    return f" (present: {', '.join(versions)})" if versions else ""


def _line(error: BaseException) -> str:
    """The first line of a message, or the error's name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def from_builder(builder: Any, name: str, image_size: int, validation_size: int, max_examples: int) -> ImageData:
    """The images of a prepared TFDS builder."""
    shape = _image_shape(builder, name, image_size)
    features = builder.info.features
    class_names = tuple(getattr(features["label"], "names", ())) if "label" in features else ()
    stores: dict[str, OpenStore] = {}
    sizes = dict.fromkeys(SPLITS, 0)
    for split, (source, start, stop) in _ranges(builder, name, validation_size, max_examples).items():
        sizes[split] = stop - start
        stores[split] = partial(_in_memory, builder, f"{source}[{start}:{stop}]", stop - start, shape, class_names)
    return ImageData(name, shape, class_names, sizes, 0, stores)


def _ranges(builder: Any, name: str, validation_size: int, max_examples: int) -> dict[str, tuple[str, int, int]]:
    """Split -> (TFDS split, start, stop). Validation is the end of train, unless the data set has its own."""
    available = {split: info.num_examples for split, info in builder.info.splits.items()}
    if "train" not in available:
        raise UserError(f"data set {name!r} has splits {sorted(available)}, expected one called 'train'.")
    train = available["train"]
    if validation_size >= train:
        raise UserError(f"--validation_size={validation_size}: {name!r} has {train} training examples, expected fewer.")
    ranges = {"train": ("train", 0, train - validation_size)}
    if validation_size:
        ranges["validation"] = ("train", train - validation_size, train)
    if "test" in available:
        ranges["test"] = ("test", 0, available["test"])
    elif "validation" in available:
        ranges["test"] = ("validation", 0, available["validation"])
    if max_examples:
        ranges = {split: (s, start, min(stop, start + max_examples)) for split, (s, start, stop) in ranges.items()}
    return ranges


def _image_shape(builder: Any, name: str, image_size: int) -> tuple[int, int, int]:
    features = builder.info.features
    if "image" not in features:
        raise UserError(f"data set {name!r} has features {sorted(features)}, expected one called 'image'.")
    height, width, channels = features["image"].shape
    if image_size:
        return image_size, image_size, channels
    if height is None or width is None:
        raise UserError(f"the images of {name!r} have many sizes, expected one: give --image_size.")
    return height, width, channels


def _in_memory(
    builder: Any, split: str, count: int, shape: tuple[int, int, int], class_names: tuple[str, ...]
) -> ArrayStore:
    import tensorflow_datasets as tfds

    same = tuple(builder.info.features["image"].shape) == shape
    # One file after the other: the order of the examples is part of the contract.
    read_config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    examples = builder.as_dataset(split=split, shuffle_files=False, read_config=read_config)
    images, labels = np.empty((count, *shape), np.uint8), np.empty((count,), np.int32)

    def pick(example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        image = example["image"] if same else to_square(example["image"], shape[0])
        return tf.ensure_shape(image, shape), tf.cast(example["label"], tf.int32) if class_names else tf.constant(0)

    start = 0
    for image, label in examples.map(pick, tf.data.AUTOTUNE).batch(_READ_BATCH).as_numpy_iterator():
        images[start : start + len(image)], labels[start : start + len(image)] = image, label
        start += len(image)
    return ArrayStore.of({"x": images, "label": labels} if class_names else {"x": images})
