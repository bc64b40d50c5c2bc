"""The camera of a run's frames: learned once, before the dynamics, and kept beside them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from vq_vae_tf import build
from vq_vae_tf.codes import CodeData, open_codes
from vq_vae_tf.disk import writing
from vq_vae_tf.dynamics.learn_camera import learn_camera
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import DAMAGED, read_npz, replacing
from vq_vae_tf.pipeline.imagining import codes_and_actions
from vq_vae_tf.pipeline.run import Run

FILE = "camera.npz"
_OF = "model"  # whose codes' looks it was learned from


def learned_camera(run: Run, squares: np.ndarray, chief: bool) -> list[np.ndarray]:
    """Weights of a `Parallax` that has learned from the run's training clips; prior/camera.npz holds them.

    squares: what each code looks like. A worker that is not chief waits until the file is there, so that all have the
    same camera.

    Raises: UserError for a damaged file, or a folder that cannot be written.
    """
    path, codes = run.prior / FILE, open_codes(run.codes)
    while (weights := _stored(path, codes.manifest.model_digest)) is None:
        if chief:
            _learn(run, codes, squares, path)
        else:
            time.sleep(1.0)
    return weights


def _learn(run: Run, codes: CodeData, squares: np.ndarray, path: Path) -> None:
    build.clear_session(run.config.run.seed)
    past = run.modality.build_prior(run.config, codes.manifest).past
    past.show(squares)
    clips, actions = (array.numpy() for array in codes_and_actions(codes, "train"))
    learn_camera(past.parallax[0], clips, actions, run.config.run.seed)
    with writing(path), replacing(path) as partial, open(partial, "wb") as stream:
        np.savez(stream, *past.parallax[0].get_weights(), **{_OF: np.array(codes.manifest.model_digest)})


def _stored(path: Path, digest: str) -> list[np.ndarray] | None:
    """The weights that the file holds; None if there is none, or one of another model's codes."""
    if not path.exists():
        return None
    try:
        arrays = read_npz(path)
    except DAMAGED as error:
        raise UserError(f"{path} is damaged ({error}); delete it, and the camera is learned anew.") from error
    of = str(arrays.pop(_OF, ""))
    return list(arrays.values()) if of == digest else None
