"""Walks through ViZDoom maps as a TFDS builder that renders them when it is first used.

Imports TFDS at once and ViZDoom when it renders: import this module only when the data set is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.decode import to_square
from vq_vae_tf.modalities.video.source import VideoData, cut_episodes, in_memory
from vq_vae_tf.modalities.vizdoom import Episode
from vq_vae_tf.modalities.vizdoom_builder import (
    FREEDOOM,
    Settings,
    WalksBuilder,
    WalksConfig,
    open_walks,
    square_frames,
)
from vq_vae_tf.modalities.vizdoom_policy import ACTIONS


@dataclasses.dataclass(kw_only=True)
class VizdoomVideoConfig(WalksConfig):
    """What is rendered, see `WalksConfig`. Episodes of a split: maps x episodes per map.

    maps: for training and, from other places by other turns, the test split. unseen_maps: of the split `unseen`, in no
    other, which walks by seed + 2; without any, and in a scenario, there is no such split. One of your own:

        config = VizdoomVideoConfig(name="mine", scenario="deadly_corridor", policy="uniform", frame_skip=2, seed=7)
        VizdoomVideo(config=config, data_dir="/data").download_and_prepare()
        data = vq_vae_tf.modalities.video.data.open_video_data("vizdoom/mine", "/data")

    and `bin/train --flagfile=vizdoom_video.flags --dataset=vizdoom/mine --data_dir=/data` trains on it.
    """

    unseen_maps: tuple[str, ...] = ("map02", "map10")
    train_episodes: int = 64
    test_episodes: int = 4
    unseen_episodes: int = 8
    episode_length: int = 48
    frame_skip: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_maps("unseen_maps")
        if set(self.unseen_maps) & set(self.maps):
            self._refuse("unseen_maps", f"none of maps={self.maps!r}, or ()")

    def splits(self) -> dict[str, Iterator[Episode]]:
        """As `WalksConfig.splits`, with the one of unseen maps."""
        splits = super().splits()
        if self.scenario == FREEDOOM and self.unseen_maps:
            splits["unseen"] = self._walks(self.unseen_maps, self.unseen_episodes, self.seed + 2)
        return splits


class VizdoomVideo(WalksBuilder):
    """Walks through maps of Freedoom 2 or a scenario of ViZDoom: frames and the actions between them."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {"1.0.0": "First version.", "1.1.0": "Twice the training walks."}  # noqa: RUF012 (a TFDS convention)
    BUILDER_CONFIGS = [  # noqa: RUF012
        VizdoomVideoConfig(
            name="walks84", description="512 training, 32 test and 16 unseen-map walks of 48 frames of 84x84"
        ),
        VizdoomVideoConfig(name="walks64", description="the walks of walks84 at 64x64", image_size=64),
        VizdoomVideoConfig(
            name="walks84_uniform",
            description="64 training, 8 test and 2 unseen-map walks of walks84, each action drawn anew",
            policy="uniform",
            train_episodes=8,
            test_episodes=1,
            unseen_episodes=1,
        ),
        VizdoomVideoConfig(
            name="my_way_home84",
            description="64 training and 8 test walks of 48 frames of 84x84 through the rooms of a scenario of ViZDoom",
            scenario="my_way_home",
            test_episodes=8,
        ),
        VizdoomVideoConfig(
            name="tiny",
            description="8 training, 2 test and 1 unseen-map walks of 8 frames of 32x32, for tests",
            maps=("map01", "map20"),
            unseen_maps=("map02",),
            image_size=32,
            train_episodes=4,
            test_episodes=1,
            unseen_episodes=1,
            episode_length=8,
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        # One tall picture of a walk: TFDS's Video would warn of what it itself does.
        shape = (config.episode_length * config.image_size, config.image_size, 3)
        return self.dataset_info_from_configs(
            description=VizdoomVideo.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "frames": tfds.features.Image(shape=shape, encoding_format="png"),
                    "actions": tfds.features.Tensor(shape=(config.episode_length,), dtype=np.int32),
                    "map": tfds.features.Text(),
                }
            ),
            homepage="https://vizdoom.cs.put.edu.pl",
            metadata=Settings(config.settings()),
        )

    def _generate_examples(self, walks: Iterator[Episode]) -> Iterator[tuple[str, dict[str, Any]]]:
        size = self.builder_config.image_size
        for number, walk in enumerate(walks):
            frames = square_frames(walk, size).reshape(-1, size, 3)
            yield f"{number:05d}", {"frames": frames, "actions": walk.actions, "map": walk.map_name}


def open_vizdoom(
    name: str,
    data_dir: str | Path | None,
    image_size: int,
    clip_length: int,
    validation_size: int,
    max_examples: int,
) -> VideoData:
    """Opens "vizdoom" or "vizdoom/<config>", rendering it into `data_dir` if it is not there. Raises: UserError."""
    builder = open_walks(VizdoomVideo, name, data_dir)
    splits = {}
    for split in builder.info.splits:
        frames, actions = _read(builder, split, image_size)
        splits[split] = cut_episodes(name, frames, actions, clip_length)
    return in_memory(name, splits, tuple(ACTIONS), validation_size, max_examples)


def _read(builder: Any, split: str, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 `[episodes, time, size, size, 3]` and actions int32 `[episodes, time]`, always in one order."""
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    size = builder.info.features["frames"].shape[1]
    episodes = builder.as_dataset(split=split, shuffle_files=False, read_config=config)

    def resized(episode: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        video = tf.reshape(episode["frames"], (-1, size, size, 3))
        if image_size not in (0, size):
            video = tf.map_fn(lambda frame: to_square(frame, image_size), video)
        return video, episode["actions"]

    try:
        read = list(episodes.map(resized, tf.data.AUTOTUNE).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise UserError(f"{builder.data_path}: split {split!r} is damaged ({error}); render it again.") from None
    return np.stack([video for video, _ in read]), np.stack([actions for _, actions in read])
