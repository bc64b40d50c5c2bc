"""Codes that a long search has found, kept batch by batch: a search that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vq_vae_tf.disk import writing
from vq_vae_tf.files import DAMAGED, read_npz, replacing


class KeptCodes:
    """Codes in a folder, each batch in a file named after what it is of.

    Args:
        directory: where they lie; what is there of anything else than `of` is removed.
        of: models and settings that the codes depend on, as JSON values.
    """

    def __init__(self, directory: Path, of: Mapping[str, Any]) -> None:
        self.directory = directory / _name(json.dumps(of, sort_keys=True).encode())
        for other in directory.glob("*"):
            if other != self.directory and other.is_dir():
                shutil.rmtree(other)

    def of(self, batch: Mapping[str, Any], find: Callable[[], np.ndarray]) -> np.ndarray:
        """The codes of a batch: those kept, or else what `find` gives, which is then kept. Raises: UserError."""
        values = (np.ascontiguousarray(batch[name]) for name in sorted(batch))
        path = self.directory / f"{_name(b''.join(value.tobytes() for value in values))}.npz"
        try:
            return read_npz(path)["codes"]
        except DAMAGED:  # or not there
            codes = find()
            with writing(path), replacing(path) as partial:
                np.savez(partial, codes=codes)
            return codes


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
