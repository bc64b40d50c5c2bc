"""Codes of clips, and rollouts from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.batches import ArrayStore, Batch, training_batches
from vq_vae_tf.codes import CodeData, CodeManifest, open_codes, write_codes
from vq_vae_tf.dynamics import Dynamics
from vq_vae_tf.errors import UserError
from vq_vae_tf.evaluation.reconstruction import as_served
from vq_vae_tf.modalities.video.source import VideoData
from vq_vae_tf.pipeline.decoding import decoder
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.sampling import seed_tensor
from vq_vae_tf.progress import shown
from vq_vae_tf.vqvae import VQVAE

ACTIONS = "actions"
"""Where in a folder of codes the actions lie: codes of another kind, in the same format."""
_CLIPS = 8  # encoded at a time
_DIGITS = 4  # of a number of frames
BATCH = 32
"""Rollouts at a time, at most: the compiled loop is made for one size."""
SEEDS = 16
"""Futures drawn of each window that is scored."""


def write_video_codes(vqvae: VQVAE, digest: str, data: VideoData, directory: Path) -> CodeManifest:
    """Codes of every clip `[time, h, w]` into a directory, after its actions `[time]` into one inside it.

    The class names of both manifests are the names of the actions; the codes say which film or folder each clip is of.
    """
    encode = tf.function(vqvae.encode, reduce_retracing=True, autograph=False)
    splits = [split for split, size in data.sizes.items() if size]
    z_shape = vqvae.encoder.compute_output_shape((None, *data.image_shape))
    grid = tuple(vqvae.quantizer.code_shape(tuple(z_shape[1:])))
    shared: dict[str, Any] = {"class_names": data.action_names, "num_labels": 0, "model_digest": digest}

    def coded(split: str) -> Any:
        batches = -(-(data.sizes[split] // data.clip_length) // _CLIPS)
        for batch in shown(data.clips(split, _CLIPS), f"encode {split}", batches):
            codes = encode(tf.reshape(batch["x"], (-1, *data.image_shape))).numpy()
            yield {"codes": codes.reshape(-1, data.clip_length, *grid)}

    write_codes(
        directory / ACTIONS,
        {split: [{"codes": data.actions[split]}] for split in splits},
        num_codes=max(len(data.action_names), 1),
        code_shape=(data.clip_length,),
        **shared,
    )
    return write_codes(
        directory,
        {split: coded(split) for split in splits},
        num_codes=vqvae.quantizer.num_codes,
        code_shape=(data.clip_length, *grid),
        num_codebooks=vqvae.quantizer.num_codebooks,
        names=data.clip_names,
        **shared,
    )


def codes_and_actions(codes: CodeData, split: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Of every clip of a split, in its order: `[clips, time, h, w]` and `[clips, time]`, in the dtype of storage."""
    actions = open_codes(codes.directory / ACTIONS, codes.manifest.model_digest)
    return codes.store(split).arrays["codes"], actions.store(split).arrays["codes"]


def transitions(codes: CodeData, past_frames: int, batch_size: int, seed: int, **where: Any) -> tf.data.Dataset:
    """Endless batches of frames with their past and its actions: what `Dynamics` trains on.

    The batch of step s depends on (seed, s) only. Every frame of every clip that has `past_frames` before it comes
    once an epoch.
    """
    moments, known = moments_of(codes, past_frames)
    return training_batches(moments, batch_size, seed, **where).map(lambda batch: known(batch["frame"]))


def moments_of(codes: CodeData, past_frames: int) -> tuple[ArrayStore, Callable[[tf.Tensor], Batch]]:
    """The training frames that have `past_frames` before them, as numbers "frame"; and what codes say of such numbers.

    That is int32 "codes" `[batch, h, w]`, "past" `[batch, past_frames, h, w]` and "actions" `[batch, past_frames]`.
    """
    clips, actions = codes_and_actions(codes, "train")
    count, length = clips.shape[:2]
    clip, time = np.divmod(np.arange(count * (length - past_frames)), length - past_frames)
    frames, steps = tf.reshape(clips, (-1, *clips.shape[2:])), tf.reshape(actions, (-1,))

    def known(now: tf.Tensor) -> Batch:
        before = now[:, None] + tf.range(-past_frames, 0, dtype=now.dtype)
        given = {
            "codes": tf.gather(frames, now),
            "past": tf.gather(frames, before),
            "actions": tf.gather(steps, before),
        }
        return {name: tf.cast(value, tf.int32) for name, value in given.items()}

    return ArrayStore.of({"frame": clip * length + time + past_frames}), known


@dataclass(frozen=True)
class Windows:
    """Pieces of clips: frames uint8 `[n, time, height, width, 3]`, codes int32 `[n, time, h, w]`, actions `[n, time]`.

    The first `past` frames are given, the others are to be imagined.
    """

    x: np.ndarray
    codes: np.ndarray
    actions: np.ndarray
    past: int

    @property
    def truth(self) -> np.ndarray:
        """The frames to be imagined."""
        return self.x[:, self.past :]

    @property
    def between(self) -> np.ndarray:
        """The actions between the frames, `[n, time - 1]`: what a rollout is given."""
        return self.actions[:, :-1]


def windows(data: VideoData, codes: CodeData, split: str, past: int, future: int) -> Windows:
    """Every clip of a split cut into pieces of past + future frames that do not overlap."""
    length = past + future
    x = np.concatenate([batch["x"].numpy() for batch in data.clips(split, _CLIPS)])
    coded, actions = (np.asarray(part).astype(np.int32) for part in codes_and_actions(codes, split))
    each = x.shape[1] // length

    def cut(values: np.ndarray) -> np.ndarray:
        return values[:, : each * length].reshape(-1, length, *values.shape[2:])

    return Windows(cut(x), cut(coded), cut(actions), past)


def imagine(dynamics: Dynamics, past: np.ndarray, actions: np.ndarray, draw: Draw) -> np.ndarray:
    """Codes `[n, future, h, w]` of imagined frames, in one compiled graph, `BATCH` rollouts at a time or all, if fewer.

    What is drawn in a row of a batch does not depend on how many there are.
    """
    loop = _compiled(dynamics, draw.top_k, draw.top_p)
    seed, temperature = seed_tensor(draw.seed), tf.constant(draw.temperature, tf.float32)
    made = [
        loop(*(tf.constant(a[rows], tf.int32) for a in (past, actions)), seed, temperature).numpy()
        for rows in of_one_size(len(past), BATCH)
    ]
    return np.concatenate(made)[: len(past)]


def of_one_size(count: int, most: int) -> list[np.ndarray]:
    """Rows of batches that are all of one size, `most` or all, for what is compiled: the last is filled up."""
    size = min(most, count)
    return [np.arange(first, first + size) % count for first in range(0, count, size)]


@lru_cache(maxsize=2)
def _compiled(dynamics: Dynamics, top_k: int, top_p: float) -> Callable[..., tf.Tensor]:
    @tf.function(jit_compile=True, autograph=False)
    def loop(past: tf.Tensor, actions: tf.Tensor, seed: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        return dynamics.rollout(past, actions, seed, temperature, top_k, top_p)

    return loop


def decoded(vqvae: VQVAE, codes: np.ndarray) -> np.ndarray:
    """Codes `[n, time, h, w]` -> frames uint8 `[n, time, height, width, 3]`, clip by clip of `_CLIPS`."""
    decode, flat = decoder(vqvae), codes.reshape(-1, *codes.shape[2:])
    size = _CLIPS * codes.shape[1]
    frames = [as_served(decode(tf.constant(flat[i : i + size]))) for i in range(0, len(flat), size)]
    made = np.concatenate(frames)
    return made.reshape(*codes.shape[:2], *made.shape[1:])


def futures(dynamics: Dynamics, past: np.ndarray, actions: np.ndarray, draw: Draw, count: int) -> np.ndarray:
    """Codes int32 `[count, n, future, h, w]`: `count` draws, of the seeds from `draw.seed` on."""
    seeds = [(draw.seed + number) % 2**31 for number in range(count)]
    draws = [replace(draw, seed=seed) for seed in seeds]
    return np.stack([imagine(dynamics, past, actions, each) for each in shown(draws, "futures")])


def code_squares(vqvae: VQVAE) -> np.ndarray:
    """What each code looks like: the square at the middle of a map of nothing else, `[num_codes, side, side, 3]`."""
    each = np.arange(vqvae.quantizer.num_codes)[:, None, None, None]
    frames = decoded(vqvae, np.broadcast_to(each, (len(each), 1, 5, 5)))[:, 0]
    side = frames.shape[1] // 5
    return frames[:, 2 * side : 3 * side, 2 * side : 3 * side]


def parse_actions(words: Sequence[str], names: tuple[str, ...]) -> list[int]:
    """Numbers of actions: ("forward*2", "left") -> [0, 0, 3]. Raises: UserError for an unknown one or a bad number."""
    numbers: list[int] = []
    for word in words:
        name, star, times = (part.strip() for part in word.partition("*"))
        if name not in names:
            known = ", ".join(names) or "none, for its data has no actions"
            raise UserError(f"--actions has {name!r}, which this run does not know; it knows {known}.")
        if star and not (times.isdecimal() and len(times) <= _DIGITS and int(times) > 0):
            raise UserError(
                f"--actions has {word!r}; write how often behind a star, a number of at most {_DIGITS} digits, as in "
                f"{name}*10."
            )
        numbers += [names.index(name)] * (int(times) if star else 1)
    return numbers
