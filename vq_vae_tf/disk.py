"""A disk that refuses, told to the user in one sentence."""

from __future__ import annotations

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
