"""What the TFDS builders of ViZDoom walks share: configurations, the record of their settings, opening by name.

Imports TFDS at once and ViZDoom when it renders: import this module only when the data set is asked for.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging

from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.vizdoom import (
    MAPS,
    SCENARIOS,
    Episode,
    import_vizdoom,
    render_episodes,
    render_scenario,
)
from vq_vae_tf.modalities.vizdoom_policy import POLICIES

FREEDOOM = "freedoom2"
"""The scenario that is the maps of Freedoom 2."""
_OF_FREEDOOM = {"maps", "unseen_maps", "unseen_episodes"}  # settings that decide nothing in another scenario
_RECORD = "metadata.json"  # where TFDS looks for a record before it hands it to `Settings.load_metadata`


@dataclasses.dataclass(kw_only=True)
class WalksConfig(tfds.core.BuilderConfig):
    """What is rendered. Episodes of a split: maps x episodes per map; a scenario has one map.

    scenario: "freedoom2", or one of ViZDoom's `SCENARIOS`, where all walks start as the scenario has it: in many of
    them in one place. maps: of Freedoom 2. policy: one of `POLICIES`. image_size: pixels of the square frames.
    frame_skip: tics (1/35 s) between frames. seed: of the training split; the test split walks by seed + 1.

    Raises: UserError for a scenario, map or policy that there is not, or a number out of its range.
    """

    scenario: str = FREEDOOM
    maps: tuple[str, ...] = ("map01", "map07", "map08", "map16", "map20", "map22", "map27", "map29")
    policy: str = "walk"
    image_size: int = 84
    train_episodes: int
    test_episodes: int
    episode_length: int
    frame_skip: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.scenario not in (FREEDOOM, *SCENARIOS):
            self._refuse("scenario", f"{FREEDOOM} or one of {', '.join(SCENARIOS)}")
        if self.policy not in POLICIES:
            self._refuse("policy", f"one of {', '.join(POLICIES)}")
        self._check_maps("maps")
        if not self.maps:
            self._refuse("maps", "one map or more")
        for field in dataclasses.fields(self):
            least = 0 if field.name == "seed" else 1
            value = getattr(self, field.name)
            if field.type == "int" and not (isinstance(value, int) and value >= least):
                self._refuse(field.name, f"a whole number from {least} on")

    @property
    def places(self) -> tuple[str, ...]:
        """Names of the maps that are walked through, or of the scenario."""
        return tuple(self.maps) if self.scenario == FREEDOOM else (self.scenario,)

    def settings(self) -> dict[str, Any]:
        """What decides the data, as JSON gives it back."""
        names = {field.name for field in dataclasses.fields(self)}
        names -= {field.name for field in dataclasses.fields(tfds.core.BuilderConfig)}
        if self.scenario != FREEDOOM:
            names -= _OF_FREEDOOM
        return json.loads(json.dumps({name: getattr(self, name) for name in sorted(names)}))

    def splits(self) -> dict[str, Iterator[Episode]]:
        """The walks of each split; they are rendered as they are asked for."""
        return {
            "train": self._walks(self.maps, self.train_episodes, self.seed),
            "test": self._walks(self.maps, self.test_episodes, self.seed + 1),
        }

    def _walks(self, maps: tuple[str, ...], episodes: int, seed: int) -> Iterator[Episode]:
        if self.scenario == FREEDOOM:
            return render_episodes(maps, episodes, self.episode_length, self.frame_skip, seed, self.policy)
        return render_scenario(self.scenario, episodes, self.episode_length, self.frame_skip, seed, self.policy)

    def _check_maps(self, name: str) -> None:
        maps = getattr(self, name)
        if not isinstance(maps, (tuple, list)) or not set(maps) <= set(MAPS) or len(set(maps)) < len(maps):
            self._refuse(name, f"a tuple of different maps from {MAPS[0]} to {MAPS[-1]}")
        if self.scenario != FREEDOOM and tuple(maps) != getattr(type(self), name):
            self._refuse(name, f"no maps of Freedoom 2 where scenario={self.scenario!r} has its own: leave them out")

    def _refuse(self, name: str, expected: str) -> None:
        raise UserError(f"ViZDoom configuration {self.name!r}: {name}={getattr(self, name)!r}, expected {expected}.")


class Settings(tfds.core.Metadata):
    """The settings that data were rendered with, kept beside them, so that others are not taken for them."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)

    def save_metadata(self, data_dir: str | Path) -> None:
        """Writes the record into a folder of data."""
        tfds.core.Path(data_dir).joinpath(_RECORD).write_text(json.dumps(self, indent=1))

    def load_metadata(self, data_dir: str | Path) -> None:
        """Compares with the record of data on disk. Raises: UserError where a setting differs."""
        recorded = json.loads(tfds.core.Path(data_dir).joinpath(_RECORD).read_text())
        differ = [name for name in self if name in recorded and recorded[name] != self[name]]
        if differ:
            raise UserError(
                f"{data_dir} was rendered with {_listed(recorded, differ)}, asked for is {_listed(self, differ)}: "
                "give the configuration another name, or delete that folder."
            )


def _listed(settings: Mapping[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name}={settings[name]!r}" for name in names)


class WalksBuilder(tfds.core.GeneratorBasedBuilder):
    """A builder of ViZDoom walks; what an example is made of is left to those that derive from it."""

    # TFDS looks this up through a package that it does not install on Python >= 3.9.
    code_path = Path(__file__)
    pkg_dir_path = Path(__file__).parent

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(walks) for split, walks in self.builder_config.splits().items()}


def open_walks(kind: type[WalksBuilder], name: str, data_dir: str | Path | None) -> Any:
    """The builder of "vizdoom" or "vizdoom/<config>", its data rendered into `data_dir` if they are not there.

    <config> is one of the builder's, or any that was prepared in `data_dir` before. Raises: UserError.
    """
    config = name.removeprefix("vizdoom").removeprefix("/") or None
    known = sorted(kind.builder_configs)
    if config is not None and config not in known:
        own = tfds.core.Path(kind(data_dir=data_dir).data_path).parents[1] / config / str(kind.VERSION)
        if not (own / "dataset_info.json").exists():
            raise UserError(
                f"--dataset={name}: no such configuration, expected vizdoom or one of {known} behind vizdoom/, "
                f"or one of your own, prepared in {own}."
            )
        return tfds.builder_from_directory(own)
    builder = kind(config=config, data_dir=data_dir)
    if not builder.is_prepared():
        import_vizdoom()  # TFDS would wrap the message of a failure inside the generator
        logging.info("rendering %s into %s, once", name, builder.data_path)
        try:
            builder.download_and_prepare()
        except OSError as error:
            raise UserError(f"{name} cannot be rendered into {builder.data_path} ({error}); give --data_dir.") from None
    return builder


def square_frames(episode: Episode, size: int) -> np.ndarray:
    """The centred square of each frame, area-resized: uint8 `[time, size, size, 3]`."""
    _, height, width, _ = episode.frames.shape
    left = (width - height) // 2
    resized = tf.image.resize(episode.frames[:, :, left : left + height], (size, size), method="area")
    return tf.saturate_cast(tf.round(resized), tf.uint8).numpy()
