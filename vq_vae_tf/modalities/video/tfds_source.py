"""Video from TensorFlow Datasets, by name: robots with their actions, moving digits without.

Imports TFDS: import this module only when such a data set is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.decode import to_square
from vq_vae_tf.modalities.image.tfds_source import prepared_builder
from vq_vae_tf.modalities.video.source import VideoData, cut_episodes, in_memory

FRAMES = ("image_main", "image_sequence", "video", "frames", "image")
"""Features that hold the frames `[time, height, width, channels]`, the first that is there."""
ACTION = "action"
MEMORY_BYTES = 6_000_000_000  # decoded frames beyond this are refused rather than swapped to disk
_TEST_PART = 10  # of a data set with one split, every tenth episode from the end is tested on

Episodes = tuple[np.ndarray, np.ndarray | None]  # frames `[n, time, ...]` and, where known, actions `[n, time, ...]`


def open_tfds(
    name: str,
    data_dir: str | Path | None,
    image_size: int,
    clip_length: int,
    validation_size: int,
    max_examples: int,
) -> VideoData:
    """Opens a TFDS data set of episodes, such as bair_robot_pushing_small or moving_mnist, downloading it if it must.

    Actions that are vectors of real numbers become nine words: whether each of their first two numbers is among the
    low (-), middle (0) or high (+) third of the training data, such as "x-y0". Whole numbers name themselves.
    Grey frames become three equal channels. Of a data set with one split the last tenth of the episodes is the test
    split. max_examples: episodes of each split that are read at most, and clips that are used; 0: all.

    Raises: UserError for an unknown name, no frames, a download that fails, or more than fits into memory.
    """
    builder = prepared_builder(name, data_dir, "bair_robot_pushing_small or moving_mnist, folder:/path, or vizdoom")
    ranges = _ranges(builder, name, max_examples)
    read = {split: _read(builder, name, spec, size, image_size) for split, (spec, size) in ranges.items()}
    known = {split: actions for split, (_, actions) in read.items() if actions is not None}
    names, numbered = numbered_actions(known) if len(known) == len(read) else ((), {})
    splits = {
        split: cut_episodes(name, frames, numbered.get(split, np.zeros(frames.shape[:2], np.int32)), clip_length)
        for split, (frames, _) in read.items()
    }
    return in_memory(name, splits, names, validation_size, max_examples)


def _ranges(builder: Any, name: str, most: int) -> dict[str, tuple[str, int]]:
    """Split -> what TFDS calls its episodes, and how many they are."""
    sizes = {split: info.num_examples for split, info in builder.info.splits.items()}
    if "train" in sizes and len(sizes) > 1:
        tested = next(split for split in ("test", "validation", *sizes) if split in sizes and split != "train")
        parts = {"train": ("train", 0, sizes["train"]), "test": (tested, 0, sizes[tested])}
    elif len(sizes) == 1:
        ((only, size),) = sizes.items()
        cut = size - max(size // _TEST_PART, 1)
        parts = {"train": (only, 0, cut), "test": (only, cut, size)}
    else:
        raise UserError(
            f"data set {name!r} has the splits {', '.join(sizes) or '(none)'}; expected one, or train and another."
        )
    ranges = {}
    for split, (source, start, stop) in parts.items():
        stop = min(stop, start + most) if most else stop
        if stop <= start:
            raise UserError(f"data set {name!r} has {stop - start} episodes for the split {split}, expected some.")
        ranges[split] = (f"{source}[{start}:{stop}]", stop - start)
    return ranges


def _read(builder: Any, name: str, spec: str, size: int, image_size: int) -> Episodes:
    """The episodes of a part of a split, always in one order."""
    import tensorflow_datasets as tfds

    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    episodes = builder.as_dataset(split=spec, shuffle_files=False, read_config=config)
    key = _frames_key(episodes.element_spec, name)
    frames: np.ndarray | None = None
    actions: list[Any] = []
    try:
        for row, (shown, acted) in enumerate(_prepared(episodes, key, image_size)):
            if frames is None:
                _check_memory(name, size, shown.nbytes)
                frames = np.empty((size, *shown.shape), np.uint8)
            if shown.shape != frames.shape[1:]:
                raise UserError(
                    f"the episodes of {name!r} differ: {shown.shape} and {frames.shape[1:]}; expected one size and "
                    "length, so write them as a folder of episodes and give --dataset=folder:PATH."
                )
            frames[row] = shown
            actions.append(acted)
    except tf.errors.OpError as error:
        raise UserError(f"{builder.data_path}: {spec!r} is damaged ({error.message}); fetch it again.") from None
    assert frames is not None  # `_ranges` refuses empty splits
    return frames, None if actions[0] is None else np.stack(actions)


def _prepared(episodes: tf.data.Dataset, key: str, image_size: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    def prepare(episode: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        video = episode[key]
        if video.shape[-1] == 1:
            video = tf.repeat(video, 3, axis=-1)
        if image_size:
            video = tf.map_fn(lambda frame: to_square(frame, image_size), video)
        return {"video": video} | ({ACTION: episode[ACTION]} if ACTION in episode else {})

    for episode in episodes.map(prepare, tf.data.AUTOTUNE).as_numpy_iterator():
        yield episode["video"], episode.get(ACTION)


def _frames_key(spec: Mapping[str, Any], name: str) -> str:
    for key in FRAMES:
        found = spec.get(key)
        if isinstance(found, tf.TensorSpec) and found.dtype == tf.uint8 and found.shape.rank == 4:
            return key
    raise UserError(
        f"data set {name!r} has features {sorted(spec)}, none of them frames: expected uint8 [time, height, width, 3] "
        f"called one of {', '.join(FRAMES)}."
    )


def _check_memory(name: str, episodes: int, each: int) -> None:
    if episodes * each > MEMORY_BYTES:
        raise UserError(
            f"{name}: {episodes} episodes of {each / 1e6:.1f} MB are more than the {MEMORY_BYTES / 1e9:.0f} GB that "
            f"are held in memory; give --max_examples={MEMORY_BYTES // each} or fewer, or a smaller --image_size."
        )


def numbered_actions(actions: Mapping[str, np.ndarray]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Names of actions, and each split's as their numbers, int32 `[episodes, time]`; bins are those of "train".

    actions: split -> whole numbers `[episodes, time]`, or real numbers `[episodes, time, dimensions]`.

    Raises: UserError for actions of another kind.
    """
    train = actions["train"]
    if train.ndim == 2 and np.issubdtype(train.dtype, np.integer) and train.min() >= 0:
        count = 1 + max(int(values.max()) for values in actions.values())
        return tuple(map(str, range(count))), {split: values.astype(np.int32) for split, values in actions.items()}
    if train.ndim != 3 or not np.issubdtype(train.dtype, np.floating):
        raise UserError(f"actions are {train.dtype} {train.shape[2:]}; expected one whole number or a vector of reals.")
    signs, axes = ("-", "0", "+"), ("x", "y")[: train.shape[-1]]
    names: tuple[str, ...] = ("",)
    numbers = {split: np.zeros(values.shape[:2], np.int32) for split, values in actions.items()}
    for axis, letter in enumerate(axes):
        edges = np.quantile(train[..., axis], (1 / 3, 2 / 3))
        names = tuple(f"{name}{letter}{sign}" for name in names for sign in signs)
        for split, values in actions.items():
            numbers[split] = (3 * numbers[split] + np.digitize(values[..., axis], edges)).astype(np.int32)
    return names, numbers
