"""Weights of a finished training, for another one to begin with."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import keras

from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import save_weights, sha256_of
from vq_vae_tf.training.result import RESULT, WEIGHTS, read_result

OF_CLASSES = frozenset({"label", "speakers", "critic", "listener"})
"""Parts of a model that are made for its classes: for other classes they are other parts."""
OF_CODEBOOK = "vector_quantizer"
"""A part that begins anew as a whole where it has another number of codes: none of them are the other's."""
OF_CODES = "parallax"
"""A part that a run makes for its own codes before it trains: another run's would be of other codes."""


def begin_with(model: keras.Model, directory: Path) -> list[str]:
    """Sets a built model to the weights of the finished training in `directory`.

    Returns: the weights that stay as they were, since the other model has none of their name and shape. Only weights
    that belong to classes (`OF_CLASSES`) may, and a codebook (`OF_CODEBOOK`): others have to be there. What is made for
    codes (`OF_CODES`) is not asked for, and the codebook's count of batches begins anew.

    Raises:
      UserError: no finished training, a damaged file, or a model of other sizes; then nothing was set.
    """
    path = directory / WEIGHTS
    result = read_result(directory)
    if result is None:
        raise UserError(f"{directory} holds no finished training; run bin/train there first.")
    if result.sha256 and sha256_of(path) != result.sha256:
        raise UserError(f"{path} is damaged (another SHA-256 than in {RESULT}); train there again.")
    with tempfile.TemporaryDirectory() as scratch:
        merged = Path(scratch) / WEIGHTS
        with writing(merged):
            save_weights(model, merged)
        try:
            with h5py.File(merged, "r+") as mine, h5py.File(path) as theirs:
                left = _copy(mine, theirs)
        except (OSError, RuntimeError, KeyError) as error:
            raise UserError(f"{path} is damaged ({error}); train there again.") from error
        wrong = [name for name in left if not (OF_CLASSES | {OF_CODEBOOK}) & set(name.split("/"))]
        if wrong:
            raise UserError(f"{path} is of another network: {wrong[0]} {left[wrong[0]]}.")
        model.load_weights(merged)
    return sorted(left)


def _copy(mine: h5py.File, theirs: h5py.File) -> dict[str, str]:
    """Copies what has the same name and shape; what has not -> how it differs."""
    left: dict[str, str] = {}
    book = f"layers/{OF_CODEBOOK}/vars"
    anew = book in mine and book in theirs and _shapes(mine[book]) != _shapes(theirs[book])

    def one(name: str, weight: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(weight, h5py.Dataset) or OF_CODES in name.split("/"):
            return
        if OF_CODEBOOK in name.split("/") and not weight.shape:
            return  # of how many batches it has learned: those of this training count
        if anew and OF_CODEBOOK in name.split("/"):
            left[name] = "is of another number of codes"
        elif name not in theirs:
            left[name] = "is not there"
        elif theirs[name].shape != weight.shape:
            left[name] = f"has the shape {theirs[name].shape}, here {weight.shape}"
        else:
            weight[...] = theirs[name][...]

    mine.visititems(one)
    return left


def _shapes(group: h5py.Group) -> dict[str, tuple[int, ...]]:
    return {name: weight.shape for name, weight in group.items()}
