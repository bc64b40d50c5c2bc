"""Which data a model is trained on, when that data was itself made by a model."""

from __future__ import annotations

import json
from pathlib import Path

from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import write_json

SOURCE = "source.json"


def claim_source(directory: Path, digest: str, write: bool = True) -> None:
    """Says in `directory` that training there is on codes of the model with this digest, before it begins.

    write: whether this process writes; of several workers only one does.

    Raises:
      UserError: what was trained there, finished or not, was trained on codes of another model.
    """
    if (directory / SOURCE).exists():
        check_source(directory, digest)
    elif write:
        with writing(directory):
            write_json(directory / SOURCE, {"codes_of_model": digest})


def check_source(directory: Path, digest: str) -> None:
    """Refuses what was trained on codes of another model than that with this digest.

    Raises:
      UserError: it was, or the file that says so is damaged. A folder without the file passes: it is from before it.
    """
    path = directory / SOURCE
    if not path.exists():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["codes_of_model"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); remove {directory} and train again.") from error
    if found != digest:
        raise UserError(
            f"{directory} was trained on codes of model {str(found)[:12]}, expected those of {digest[:12]}; "
            f"remove {directory} and train again, or bring its own model back."
        )
