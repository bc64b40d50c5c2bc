"""Version folders: `<directory>/<name>/<positive integer>`, whole or absent."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError


def new_version(directory: str | os.PathLike[str], name: str, version: int | None) -> Path:
    """The folder of a version that does not exist yet; `version` None is the next after the highest.

    Raises: UserError for a name that is no folder name, a version that is no positive integer or that exists.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise UserError(f"The export's name is {name!r}, expected letters, digits, '_', '-' and '.'; choose another.")
    root = Path(directory) / name
    if version is None:
        taken = [int(entry) for entry in _entries(root) if re.fullmatch(r"[0-9]+", entry)]
        return root / str(max(taken, default=0) + 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise UserError(f"The export's version is {version!r}, expected a positive integer; leave it out for the next.")
    if (root / str(version)).exists():
        raise UserError(f"The export {root / str(version)} exists; choose another version, or none for the next.")
    return root / str(version)


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Yields a hidden sibling of `folder`, which becomes `folder` if the block succeeds and vanishes if not.

    A kill in between leaves the hidden sibling, whose lock dies with the process: the next call removes it.

    Raises: UserError if the folder cannot be written, or if another process was faster.
    """
    made = [parent for parent in folder.parents if not parent.exists()]
    with writing(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    lock = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield partial
        with writing(folder.parent):
            _settle(partial)
        try:
            os.rename(partial, folder)
        except OSError as error:
            raise UserError(
                f"The export {folder} appeared meanwhile; export again for the next free version."
            ) from error
    finally:
        os.close(lock)
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):  # only folders that are empty still
            for parent in made:
                parent.rmdir()


def _entries(root: Path) -> list[str]:
    try:
        return os.listdir(root)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"The export's folder {root} cannot be read ({error.strerror}); choose another.") from error


def _remove_abandoned(root: Path) -> None:
    for path in root.glob(".*.partial"):
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)


def _settle(partial: Path) -> None:
    """Data on the disk before the name, and readable by a server that runs as another user, as the umask allows."""
    umask = os.umask(0)
    os.umask(umask)
    partial.chmod(0o777 & ~umask)
    for path in partial.rglob("*"):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
