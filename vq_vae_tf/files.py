"""Files that are either whole or absent: write beside, then rename."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vq_vae_tf.errors import UserError

DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)
"""What NumPy and zipfile raise for an .npz that is not there or damaged."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it into place if the block succeeds, removes it if not.

    Equation: readers see the old file or the whole new one, never a part, also after a kill or a full disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not named after the file: the longest names that there are leave no room for more.
    handle, name = tempfile.mkstemp(prefix=".", suffix=f".partial{path.suffix}", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def check_room(folder: str | os.PathLike[str], size: int) -> None:
    """Raises: OSError if `folder` has no room for so many bytes. HDF5 ends the process where it cannot write."""
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)


def weights_size(model: Any) -> int:
    """Bytes that a Keras model's file of weights takes at most."""
    return sum(8 * math.prod(weight.shape) + 8192 for weight in model.weights) + 2**20


def save_weights(model: Any, path: Path) -> None:
    """A Keras model's weights into a file. Raises: OSError where there is no room for them."""
    check_room(path.parent, weights_size(model))
    model.save_weights(path)


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an .npz, each checked by its sum, without pickle. Raises: one of `DAMAGED`."""
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replaces the file at `path` by `text` in UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Replaces the file at `path` by `value` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, sort_keys=False) + "\n")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_name(path: str | os.PathLike[str]) -> None:
    """Raises: UserError for a path that is not UTF-8, which TensorFlow cannot be told."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        raise UserError(f"{os.fsencode(path)!r}: the name is not UTF-8; rename what is called so.") from None


def visible_entries(folder: Path) -> list[Path]:
    """Files and folders in a folder, by name, but for hidden ones. Raises: UserError for a name that is no text, or a
    folder that may not be read.
    """
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except PermissionError as error:
        raise UserError(
            f"{folder} cannot be read ({error.strerror}); give read permission, or move it away."
        ) from error
    for path in found:
        check_name(path)
    return found


def visible_files(root: str | os.PathLike[str]) -> list[Path]:
    """Every file below `root`, through symbolic links too, in no order; nothing whose name, or folder's, is hidden.

    A link to a folder that it lies in is not followed. Raises: UserError for a name that is no text.
    """
    found: list[Path] = []

    def walk(folder: Path, above: frozenset[str]) -> None:
        real = os.path.realpath(folder)
        if real in above:
            return
        for entry in visible_entries(folder):
            if entry.is_dir():
                walk(entry, above | {real})
            elif entry.is_file():
                found.append(entry)

    walk(Path(root), frozenset())
    return found
