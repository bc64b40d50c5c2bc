"""Training by plain `compile` and `fit` on any Keras backend, of a model that was packed into a folder.

    KERAS_BACKEND=jax python -m vq_vae_tf.plain_fit RUN/handover

Needs Keras and a backend, no TensorFlow. `vq_vae_tf.pipeline.handover` packs the folder and takes the weights back.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from keras import ops

from vq_vae_tf import autoregressive_decoder, hierarchy, joint, quantizers, second_stage, vqvae
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import save_weights, sha256_of, write_json
from vq_vae_tf.modalities.image import decoder, encoder, likelihood

MODEL, DATA, OPTIONS = "model.keras", "x.npy", "options.json"
WEIGHTS, RESULT = "fitted.weights.h5", "fitted.json"
LOADABLE = (autoregressive_decoder, hierarchy, joint, quantizers, second_stage, vqvae, decoder, encoder, likelihood)
"""Imported so that Keras finds the classes in a .keras file."""


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of `vq_vae_tf.training.optimizer.learning_rate`: a warm-up, then constant, cosine or linear."""

    def __init__(self, steps: int, learning_rate: float, schedule: str, warmup_steps: int) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "steps": steps, "learning_rate": learning_rate, "schedule": schedule, "warmup_steps": warmup_steps,
        }  # fmt: skip

    def __call__(self, step: Any) -> Any:
        """The rate of the update after `step` updates."""
        peak, warmup, steps = (float(self.arguments[n]) for n in ("learning_rate", "warmup_steps", "steps"))
        done = ops.cast(step, "float32")
        progress = ops.clip((done - warmup) / max(steps - warmup, 1.0), 0.0, 1.0)
        shapes = {"cosine": 0.5 * (1.0 + ops.cos(math.pi * progress)), "linear": 1.0 - progress}
        factor = shapes.get(str(self.arguments["schedule"]), ops.ones_like(progress))
        return peak * ops.where(done < warmup, (done + 1.0) / max(warmup, 1.0), factor)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return self.arguments


def fit_packed(folder: str | Path, verbose: int = 2) -> dict[str, Any]:
    """Trains what was packed into `folder`; writes the weights and then fitted.json, which it returns.

    Batches are drawn epoch by epoch without replacement; they are not those of `bin/train`.

    Raises:
        UserError: the folder holds nothing packed or cannot be written, or the loss is not finite.
    """
    folder = Path(folder)
    try:
        options = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
        x = np.load(folder / DATA, mmap_mode="r")
        model = keras.saving.load_model(folder / MODEL)
        batch_size = int(options["batch_size"])
    except (OSError, ValueError, EOFError, KeyError, TypeError, BadZipFile) as error:
        raise UserError(f"{folder} holds no packed model ({error}); pack one first.") from error
    if batch_size > len(x):
        raise UserError(f"--batch_size={batch_size} is more than the {len(x)} images of {folder}; pack it with fewer.")
    keras.utils.set_random_seed(options["seed"])
    rate = Schedule(**{n: options[n] for n in ("steps", "learning_rate", "schedule", "warmup_steps")})
    optimizer = keras.optimizers.Adam(rate, epsilon=1e-8, global_clipnorm=options["clip_norm"] or None)
    shown = math.gcd(options["steps"], 1000)
    model.compile(optimizer, jit_compile=options["jit"], steps_per_execution=math.gcd(shown, 50))
    started = time.time()
    batches = _batches(x, batch_size, options["seed"])
    history = model.fit(
        batches, steps_per_epoch=shown, epochs=options["steps"] // shown, shuffle=False, verbose=verbose
    )
    loss = float(history.history["loss"][-1])
    if not math.isfinite(loss):
        raise UserError(f"The loss in {folder} is not finite; pack it again with a smaller --learning_rate.")
    seconds = round(time.time() - started, 3)
    try:
        with tempfile.TemporaryDirectory(prefix=".partial.", dir=folder) as beside:
            partial = Path(beside) / WEIGHTS
            save_weights(model, partial)
            partial.replace(folder / WEIGHTS)
        result = {"loss": loss, "seconds": seconds, "sha256": sha256_of(folder / WEIGHTS)}
        write_json(folder / RESULT, result)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); make room, and train it again.") from error
    return result


def _batches(x: np.ndarray, batch_size: int, seed: int) -> Iterator[tuple[np.ndarray]]:
    """Endless; the last rows of an epoch that do not fill a batch are left out of it."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(len(x))
        for start in range(0, len(x) - batch_size + 1, batch_size):
            yield (np.ascontiguousarray(x[np.sort(order[start : start + batch_size])]),)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("plain_fit: give the one folder that was packed: python -m vq_vae_tf.plain_fit RUN/handover")
    try:
        print(f"plain_fit: {fit_packed(sys.argv[1])}", file=sys.stderr)
    except UserError as error:
        print(f"plain_fit: {error}", file=sys.stderr)
        sys.exit(2)
