"""Every number of a video run, measured on held-out walks and on maps never trained on."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.codes import CodeData
from vq_vae_tf.dynamics import Dynamics, Foresight
from vq_vae_tf.evaluation.codebook import code_counts, codebook_use
from vq_vae_tf.evaluation.reconstruction import reconstruction_scores
from vq_vae_tf.evaluation.rollouts import frame_scores, gradient_energy, sideways, spread
from vq_vae_tf.pipeline.consensus import consensus_films
from vq_vae_tf.pipeline.decoding import decoder
from vq_vae_tf.pipeline.foresight import expected_films, load_foresight
from vq_vae_tf.pipeline.imagining import BATCH, SEEDS, Windows, decoded, futures, imagine, windows
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.scoring import check_writable, write_scores
from vq_vae_tf.pipeline.video_report import video_report
from vq_vae_tf.vqvae import VQVAE

UNSEEN = "unseen"
"""The split of places that no training example is of, scored beside the one that is asked for."""
SHOWN = 4
FRAMES_SCORED = 64  # at a time, for log p
TURNING_FRAMES = 4
_LEFT, _RIGHT = "left", "right"


def evaluate_video(run: Run, vqvae: VQVAE, dynamics: Any, codes: CodeData | None) -> str:
    """Writes evaluation.json and report.html; returns what to tell the user.

    Raises: UserError for an empty split, or a folder that cannot be written.
    """
    check_writable(run)
    split = run.scored_split()
    of_frames, counts = _frame_vqvae(run, vqvae, split)
    scores = {"split": split, **of_frames}
    told = f"frames PSNR {scores['psnr']:.2f} dB, perplexity {scores['perplexity']:.1f}"
    films: dict[str, np.ndarray] = {}
    if dynamics is not None and codes is not None:
        mean, foresight = _mean_frame(run), load_foresight(run)
        scores["rollouts"] = {}
        for name in [split, *([UNSEEN] if run.data.sizes.get(UNSEEN) and split != UNSEEN else [])]:
            scored, shown = _rollouts(run, vqvae, dynamics, foresight, codes, name, mean)
            scores["rollouts"][name] = scored
            films |= {name: shown}
        scores["rollout_frames_per_second"] = _speed(run, vqvae, dynamics, codes, split)
        first = scores["rollouts"][split]
        one, agreed = (first[n]["psnr"][0] - first["copy_last"]["psnr"][0] for n in ("rollout", "consensus"))
        told += f", first imagined frame {one:+.2f} dB over the last given one, the consensus {agreed:+.2f} dB"
    write_scores(run, scores, video_report(run, scores, counts, films))
    return f"{told}; open {run.report}"


def _frame_vqvae(run: Run, vqvae: VQVAE, split: str) -> tuple[dict[str, Any], np.ndarray]:
    """How well single frames are coded; and how often each code occurs."""
    size = run.config.evaluation.eval_batch_size
    encode = tf.function(lambda batch: {"codes": vqvae.encode(batch["x"])}, reduce_retracing=True, autograph=False)
    quantizer = vqvae.quantizer
    counts = code_counts(map(encode, run.data.examples(split, size)), quantizer.num_codes, quantizer.num_codebooks)
    use = codebook_use(counts)
    frames = run.data.examples(split, size)
    found = reconstruction_scores(
        lambda batch: decoder(vqvae)(encode(batch)["codes"]), frames, run.config.model.data_variance
    )
    scores = {
        "num_frames": found.num_examples,
        "normalised_mse": found.normalized_mse,
        "psnr": found.psnr,
        "ssim": found.ssim,
        "perplexity": use.perplexity,
        "codes_in_use": use.codes_in_use,
        "unigram_bits_per_code": use.entropy_bits,
    }
    return scores, counts


def _mean_frame(run: Run) -> np.ndarray:
    total, count = np.zeros(run.data.image_shape), 0
    for batch in run.data.examples("train", 500):
        total, count = total + batch["x"].numpy().sum(0, dtype=np.int64), count + len(batch["x"])
    return total / count


def _rollouts(
    run: Run,
    vqvae: VQVAE,
    dynamics: Dynamics,
    foresight: Foresight | None,
    codes: CodeData,
    split: str,
    mean: np.ndarray,
) -> tuple[dict[str, Any], np.ndarray]:
    """The scores of a split; and films to look at, uint8 `[SHOWN, 5, time, height, width, 3]`."""
    video, variance = run.config.video, run.config.model.data_variance
    given = windows(run.data, codes, split, video.past_frames, video.future_frames)
    draw = Draw(run.config.run.seed, run.config.evaluation.temperature)
    imagined, together, expected, agreed, spread_over_seeds = _futures(vqvae, dynamics, foresight, given, draw)
    truth, ceiling = given.truth, decoded(vqvae, given.codes[:, given.past :])
    last = np.broadcast_to(given.x[:, given.past - 1 : given.past], truth.shape)
    candidates = {
        "rollout": imagined,
        "consensus": agreed,
        "mean_of_rollouts": together,
        **({} if expected is None else {"expected": expected}),
        "copy_last": last,
        "mean_frame": np.broadcast_to(mean, truth.shape),
        "reconstruction": ceiling,
    }
    scores: dict[str, Any] = {"num_windows": len(truth)}
    scores |= {name: frame_scores(truth[:, : films.shape[1]], films, variance) for name, films in candidates.items()}
    scores["bits_per_frame"] = _bits(dynamics, given, run.config.run.seed)
    real = gradient_energy(truth)
    sharp = ("rollout", "consensus", "reconstruction")
    scores["gradient_energy"] = {name: gradient_energy(candidates[name]) / real for name in sharp}
    scores["spread_over_seeds"] = spread_over_seeds
    if {_LEFT, _RIGHT} <= set(run.data.action_names) and dynamics.past.num_actions:
        scores["turning"] = _turning(run, vqvae, dynamics, given, draw)
    return scores, np.stack([truth, ceiling, imagined, agreed, last], axis=1)[:SHOWN]


def _bits(dynamics: Dynamics, given: Windows, seed: int) -> dict[str, float]:
    """Bits of a frame under the dynamics, with the action that leads to it and with that of another frame.

    Shuffled is the last action only: those of the past can be seen in its frames.
    """
    log_prob = tf.function(dynamics.log_prob, reduce_retracing=True, autograph=False)
    future = given.truth.shape[1]
    past = np.stack([given.codes[:, t : t + given.past] for t in range(future)], axis=1)
    past = past.reshape(-1, *past.shape[2:])
    frames = given.codes[:, given.past :].reshape(-1, *given.codes.shape[2:])
    true = np.stack([given.between[:, t : t + given.past] for t in range(future)], axis=1).reshape(-1, given.past)
    shuffled = true.copy()
    shuffled[:, -1] = np.random.default_rng(seed).permutation(true[:, -1])
    bits = {}
    for name, actions in (("true", true), ("shuffled", shuffled)):
        nats = [
            log_prob(frames[i : i + FRAMES_SCORED], {"past": past[i : i + FRAMES_SCORED], "actions": part}).numpy()
            for i, part in ((i, actions[i : i + FRAMES_SCORED]) for i in range(0, len(frames), FRAMES_SCORED))
        ]
        bits[name] = float(-np.concatenate(nats).mean(dtype=np.float64) / math.log(2.0))
    return bits


def _futures(
    vqvae: VQVAE, dynamics: Dynamics, foresight: Foresight | None, given: Windows, draw: Draw
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray, list[float]]:
    """Of each window a future, the mean of SEEDS, what is expected after each of those, in the mean, and their
    consensus; and how far they are apart (first windows)."""
    past, before = given.codes[:, : given.past], given.x[:, : given.past]
    codings = futures(dynamics, past, given.between, draw, SEEDS)
    drawn = np.stack([decoded(vqvae, each) for each in codings])
    expected = expected_films(foresight, before, past, given.between, codings)
    agreed = consensus_films(vqvae, codings, before, expected)
    return drawn[0], drawn.mean(axis=0, dtype=np.float32), expected, agreed, spread(drawn[:, :BATCH])


def _turning(run: Run, vqvae: VQVAE, dynamics: Dynamics, given: Windows, draw: Draw) -> dict[str, Any]:
    """Pixels a frame by which the picture moves to the right while one turns: turning left moves it so."""
    chosen = slice(0, 2 * BATCH)
    past = given.codes[chosen, : given.past]
    shifts, before = {}, given.between[chosen, : given.past - 1]
    for name in (_LEFT, _RIGHT):
        turns = np.full((len(past), min(TURNING_FRAMES, given.truth.shape[1])), run.data.action_names.index(name))
        actions = np.concatenate([before, turns], axis=1)
        imagined = imagine(dynamics, past, actions, draw)
        shifts[name] = sideways(decoded(vqvae, np.concatenate([past[:, -1:], imagined], axis=1)))
    return {
        "left_pixels": float(shifts[_LEFT].mean()),
        "right_pixels": float(shifts[_RIGHT].mean()),
        "opposite": float(np.mean((shifts[_LEFT] > 0) & (shifts[_RIGHT] < 0))),
        "real_left_pixels": _real_shift(run, given, _LEFT),
        "real_right_pixels": _real_shift(run, given, _RIGHT),
    }


def _real_shift(run: Run, given: Windows, name: str) -> float | None:
    """The same of true frames between which this action was taken; None if it never was."""
    window, step = np.nonzero(given.actions[:, :-1] == run.data.action_names.index(name))
    if not len(window):
        return None
    pairs = np.stack([given.x[window, step], given.x[window, step + 1]], axis=1)
    return float(sideways(pairs).mean())


def _speed(run: Run, vqvae: VQVAE, dynamics: Dynamics, codes: CodeData, split: str) -> float:
    """Imagined and decoded frames a second: the first rollouts again, of the size that is compiled already."""
    given = windows(run.data, codes, split, run.config.video.past_frames, run.config.video.future_frames)
    past, actions = given.codes[:BATCH, : given.past], given.between[:BATCH]
    started = time.perf_counter()
    decoded(vqvae, imagine(dynamics, past, actions, Draw(run.config.run.seed)))
    return len(past) * given.truth.shape[1] / (time.perf_counter() - started)
