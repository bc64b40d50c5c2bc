"""A disk that refuses, told to the user in one sentence."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from vq_vae_tf.errors import UserError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failure to write `path` (full disk, no permission) into a `UserError` that names it.

    Everything here is written beside and renamed, or appended, so what was complete before stays.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or error
        raise UserError(
            f"{path} could not be written ({reason}); what was complete is intact: make room or give write "
            "permission, then run the same command again to continue."
        ) from error


def check_output(path: Path) -> None:
    """Raises: UserError if no file can be written at `path`, before the work that makes it; leaves nothing there."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a file in it.")
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); give a folder that can.") from error
