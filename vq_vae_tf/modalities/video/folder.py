"""A folder of episodes, each a video file or a folder of numbered frames and, if wished, a file of actions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vq_vae_tf.errors import UserError
from vq_vae_tf.files import visible_entries
from vq_vae_tf.modalities.image.pictures import read_pictures
from vq_vae_tf.modalities.image.source import ImageData
from vq_vae_tf.modalities.pieces import piece_names
from vq_vae_tf.modalities.video.files import SUFFIXES as FILM_SUFFIXES
from vq_vae_tf.modalities.video.files import read_film
from vq_vae_tf.modalities.video.source import VideoData, frames_in_memory
from vq_vae_tf.progress import shown

ACTIONS_FILE = "actions.txt"
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}
_TEST_PART = 0.1


@dataclass(frozen=True)
class _Episode:
    name: str
    entry: str  # of the folder of data: `name`, with the ending of a film
    frames: Any  # paths in order, or those of a film: uint8 `[time, height, width, 3]`
    actions: tuple[str, ...]  # names, one a frame; empty: not known


def open_folder(
    root: str | Path, image_size: int, clip_length: int, validation_size: int = 0, max_examples: int = 0
) -> VideoData:
    """Opens `root/EPISODE/000001.png, 000002.png, ...`, or `root/EPISODE.mp4`, as a data set.

    Frames, and the episodes of a split, follow the numbers in their names: 2 comes before 10, with leading zeros or
    without. `root/EPISODE/actions.txt` (beside a film: `root/EPISODE.txt`) holds the name of an action a line: line t
    leads from frame t to the next one (the last frame may have none). Either every episode has it, or none. An episode
    is cut into clips of `clip_length` frames; what is left over goes. About a tenth of the episodes by the hash of
    their names, at least one, is the test split; validation is the `validation_size` episodes next by hash.
    max_examples: episodes of each split at most; 0: all.

    Raises: UserError for a missing or empty folder, an episode shorter than a clip, actions of another number than
    frames, frames or films that cannot be read or that have several sizes when image_size is 0, films beside folders.
    """
    root = Path(root).expanduser()
    found = _episode_paths(root)
    films = found[0].is_file()
    episodes = _read_films(found, clip_length, image_size) if films else [_read_episode(p, clip_length) for p in found]
    with_actions = [episode for episode in episodes if episode.actions]
    if with_actions and len(with_actions) < len(episodes):
        without = next(episode.name for episode in episodes if not episode.actions)
        raise UserError(f"{root / without}: no file of actions, but {with_actions[0].name} has one; give all or none.")
    names = tuple(sorted({action for episode in episodes for action in episode.actions}))
    parts = {
        split: chosen[: max_examples or None] for split, chosen in _splits(root, episodes, validation_size).items()
    }
    clips = {split: [clip for e in chosen for clip in _clips(e, clip_length)] for split, chosen in parts.items()}
    if films:
        images = _film_frames(root, clips)
    else:
        paths = {split: [f for c in chosen for f in c.frames] for split, chosen in clips.items()}
        images = _images(root, paths, image_size)
    actions = {
        split: np.array([list(map(names.index, c.actions)) or [0] * clip_length for c in chosen], np.int32)
        for split, chosen in clips.items()
    }
    clip_names = {
        split: piece_names((e.entry for e in chosen), [len(e.frames) // clip_length for e in chosen])
        for split, chosen in parts.items()
    }
    return VideoData(images, clip_length, names, actions, clip_names)


def _episode_paths(root: Path) -> list[Path]:
    """Films, or folders of frames."""
    if not root.is_dir():
        raise UserError(
            f"--dataset=folder:{root}: no such folder, expected one with a film or folder for each episode."
        )
    shown = visible_entries(root)
    films = [path for path in shown if path.is_file() and path.suffix.lower() in FILM_SUFFIXES]
    folders = [path for path in shown if path.is_dir()]
    if films and folders:
        raise UserError(f"--dataset=folder:{root}: films beside folders of frames; give episodes of one kind only.")
    found = films or folders
    if len(found) < 2:
        raise UserError(
            f"--dataset=folder:{root}: {len(found)} episodes, expected at least 2, one to train on and one to test on; "
            "give EPISODE/000001.png and so on, or EPISODE.mp4."
        )
    return found


def _read_films(paths: list[Path], clip_length: int, image_size: int) -> list[_Episode]:
    with closing(shown(paths, "read")) as each:  # the line ends before an error is told
        return [_read_film(path, clip_length, image_size) for path in each]


def _read_film(path: Path, clip_length: int, image_size: int) -> _Episode:
    frames = read_film(path, image_size)
    _check_length(path, len(frames), clip_length)
    return _Episode(path.stem, path.name, frames, _read_actions(path.with_suffix(".txt"), len(frames)))


def _read_episode(folder: Path, clip_length: int) -> _Episode:
    """Frames are read later, all at once."""
    found = [path for path in visible_entries(folder) if path.suffix.lower() in _SUFFIXES]
    frames = tuple(str(path) for path in sorted(found, key=lambda path: (_natural(path.stem), path.suffix)))
    _check_length(folder, len(frames), clip_length)
    return _Episode(folder.name, folder.name, frames, _read_actions(folder / ACTIONS_FILE, len(frames)))


def _check_length(path: Path, frames: int, clip_length: int) -> None:
    if frames < clip_length:
        raise UserError(
            f"{path}: {frames} frames, expected at least the {clip_length} of --clip_length; give a longer episode or "
            "shorter clips."
        )


def _read_actions(path: Path, frames: int) -> tuple[str, ...]:
    if not path.exists():
        return ()
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); give the name of an action a line.") from None
    if len(lines) not in (frames - 1, frames) or not all(lines):
        raise UserError(
            f"{path}: {sum(map(bool, lines))} actions in {len(lines)} lines for {frames} frames; expected one a frame, "
            "or one less."
        )
    return (*lines, lines[-1])[:frames]  # the last one leads nowhere


def _splits(root: Path, episodes: list[_Episode], validation_size: int) -> dict[str, list[_Episode]]:
    ordered = sorted(episodes, key=lambda episode: _hash(episode.name))
    count = min(max(1, sum(_hash(episode.name) < _TEST_PART for episode in ordered)), len(ordered) - 1)
    rest = ordered[count:]
    if validation_size >= len(rest):
        raise UserError(f"--validation_size={validation_size}: {root} has {len(rest)} training episodes; give fewer.")
    parts = {"train": rest[validation_size:], "validation": rest[:validation_size], "test": ordered[:count]}
    return {split: sorted(chosen, key=lambda episode: _natural(episode.name)) for split, chosen in parts.items()}


def _clips(episode: _Episode, length: int) -> list[_Episode]:
    starts = range(0, len(episode.frames) - length + 1, length)
    return [
        replace(episode, frames=episode.frames[s : s + length], actions=episode.actions[s : s + length]) for s in starts
    ]


def _film_frames(root: Path, clips: Mapping[str, list[_Episode]]) -> ImageData:
    shapes = sorted({clip.frames.shape[1:] for chosen in clips.values() for clip in chosen})
    if len(shapes) > 1:
        several = ", ".join(f"{width}x{height}" for height, width, _ in shapes)
        raise UserError(f"--dataset=folder:{root}: films of {several}; expected one size, so give --image_size.")
    height, width, channels = shapes[0]
    frames = {split: np.concatenate([c.frames for c in chosen]) for split, chosen in clips.items() if chosen}
    return frames_in_memory(f"folder:{root}", frames, (height, width, channels))


def _images(root: Path, files: dict[str, list[str]], image_size: int) -> ImageData:
    paths = [path for chosen in files.values() for path in chosen]
    pictures = read_pictures(paths, image_size)
    if not pictures.readable.all():
        bad = paths[int(np.argmin(pictures.readable))]
        raise UserError(f"{bad} is no readable picture, and an episode cannot miss a frame; write the frame again.")
    stores, first = {}, 0
    for split, chosen in files.items():
        stores[split] = partial(pictures.store, slice(first, first + len(chosen)), None)
        first += len(chosen)
    sizes = {split: len(chosen) for split, chosen in files.items()}
    return ImageData(f"folder:{root}", pictures.shape, (), sizes, 0, stores)


def _natural(name: str) -> tuple[list[str | int], str]:
    """A key that orders names by the numbers in them; where those are equal, as in 2 and 02, by letter."""
    parts = re.split("([0-9]+)", name)  # text and numbers in turn, so that like meets like
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _hash(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48
