"""The embedded data set: a TFDS builder that renders first-person ViZDoom frames when it is first used.

Imports TFDS at once and ViZDoom when it renders: import this module only when the data set is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vq_vae_tf.modalities.image.source import ImageData
from vq_vae_tf.modalities.image.tfds_source import from_builder
from vq_vae_tf.modalities.vizdoom import Episode
from vq_vae_tf.modalities.vizdoom_builder import Settings, WalksBuilder, WalksConfig, open_walks, square_frames


@dataclasses.dataclass(kw_only=True)
class VizdoomConfig(WalksConfig):
    """What is rendered, see `WalksConfig`. Frames of a split: maps x episodes per map x episode_length.

    The maps, or the scenario, are the classes. One of your own:

        config = VizdoomConfig(name="mine", scenario="deadly_corridor", policy="uniform", image_size=64, seed=7)
        Vizdoom(config=config, data_dir="/data").download_and_prepare()
        data = vq_vae_tf.modalities.image.data.open_image_data("vizdoom/mine", "/data")

    and `bin/train --flagfile=vizdoom84.flags --dataset=vizdoom/mine --data_dir=/data` trains on it.
    """

    train_episodes: int = 63
    test_episodes: int = 8
    episode_length: int = 16
    frame_skip: int = 6


class Vizdoom(WalksBuilder):
    """Frames of walks through maps of Freedoom 2 or a scenario of ViZDoom, labelled by the map."""

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
            name="my_way_home84",
            description="2,048 training and 256 test frames of 84x84 from the rooms of a scenario of ViZDoom",
            scenario="my_way_home",
            train_episodes=128,
            test_episodes=16,
        ),
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

    def _info(self) -> tfds.core.DatasetInfo:
        config, size = self.builder_config, self.builder_config.image_size
        return self.dataset_info_from_configs(
            description=Vizdoom.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(size, size, 3), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=list(config.places)),
                    "episode": tfds.features.Scalar(np.int32),
                    "time": tfds.features.Scalar(np.int32),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://vizdoom.cs.put.edu.pl",
            metadata=Settings(config.settings()),
        )

    def _generate_examples(self, walks: Iterator[Episode]) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, walk in enumerate(walks):
            for time, frame in enumerate(square_frames(walk, self.builder_config.image_size)):
                example = {"image": frame, "label": walk.map_name, "episode": number, "time": time}
                yield f"{number:05d}-{time:04d}", example


def open_vizdoom(
    name: str, data_dir: str | Path | None, image_size: int, validation_size: int, max_examples: int
) -> ImageData:
    """Opens "vizdoom" or "vizdoom/<config>", rendering it into `data_dir` if it is not there. Raises: UserError."""
    return from_builder(open_walks(Vizdoom, name, data_dir), name, image_size, validation_size, max_examples)
