"""The next picture that is to be expected: trained beside the dynamics of a video run, what its consensus aims at."""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.build_options import foresight_options
from vq_vae_tf.build_prior import build_foresight
from vq_vae_tf.codes import CodeData, open_codes
from vq_vae_tf.dynamics import Foresight
from vq_vae_tf.pipeline.camera import learned_camera
from vq_vae_tf.pipeline.imagining import code_squares, of_one_size, transitions
from vq_vae_tf.pipeline.loading import load_vqvae, trained
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.progress import shown
from vq_vae_tf.training.loop import train
from vq_vae_tf.training.result import load_weights, read_result
from vq_vae_tf.training.source import check_source, claim_source
from vq_vae_tf.training.strategies import is_chief

_PICTURES = 32  # at a time


def train_foresight(run: Run, codes: CodeData, strategy: tf.distribute.Strategy) -> str:
    """Trains it on the codes: codes/, prior/camera.npz -> foresight/. Raises: UserError as training does."""
    check_source(run.foresight, codes.manifest.model_digest)
    if read_result(run.foresight) is not None:
        return f"foresight already in {run.foresight}"
    config, chief = run.config, is_chief(strategy)
    squares = code_squares(load_vqvae(run)[0])
    camera = learned_camera(run, squares, chief)

    def started() -> Foresight:
        model = build_foresight(config, codes.manifest, config.run.precision)
        model.show(squares, camera)
        claim_source(run.foresight, codes.manifest.model_digest, write=chief)
        return model

    seed = config.run.seed + 2
    result = train(
        started,
        lambda **where: transitions(codes, config.video.past_frames, seed=seed, **where),
        foresight_options(config),
        run.foresight,
        seed=seed,
        strategy=strategy,
        title="foresight",
    )
    return f"foresight trained for {result.steps} steps, weights in {run.foresight}"


def load_foresight(run: Run) -> Foresight | None:
    """The trained one in float32; None if the run has none. Raises: UserError for one over another model's codes."""
    if read_result(run.foresight) is None:
        return None
    digest = trained(run.vqvae, "vqvae").digest
    check_source(run.foresight, digest)
    model = build_foresight(run.config, open_codes(run.codes, digest).manifest)
    load_weights(model, run.foresight)
    return model


def expected_films(
    foresight: Foresight | None, past: np.ndarray, actions: np.ndarray, codings: np.ndarray
) -> np.ndarray | None:
    """The mean over futures of the picture that each expects after its own past: float32 `[n, time, height, width, 3]`.

    Args:
        foresight: None: nothing is expected, and there are no such films.
        past: codes `[n, context, h, w]` of the frames given.
        actions: `[n, context - 1 + time]`, as for `imagine`.
        codings: `[futures, n, time, h, w]`.
    """
    if foresight is None:
        return None
    context, time, expect = past.shape[1], codings.shape[2], _compiled(foresight)
    taken = _windows(actions, context, time)

    def after(future: np.ndarray) -> np.ndarray:
        before = _windows(np.concatenate([past, future], axis=1), context, time)
        parts = of_one_size(len(before), _PICTURES)
        made = [expect(*(tf.constant(a[rows], tf.int32) for a in (before, taken))).numpy() for rows in parts]
        return np.concatenate(made)[: len(before)]

    pictures = reduce(np.add, map(after, shown(codings, "expected"))) / len(codings)
    return pictures.reshape(len(past), time, *pictures.shape[1:])


def _windows(values: np.ndarray, context: int, time: int) -> np.ndarray:
    """`[n, context - 1 + time or more, ...]` -> what lies before each frame, `[n * time, context, ...]`."""
    each = np.stack([values[:, t : t + context] for t in range(time)], axis=1)
    return each.reshape(-1, *each.shape[2:])


@lru_cache(maxsize=2)
def _compiled(foresight: Foresight) -> Any:
    @tf.function(autograph=False)
    def expect(past: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        return foresight({"past": past, "actions": actions})

    return expect
