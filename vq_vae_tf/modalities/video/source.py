"""What every source of video is, once opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.batches import ArrayStore, Batch
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.source import ImageData


@dataclass(frozen=True)
class VideoData:
    """Clips of one length: uint8 frames `[time, height, width, 3]` and, where they are known, int32 actions `[time]`.

    An example is a frame, as the frame VQ-VAE sees it; `clips` gives them clip by clip. Frames of a clip follow one
    another in `frames`. actions: split -> `[clips, time]`; `actions[t]` leads from frame t to frame t + 1.
    action_names: what `actions` count; empty: no actions are known.
    clip_names: split -> the name of each clip: see `piece_names`; empty where they do not come from files.
    """

    frames: ImageData
    clip_length: int
    action_names: tuple[str, ...]
    actions: Mapping[str, np.ndarray]
    clip_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.frames.name

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, 3) of a frame."""
        return self.frames.image_shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """Frames have no classes."""
        return ()

    @property
    def sizes(self) -> Mapping[str, int]:
        """Split -> number of frames."""
        return self.frames.sizes

    def examples(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Every frame of a split once, clip by clip; the last batch may be smaller."""
        return self.frames.examples(split, batch_size)

    def training_batches(self, batch_size: int, seed: int, start_step: int = 0, **how: Any) -> tf.data.Dataset:
        """Endless batches of frames; see `ImageData.training_batches`."""
        return self.frames.training_batches(batch_size, seed, start_step, **how)

    def clips(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Every clip of a split once: "x" uint8 `[batch, time, height, width, 3]`, "actions" int32 `[batch, time]`."""
        shape = (-1, self.clip_length, *self.image_shape)
        frames = self.examples(split, batch_size * self.clip_length).map(lambda batch: tf.reshape(batch["x"], shape))
        actions = tf.data.Dataset.from_tensor_slices(self.actions[split]).batch(batch_size)
        return tf.data.Dataset.zip(frames, actions).map(_clip)


def _clip(x: tf.Tensor, actions: tf.Tensor) -> Batch:
    return {"x": x, "actions": actions}


def cut_episodes(name: str, frames: np.ndarray, actions: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Episodes `[n, time, ...]` and their actions `[n, time]` as clips `[m, length, ...]`; what is left over goes.

    Raises: UserError for episodes that are shorter than a clip.
    """
    clips = frames.shape[1] // length
    if not clips:
        raise UserError(
            f"--clip_length={length}: the episodes of {name} have {frames.shape[1]} frames; give at most so many."
        )
    kept = clips * length
    shape = (len(frames) * clips, length)
    return frames[:, :kept].reshape(*shape, *frames.shape[2:]), actions[:, :kept].reshape(shape)


def in_memory(
    name: str,
    splits: Mapping[str, tuple[np.ndarray, np.ndarray]],
    action_names: tuple[str, ...],
    validation_size: int = 0,
    max_examples: int = 0,
) -> VideoData:
    """Clips in memory: split -> frames uint8 `[clips, time, height, width, 3]`, actions int32 `[clips, time]`.

    validation_size: clips at the end of the training split that are held out of it. max_examples: clips of each split
    at most; 0: all.

    Raises: UserError when nothing is left to train on.
    """
    frames, actions = splits["train"]
    if validation_size >= len(frames):
        raise UserError(f"--validation_size={validation_size}: {name} has {len(frames)} training clips; give fewer.")
    cut, most = len(frames) - validation_size, max_examples or None
    parts = {**splits, "train": (frames[:cut], actions[:cut])}
    if validation_size:
        parts["validation"] = (frames[cut:], actions[cut:])
    flat = {split: f[:most].reshape(-1, *f.shape[2:]) for split, (f, _) in parts.items()}
    images = frames_in_memory(name, flat, frames.shape[2:])
    return VideoData(images, frames.shape[1], action_names, {split: a[:most] for split, (_, a) in parts.items()})


def frames_in_memory(name: str, frames: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> ImageData:
    """Frames in memory as images: split -> uint8 `[frames, height, width, 3]`."""
    height, width, channels = shape
    sizes = {split: len(f) for split, f in frames.items()}
    stores = {split: partial(ArrayStore.of, {"x": f}) for split, f in frames.items()}
    return ImageData(name, (height, width, channels), (), sizes, stores=stores)
