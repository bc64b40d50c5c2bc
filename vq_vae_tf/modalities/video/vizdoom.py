"""Walks through ViZDoom maps as a TFDS builder that renders them when it is first used.

Imports TFDS at once and ViZDoom when it renders: import this module only when the data set is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.decode import to_square
from vq_vae_tf.modalities.image.vizdoom import square_frames
from vq_vae_tf.modalities.video.source import VideoData, cut_episodes, in_memory
from vq_vae_tf.modalities.vizdoom import ACTIONS, import_vizdoom, render_episodes


@dataclasses.dataclass(kw_only=True)
class VizdoomVideoConfig(tfds.core.BuilderConfig):
    """What is rendered. Episodes of a split: maps x episodes per map.

    maps: of Freedoom 2, for training and, from other places by other turns, the test split. unseen_maps: of the split
    `unseen`, in no other. image_size: pixels of the square frames. frame_skip: tics (1/35 s) between frames.
    seed: of the training split; the test split walks by seed + 1, the unseen one by seed + 2.
    """

    maps: tuple[str, ...] = ("map01", "map07", "map08", "map16", "map20", "map22", "map27", "map29")
    unseen_maps: tuple[str, ...] = ("map02", "map10")
    image_size: int = 84
    train_episodes: int = 64
    test_episodes: int = 4
    unseen_episodes: int = 8
    episode_length: int = 48
    frame_skip: int = 4
    seed: int = 0


class VizdoomVideo(tfds.core.GeneratorBasedBuilder):
    """Random walks through maps of Freedoom 2: frames and the actions between them."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {"1.0.0": "First version.", "1.1.0": "Twice the training walks."}  # noqa: RUF012 (a TFDS convention)
    BUILDER_CONFIGS = [  # noqa: RUF012
        VizdoomVideoConfig(
            name="walks84", description="512 training, 32 test and 16 unseen-map walks of 48 frames of 84x84"
        ),
        VizdoomVideoConfig(name="walks64", description="the walks of walks84 at 64x64", image_size=64),
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
    # TFDS looks this up through a package that it does not install on Python >= 3.9.
    code_path = Path(__file__)
    pkg_dir_path = Path(__file__).parent

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
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        config = self.builder_config
        return {
            "train": self._generate_examples(config.maps, config.train_episodes, config.seed),
            "test": self._generate_examples(config.maps, config.test_episodes, config.seed + 1),
            "unseen": self._generate_examples(config.unseen_maps, config.unseen_episodes, config.seed + 2),
        }

    def _generate_examples(self, maps: Sequence[str], episodes: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
        config = self.builder_config
        for number, walk in enumerate(render_episodes(maps, episodes, config.episode_length, config.frame_skip, seed)):
            frames = square_frames(walk, config.image_size).reshape(-1, config.image_size, 3)
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
    config = name.removeprefix("vizdoom").removeprefix("/") or None
    known = sorted(VizdoomVideo.builder_configs)
    if config is not None and config not in known:
        raise UserError(f"--dataset={name}: no such configuration, expected vizdoom or one of {known} behind vizdoom/.")
    builder = VizdoomVideo(config=config, data_dir=data_dir)
    if not builder.is_prepared():
        import_vizdoom()  # TFDS would wrap the message of a failure inside the generator
        logging.info("rendering the walks of %s into %s, once", name, builder.data_path)
        try:
            builder.download_and_prepare()
        except OSError as error:
            raise UserError(f"{name} cannot be rendered into {builder.data_path} ({error}); give --data_dir.") from None
    splits = {}
    for split in builder.info.splits:
        frames, actions = _read(builder, split, image_size)
        splits[split] = cut_episodes(name, frames, actions, clip_length)
    return in_memory(name, splits, tuple(ACTIONS), validation_size, max_examples)


def _read(builder: Any, split: str, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 `[episodes, time, size, size, 3]` and actions int32 `[episodes, time]`, always in one order."""
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    episodes = builder.as_dataset(split=split, shuffle_files=False, read_config=config)

    def resized(episode: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        size = builder.builder_config.image_size
        video = tf.reshape(episode["frames"], (-1, size, size, 3))
        if image_size not in (0, size):
            video = tf.map_fn(lambda frame: to_square(frame, image_size), video)
        return video, episode["actions"]

    try:
        read = list(episodes.map(resized, tf.data.AUTOTUNE).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise UserError(f"{builder.data_path}: split {split!r} is damaged ({error}); render it again.") from None
    return np.stack([video for video, _ in read]), np.stack([actions for _, actions in read])
