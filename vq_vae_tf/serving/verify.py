"""An export counts once a clean process, without this package, has loaded it and agrees with the model in hand."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vq_vae_tf.errors import UserError

Arrays = Mapping[str, Mapping[str, Any]]
"""Signature -> argument or output -> array."""

IMAGE_LEVELS = 1
AUDIO_TOLERANCE = 1e-3
"""On the scale [-1, 1]."""
LOG_PROB_TOLERANCE = 1e-4
TIMEOUT = 1800.0
"""Seconds; XLA compiles the sampling loop in there."""


def verify(model: Path, requests: Arrays, answers: Arrays) -> None:
    """Asks a clean process the `requests` and compares with `answers`.

    Equation: codes equal; images and frames within 1 of 255 levels; sounds within 1e-3 of full scale;
    |log p - log p'| <= 1e-4 max(1, |log p|), and so for the terms of the bound.

    Raises: UserError that names the signature and what differed.
    """
    given = answers_of_clean_process(model, requests)
    for signature, outputs in answers.items():
        for output, ours in outputs.items():
            difference = _difference(output, np.asarray(ours), given.get(f"{signature}/{output}"))
            if difference:
                raise UserError(
                    f"The export was not written: loaded in a clean process, its signature {signature!r} gives another "
                    f"{output!r} than the model in hand ({difference}); the run is unharmed, please report this."
                )


def answers_of_clean_process(model: Path, requests: Arrays) -> dict[str, np.ndarray]:
    """`<signature>/<output>` -> array, from a process with TensorFlow, the SavedModel and nothing of this package."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "requests.npz", Path(folder) / "answers.npz"
        np.savez(asked, **{f"{signature}/{name}": v for signature, a in requests.items() for name, v in a.items()})
        script = Path(__file__).resolve().with_name("clean_process.py")
        command = [sys.executable, "-I", str(script), str(model.resolve()), str(asked), str(answered)]
        # On the CPU, because the calling process may hold the GPU's memory.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise UserError(
                f"The export was not written: a clean process was silent for {TIMEOUT:g} s; try again."
            ) from error
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise UserError(f"The export was not written: a clean process could not run it ({last}).")
        with np.load(answered, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}


def _difference(output: str, ours: np.ndarray, theirs: np.ndarray | None) -> str:
    """What differs in words; empty if nothing does."""
    if theirs is None or theirs.shape != ours.shape or theirs.dtype != ours.dtype:
        got = "none" if theirs is None else f"{theirs.dtype} {theirs.shape}"
        return f"{got} instead of {ours.dtype} {ours.shape}"
    if output in ("image", "video"):
        worst = int(np.max(np.abs(ours.astype(int) - theirs.astype(int)), initial=0))
        return f"up to {worst} levels" if worst > IMAGE_LEVELS else ""
    if output == "audio":
        gap = float(np.max(np.abs(ours - theirs), initial=0))
        return f"up to {gap:.2g}" if not gap <= AUDIO_TOLERANCE else ""
    if output in ("log_prob", "distortion", "rate"):
        error = np.abs(ours - theirs) / np.maximum(1.0, np.abs(ours))
        return "" if np.all(error <= LOG_PROB_TOLERANCE) else f"by up to {np.max(error):.2g} relative"
    unequal = int(np.sum(ours != theirs))
    return f"{unequal} of {ours.size} values" if unequal else ""
