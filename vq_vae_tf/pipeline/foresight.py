"""The next picture that is to be expected: trained beside the dynamics of a video run, what its consensus aims at."""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.batches import COIN, Batch, keyed_shuffle, training_batches
from vq_vae_tf.build_options import foresight_options
from vq_vae_tf.build_prior import build_foresight
from vq_vae_tf.codes import CodeData, open_codes
from vq_vae_tf.dynamics import Foresight
from vq_vae_tf.dynamics.foresight import FRAMES
from vq_vae_tf.errors import UserError
from vq_vae_tf.modalities.video.mirror import mirrored_actions
from vq_vae_tf.modalities.video.source import VideoData
from vq_vae_tf.pipeline.camera import learned_camera
from vq_vae_tf.pipeline.imagining import code_squares, moments_of, of_one_size
from vq_vae_tf.pipeline.loading import load_vqvae, trained
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.progress import shown
from vq_vae_tf.training.loop import train
from vq_vae_tf.training.result import load_weights, read_result
from vq_vae_tf.training.source import check_source, claim_source
from vq_vae_tf.training.strategies import is_chief

AHEAD = 2
"""Frames for which what is expected is nearer than the mean of futures by much, on validation walks of ViZDoom."""
_PICTURES = 32  # at a time


def train_foresight(run: Run, codes: CodeData, strategy: tf.distribute.Strategy) -> str:
    """Trains it: frames, codes/, prior/camera.npz -> foresight/. Raises: UserError as training does."""
    check_source(run.foresight, codes.manifest.model_digest)
    if read_result(run.foresight) is not None:
        return f"foresight already in {run.foresight}"
    config, chief = run.config, is_chief(strategy)
    coded, there = codes.sizes["train"] * codes.manifest.code_shape[0], run.data.sizes["train"]
    if coded != there:
        raise UserError(
            f"{run.codes} holds codes of {coded} training frames, but {run.data.name} has {there}; give the data that "
            "was encoded, or train in another --workdir."
        )
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
        lambda **where: seen_transitions(
            run.data, codes, config.video.past_frames, mirrored=config.data.augment, seed=seed, **where
        ),
        foresight_options(config, strategy.num_replicas_in_sync),
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


def seen_transitions(
    data: VideoData, codes: CodeData, past_frames: int, batch_size: int, seed: int, mirrored: bool = False, **where: Any
) -> tf.data.Dataset:
    """Endless batches of frames with those before them, their codes and actions: what `Foresight` trains on.

    Of three in four all frames before are known; of the others, at random, the newest one to all are not, as in
    futures. If `mirrored`, and it can be told what the actions then are (`mirrored_actions`), every other one of those
    whose frames are all known is mirrored: of the others codes would be needed that are not those of the frames.
    The batch of step s depends on (seed, s) only. Every frame of every clip that has `past_frames` before it comes once
    an epoch.
    """
    moments, known = moments_of(codes, past_frames)
    seen = min(FRAMES, past_frames)
    swapped = mirrored_actions(data.action_names) if mirrored else None

    def hidden(rows: tf.Tensor, epochs: tf.Tensor, batch: Batch) -> Batch:
        coin = keyed_shuffle(rows, seed, epochs, COIN, 8 * seen * moments.num_examples)
        count = tf.maximum(coin % (4 * seen) - 3 * seen + 1, 0)
        turned = (coin // (4 * seen) % 2 == 1) & (count == 0) & (swapped is not None)
        return batch | {"hidden": count, "turned": turned}

    def numbers(batch: Batch) -> tf.Tensor:
        return tf.reshape(batch["frame"][:, None] + tf.range(-seen, 1, dtype=tf.int64), (-1,))

    def put_together(batch: Batch, pictures: tf.Tensor) -> Batch:
        coded, newest = known(batch["frame"]), tf.range(seen, 0, -1, dtype=tf.int64)
        actions, turned = coded["actions"], batch["turned"]
        if swapped is not None:
            actions = tf.where(turned[:, None], tf.gather(tf.constant(swapped, actions.dtype), actions), actions)
            pictures = tf.where(turned[:, None, None, None, None], tf.reverse(pictures, [3]), pictures)
        return {
            "frames": pictures[:, :-1],
            "x": pictures[:, -1],
            "known": tf.cast(newest > batch["hidden"][:, None], tf.int32),
            "past": coded["past"],
            "actions": actions,
        }

    batches = training_batches(moments, batch_size, seed, augmentation=hidden, **where)
    rows = batches.map(numbers)
    pictures = (
        data.frames.store("train")
        .fetch(rows, None)
        .map(lambda _, batch: tf.reshape(batch["x"], (-1, seen + 1, *data.image_shape)))
    )
    return tf.data.Dataset.zip(batches, pictures).map(put_together).prefetch(tf.data.AUTOTUNE)


def expected_films(
    foresight: Foresight | None, given: np.ndarray, past: np.ndarray, actions: np.ndarray, codings: np.ndarray
) -> np.ndarray | None:
    """The mean over futures of the picture that each expects after its own past, of the first frames, at most `AHEAD`.

    Returns: float32 `[n, first, height, width, 3]`.

    Args:
        foresight: None: nothing is expected, and there are no such films.
        given: uint8 `[n, context, height, width, 3]`, the frames given.
        past: their codes, `[n, context, h, w]`.
        actions: `[n, context - 1 + time]`, as for `imagine`.
        codings: `[futures, n, time, h, w]`.
    """
    if foresight is None:
        return None
    context, time, expect = past.shape[1], min(codings.shape[2], AHEAD), _compiled(foresight)
    seen = min(FRAMES, context)
    frames = np.concatenate([given[:, -seen:], np.zeros_like(given[:, :1]).repeat(time, axis=1)], axis=1)
    known = np.broadcast_to(np.arange(seen + time) < seen, frames.shape[:2])

    def after(t: int, future: np.ndarray) -> np.ndarray:
        coded = np.concatenate([past, future], axis=1)[:, t : t + context]
        inputs = (frames[:, t : t + seen], known[:, t : t + seen], coded, actions[:, t : t + context])
        parts = of_one_size(len(past), _PICTURES)
        made = [expect(*(tf.constant(a[rows]) for a in inputs)).numpy() for rows in parts]
        return np.concatenate(made)[: len(past)]

    def mean(t: int) -> np.ndarray:
        several = codings if t else codings[:1]  # before the first frame all futures have the same past
        return reduce(np.add, (after(t, future) for future in shown(several, f"expected {t + 1}"))) / len(several)

    return np.stack([mean(t) for t in range(time)], axis=1)


@lru_cache(maxsize=2)
def _compiled(foresight: Foresight) -> Any:
    @tf.function(autograph=False, reduce_retracing=True)
    def expect(frames: tf.Tensor, known: tf.Tensor, past: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        return foresight({"frames": frames, "known": known, "past": past, "actions": actions})

    return expect
