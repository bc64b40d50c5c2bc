"""Checkpoints: one file each, whole or absent, checked when read."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import DAMAGED, read_npz, replacing

_NAME = re.compile(r"step-(\d{9})\.npz")
_META = "meta"


@dataclass(frozen=True)
class Position:
    """Where a run stands: steps done, seconds spent on them, loss terms summed since the last line, over how many."""

    step: int
    seconds: float
    sums: tuple[float, ...]
    summed: int


class Checkpoints:
    """The checkpoints of one run: `<directory>/step-000001000.npz`, the newest `keep` of them.

    A checkpoint is an uncompressed `.npz` of named arrays, each with its checksum, read without pickle. It is
    written beside and renamed, so a kill or a full disk leaves the earlier ones as they were.
    """

    def __init__(self, directory: Path, keep: int) -> None:
        self.directory = directory
        self.keep = keep

    def steps(self) -> list[int]:
        """The steps of the checkpoints on disk, in order."""
        if not self.directory.is_dir():
            return []
        matches = (_NAME.fullmatch(path.name) for path in self.directory.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def path(self, step: int) -> Path:
        """The file of the checkpoint after `step` steps."""
        return self.directory / f"step-{step:09d}.npz"

    def save(self, variables: Mapping[str, tf.Variable], position: Position) -> Path:
        """Writes one checkpoint and removes those that are too many.

        Raises:
          UserError: the disk is full or refuses; what was there stays.
        """
        meta = asdict(position)
        arrays = {name: _plain(variable.numpy()) for name, variable in variables.items()}
        path = self.path(position.step)
        with writing(path), replacing(path) as partial:
            _write_npz(partial, {_META: np.asarray(json.dumps(meta)), **arrays})
        for step in self.steps()[: -self.keep]:
            self.path(step).unlink(missing_ok=True)
        for rest in self.directory.glob(".*.partial.npz"):  # of a process that was killed
            rest.unlink(missing_ok=True)
        return path

    def restore_latest(self, variables: Mapping[str, tf.Variable]) -> Position | None:
        """Sets the variables to the newest checkpoint's values; None if there is no checkpoint.

        Raises:
          UserError: it is damaged, or of another model. A damaged one is never passed over in silence: it is named.
        """
        steps = self.steps()
        if not steps:
            return None
        path = self.path(steps[-1])
        try:
            arrays = read_npz(path)
            meta = json.loads(str(arrays.pop(_META)))
            position = Position(int(meta["step"]), float(meta["seconds"]), tuple(meta["sums"]), int(meta["summed"]))
        except DAMAGED as error:
            raise UserError(_damaged(path, steps[-2] if len(steps) > 1 else 0, error)) from error
        _check_same(path, arrays, variables)
        for name, variable in variables.items():
            variable.assign(arrays[name].view(variable.dtype.as_numpy_dtype))
        return position


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    # numpy.savez leaves its archive open when the disk is full.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)


def _plain(value: np.ndarray) -> np.ndarray:
    """`value`, with types that NumPy does not know by name (bfloat16) as their bits."""
    return value if value.dtype.isbuiltin == 1 else value.view(f"u{value.dtype.itemsize}")


def _damaged(path: Path, earlier: int, error: Exception) -> str:
    return (
        f"The checkpoint {path} is damaged ({error}); delete it and run the same command again "
        f"to continue from step {earlier}, with the same result."
    )


def _check_same(path: Path, arrays: Mapping[str, np.ndarray], variables: Mapping[str, tf.Variable]) -> None:
    found = {name: tuple(value.shape) for name, value in arrays.items()}
    wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
    if found == wanted:
        return
    name = min(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    raise UserError(
        f"The checkpoint {path} is of another model: {name} is {found.get(name, 'absent')} there and "
        f"{wanted.get(name, 'absent')} in this one; use the options it was made with, or another work folder."
    )
