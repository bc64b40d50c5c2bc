"""What a finished run leaves behind."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from vq_vae_tf.errors import UserError
from vq_vae_tf.files import save_weights, sha256_of, write_json
from vq_vae_tf.training.digest import weights_digest

RESULT, WEIGHTS = "result.json", "model.weights.h5"


@dataclass(frozen=True)
class TrainResult:
    """A finished run, as in `<directory>/result.json`.

    Attributes:
      steps: updates done.
      digest: `weights_digest` of the saved model.
      seconds: time spent training, over all its sittings.
      metrics: the last line of `metrics.jsonl`.
      options: the `TrainingOptions` and the seed, as plain values.
      sha256: of the file of weights; empty until it is written.
    """

    steps: int
    digest: str
    seconds: float
    metrics: dict[str, float]
    options: dict[str, Any]
    sha256: str = ""


def read_result(directory: Path) -> TrainResult | None:
    """The result in `directory`; None if the run is not finished, or its weights are gone: then it is taken up again.

    Raises:
      UserError: `result.json` is there but damaged.
    """
    path = directory / RESULT
    if not path.exists() or not (directory / WEIGHTS).exists():
        return None
    try:
        return TrainResult(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run the same command again.") from error


def write_result(model: keras.Model, result: TrainResult, directory: Path) -> TrainResult:
    """Saves the weights, then `result.json`, each whole or absent: the second, which it returns, says of the first."""
    with tempfile.TemporaryDirectory(prefix=".partial.", dir=directory) as beside:
        partial = Path(beside) / WEIGHTS
        save_weights(model, partial)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        result = replace(result, sha256=sha256_of(partial))
        os.replace(partial, directory / WEIGHTS)
    write_json(directory / RESULT, asdict(result))
    return result


def load_weights(model: keras.Model, directory: Path) -> TrainResult:
    """Sets a built model to the finished run's weights and returns the run's result.

    Raises:
      UserError: the run is not finished, the model is another one, or the file is damaged (its digest differs).
    """
    result = read_result(directory)
    path = directory / WEIGHTS
    if result is None:
        raise UserError(f"{directory} holds no finished training; run bin/train first.")
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"{path} is damaged or of another model ({_first_line(error)}); delete it and run bin/train again, which "
            "goes on from the last checkpoint."
        ) from error
    if weights_digest(model) != result.digest:
        raise UserError(
            f"{path} does not hold the weights that {directory / RESULT} describes; delete it and run bin/train again, "
            "which goes on from the last checkpoint."
        )
    return result


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
