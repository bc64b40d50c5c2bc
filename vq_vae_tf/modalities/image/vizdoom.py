"""The embedded data set: a TFDS builder that renders first-person ViZDoom frames when it is first used.

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
from absl import logging

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.image.source import ImageData
from vq_vae_tf.modalities.image.tfds_source import from_builder
from vq_vae_tf.modalities.vizdoom import Episode, import_vizdoom, render_episodes


@dataclasses.dataclass(kw_only=True)
class VizdoomConfig(tfds.core.BuilderConfig):
    """What is rendered. Frames a split: maps x episodes per map x episode_length.

    maps: of Freedoom 2; they are the classes. image_size: pixels of the square frames.
    frame_skip: tics (1/35 s) between frames. seed: of the training split; the test split walks by seed + 1.
    """

    maps: tuple[str, ...] = ("map01", "map07", "map08", "map16", "map20", "map22", "map27", "map29")
    image_size: int = 84
    train_episodes: int = 63
    test_episodes: int = 8
    episode_length: int = 16
    frame_skip: int = 6
    seed: int = 0


class Vizdoom(tfds.core.GeneratorBasedBuilder):
    """Frames of random walks through eight maps of Freedoom 2, labelled by the map."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}  # noqa: RUF012 (a TFDS convention)
    BUILDER_CONFIGS = [  # noqa: RUF012
        VizdoomConfig(name="frames84", description="8,064 training and 1,024 test frames of 84x84 from eight maps"),
        VizdoomConfig(
            name="frames64",
            description="4,096 training and 512 test frames of 64x64 from the same maps: prepared in half a minute",
            image_size=64,
            train_episodes=32,
            test_episodes=4,
        ),
        VizdoomConfig(name="frames32", description="the walks of frames84 at 32x32", image_size=32),
        VizdoomConfig(
            name="tiny",
            description="64 training and 32 test frames of 32x32 from two maps, for tests",
            maps=("map01", "map20"),
            image_size=32,
            train_episodes=4,
            test_episodes=2,
            episode_length=8,
        ),
    ]
    # TFDS looks this up through a package that it does not install on Python >= 3.9.
    code_path = Path(__file__)
    pkg_dir_path = Path(__file__).parent

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.image_size
        return self.dataset_info_from_configs(
            description=Vizdoom.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(size, size, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=list(self.builder_config.maps)),
                    "episode": tfds.features.Scalar(np.int32),
                    "time": tfds.features.Scalar(np.int32),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://vizdoom.cs.put.edu.pl",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        config = self.builder_config
        return {
            "train": self._generate_examples(config.train_episodes, config.seed),
            "test": self._generate_examples(config.test_episodes, config.seed + 1),
        }

    def _generate_examples(self, episodes: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
        config = self.builder_config
        walks = render_episodes(config.maps, episodes, config.episode_length, config.frame_skip, seed)
        for number, episode in enumerate(walks):
            for time, frame in enumerate(square_frames(episode, config.image_size)):
                example = {"image": frame, "label": episode.map_name, "episode": number, "time": time}
                yield f"{number:05d}-{time:04d}", example


def square_frames(episode: Episode, size: int) -> np.ndarray:
    """The centred square of each frame, area-resized: uint8 `[time, size, size, 3]`."""
    _, height, width, _ = episode.frames.shape
    left = (width - height) // 2
    resized = tf.image.resize(episode.frames[:, :, left : left + height], (size, size), method="area")
    return tf.saturate_cast(tf.round(resized), tf.uint8).numpy()


def open_vizdoom(
    name: str, data_dir: str | Path | None, image_size: int, validation_size: int, max_examples: int
) -> ImageData:
    """Opens "vizdoom" or "vizdoom/<config>", rendering it into `data_dir` if it is not there. Raises: UserError."""
    config = name.removeprefix("vizdoom").removeprefix("/") or None
    known = sorted(Vizdoom.builder_configs)
    if config is not None and config not in known:
        raise UserError(f"--dataset={name}: no such configuration, expected vizdoom or one of {known} behind vizdoom/.")
    builder = Vizdoom(config=config, data_dir=data_dir)
    if not builder.is_prepared():
        import_vizdoom()  # TFDS would wrap the message of a failure inside the generator
        logging.info("rendering %s into %s, once", name, builder.data_path)
        try:
            builder.download_and_prepare()
        except OSError as error:
            raise UserError(f"{name} cannot be rendered into {builder.data_path} ({error}); give --data_dir.") from None
    return from_builder(builder, name, image_size, validation_size, max_examples)
