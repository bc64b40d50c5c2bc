"""Images from TensorFlow Datasets, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from vq_vae_tf.batches import ArrayStore, Batch, ReadingStore
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image import source as limits
from vq_vae_tf.modalities.image.decode import to_square
from vq_vae_tf.modalities.image.source import SPLITS, ImageData, OpenStore
from vq_vae_tf.modalities.image.tfds_records import split_reader

_READ_BATCH = 256


def open_tfds(
    name: str, data_dir: str | Path | None, image_size: int, validation_size: int, max_examples: int
) -> ImageData:
    """Opens a TFDS data set that has an "image" feature (and "label", if it has classes), downloading it if it must.

    Raises: UserError for an unknown name or version, files that must be fetched by hand, or a download that fails.
    """
    builder = prepared_builder(name, data_dir, "cifar10, folder:/path or vizdoom")
    return from_builder(builder, name, image_size, validation_size, max_examples)


def prepared_builder(name: str, data_dir: str | Path | None, known: str) -> Any:
    """The TFDS builder called `name`, its data fetched if they must; `known` says what else may be asked for.

    Raises: UserError, as `open_tfds`.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        raise UserError(f"--dataset={name}: no such data set, expected a TFDS name such as {known}.") from None
    except (ValueError, AssertionError, TypeError) as error:
        raise UserError(f"--dataset={name}: TFDS cannot build it{_present(name, data_dir)}: {_line(error)}") from None
    if not builder.is_prepared():
        _prepare(builder, name, data_dir)
    return builder


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
    for split, rows in _ranges(builder, name, validation_size, max_examples).items():
        sizes[split] = rows.stop - rows.start
        small = sizes[split] * math.prod(shape) <= limits.IN_MEMORY_BYTES
        stores[split] = partial(_in_memory if small else _streamed, builder, rows, shape, class_names)
    return ImageData(name, shape, class_names, sizes, 0, stores)


@dataclass(frozen=True)
class _Rows:
    """Examples start..stop-1 of a TFDS split."""

    split: str
    start: int
    stop: int


def _ranges(builder: Any, name: str, validation_size: int, max_examples: int) -> dict[str, _Rows]:
    """Where each split lies: validation is the end of train; without a test split, test is TFDS's "validation"."""
    available = {split: info.num_examples for split, info in builder.info.splits.items()}
    if "train" not in available:
        raise UserError(f"data set {name!r} has splits {sorted(available)}, expected one called 'train'.")
    train = available["train"]
    if validation_size >= train:
        raise UserError(f"--validation_size={validation_size}: {name!r} has {train} training examples, expected fewer.")
    ranges = {"train": _Rows("train", 0, train - validation_size)}
    if validation_size:
        ranges["validation"] = _Rows("train", train - validation_size, train)
    # The test split of ImageNet has no labels; its validation split is what everybody reports.
    tested = "validation" if name.startswith("imagenet2012") or "test" not in available else "test"
    if tested in available:
        ranges["test"] = _Rows(tested, 0, available[tested])
    if max_examples:
        return {split: replace(r, stop=min(r.stop, r.start + max_examples)) for split, r in ranges.items()}
    return ranges


def _image_shape(builder: Any, name: str, image_size: int) -> tuple[int, int, int]:
    features = builder.info.features
    if "image" not in features:
        raise UserError(f"data set {name!r} has features {sorted(features)}, expected one called 'image'.")
    image = features["image"]
    if len(image.shape) != 3 or image.shape[2] is None or image.np_dtype != np.uint8:
        raise UserError(
            f"the images of {name!r} are {image.np_dtype} {image.shape}, expected uint8 with known channels."
        )
    height, width, channels = image.shape
    if image_size:
        return image_size, image_size, channels
    if height is None or width is None:
        raise UserError(f"the images of {name!r} have many sizes, expected one: give --image_size.")
    return height, width, channels


def _in_memory(builder: Any, rows: _Rows, shape: tuple[int, int, int], class_names: tuple[str, ...]) -> ArrayStore:
    import tensorflow_datasets as tfds

    # One file after the other: the order of the examples is part of the contract.
    read_config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    split = f"{rows.split}[{rows.start}:{rows.stop}]"
    decoders = tfds.decode.PartialDecoding(_wanted(class_names))
    examples = builder.as_dataset(split=split, shuffle_files=False, read_config=read_config, decoders=decoders)
    batches = examples.map(_picker(shape, class_names), tf.data.AUTOTUNE).batch(_READ_BATCH)
    arrays: dict[str, np.ndarray] = {"x": np.empty((rows.stop - rows.start, *shape), np.uint8)}
    if class_names:
        arrays["label"] = np.empty((rows.stop - rows.start,), np.int32)
    start = 0
    try:
        for batch in batches.as_numpy_iterator():
            for name, values in batch.items():
                arrays[name][start : start + len(values)] = values
            start += len(batch["x"])
    except tf.errors.OpError as error:
        raise UserError(
            f"{builder.data_path}: split {rows.split!r} is damaged ({_line(error)}); fetch it again."
        ) from None
    return ArrayStore.of(arrays)


def _streamed(builder: Any, rows: _Rows, shape: tuple[int, int, int], class_names: tuple[str, ...]) -> ReadingStore:
    import tensorflow_datasets as tfds

    features = tfds.decode.PartialDecoding(_wanted(class_names)).extract_features(builder.info.features)
    read_record, pick = split_reader(builder, rows.split), _picker(shape, class_names)
    return ReadingStore(
        lambda row: pick(features.deserialize_example(read_record(row + rows.start))), rows.stop - rows.start
    )


def _wanted(class_names: tuple[str, ...]) -> dict[str, bool]:
    return {"image": True} | ({"label": True} if class_names else {})


def _picker(shape: tuple[int, int, int], class_names: tuple[str, ...]) -> Callable[[dict[str, tf.Tensor]], Batch]:
    def pick(example: dict[str, tf.Tensor]) -> Batch:
        image = example["image"]
        if image.shape != shape:
            image = to_square(image, shape[0])
        batch = {"x": tf.ensure_shape(image, shape)}
        return batch | {"label": tf.cast(example["label"], tf.int32)} if class_names else batch

    return pick
