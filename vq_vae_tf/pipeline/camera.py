"""The camera of a run's frames: learned once, before the dynamics, and kept beside them."""

from __future__ import annotations

import time
from zipfile import BadZipFile

import numpy as np

from vq_vae_tf import build
from vq_vae_tf.codes import open_codes
from vq_vae_tf.dynamics.learn_camera import learn_camera
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import replacing
from vq_vae_tf.pipeline.imagining import codes_and_actions
from vq_vae_tf.pipeline.run import Run

FILE = "camera.npz"


def learned_camera(run: Run, squares: np.ndarray, chief: bool) -> list[np.ndarray]:
    """Weights of a `Parallax` that has learned from the run's training clips; prior/camera.npz holds them.

    squares: what each code looks like. A worker that is not chief waits until the file is there, so that all have the
    same camera.

    Raises: UserError for a damaged file.
    """
    path = run.prior / FILE
    while not chief and not path.exists():
        time.sleep(1.0)
    if not path.exists():
        codes = open_codes(run.codes)
        build.clear_session(run.config.run.seed)
        past = run.modality.build_prior(run.config, codes.manifest).past
        past.show(squares)
        clips, actions = (array.numpy() for array in codes_and_actions(codes, "train"))
        learn_camera(past.parallax[0], clips, actions, run.config.run.seed)
        with replacing(path) as partial, open(partial, "wb") as stream:
            np.savez(stream, *past.parallax[0].get_weights())
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return [stored[name] for name in stored.files]
    except (OSError, ValueError, BadZipFile) as error:
        raise UserError(f"{path} is damaged ({error}); delete it, and the camera is learned anew.") from error
