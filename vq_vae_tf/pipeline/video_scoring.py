"""Every number of a video run, measured on held-out walks and on maps never trained on, and the page about them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.codes import CodeData
from vq_vae_tf.dynamics import Dynamics
from vq_vae_tf.evaluation.codebook import code_counts, codebook_use
from vq_vae_tf.evaluation.films import contact_grid, film, side_by_side
from vq_vae_tf.evaluation.grids import encode_png
from vq_vae_tf.evaluation.reconstruction import reconstruction_scores
from vq_vae_tf.evaluation.report import Number, Report, Row, Section, Table, counted
from vq_vae_tf.evaluation.rollouts import frame_scores, gradient_energy, most_typical, sideways, spread
from vq_vae_tf.evaluation.sections import codebook_section, sharp
from vq_vae_tf.pipeline.decoding import decoder
from vq_vae_tf.pipeline.imagining import BATCH, Windows, decoded, futures, imagine, windows
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.scoring import check_writable, closing_sections, page_facts, write_scores
from vq_vae_tf.vqvae import VQVAE

UNSEEN = "unseen"
"""The split of places that no training example is of, scored beside the one that is asked for."""
SHOWN = 4
SEEDS = 16
"""Futures drawn of each window."""
FRAMES_SCORED = 64  # at a time, for log p
TURNING_FRAMES = 4
_LEFT, _RIGHT = "left", "right"

TOGETHER = f"The mean of {SEEDS} futures drawn for each window: a guess at the expected frame, not a picture of one."
TYPICAL = (
    f"Of {SEEDS} futures the quarter as sharp as the frames given, and of these the one nearest to the mean of all."
)
LAST = "The last given frame, again and again."
MEAN = "The mean of all training frames."
CEILING = "The true frames, encoded and decoded: what a prediction without any error would score."
SHUFFLED = "The same frames, each scored as if the action of another one had led to it."
ENERGY = "Mean squared difference of neighbouring pixels over that of the true frames: 1 is as sharp, a blur is below."
SPREAD = "Standard deviation over seeds of a pixel, in grey levels of 255: how much of a frame is left open."


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
        mean = _mean_frame(run)
        scores["rollouts"] = {}
        for name in [split, *([UNSEEN] if run.data.sizes.get(UNSEEN) and split != UNSEEN else [])]:
            scored, shown = _rollouts(run, vqvae, dynamics, codes, name, mean)
            scores["rollouts"][name] = scored
            films |= {name: shown}
        scores["rollout_frames_per_second"] = _speed(run, vqvae, dynamics, codes, split)
        first = scores["rollouts"][split]
        gain = first["rollout"]["psnr"][0] - first["copy_last"]["psnr"][0]
        told += f", first imagined frame {gain:+.2f} dB over the last given one"
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
    run: Run, vqvae: VQVAE, dynamics: Dynamics, codes: CodeData, split: str, mean: np.ndarray
) -> tuple[dict[str, Any], np.ndarray]:
    """The scores of a split; and films to look at, uint8 `[SHOWN, 4, time, height, width, 3]`."""
    video, variance = run.config.video, run.config.model.data_variance
    given = windows(run.data, codes, split, video.past_frames, video.future_frames)
    draw = Draw(run.config.run.seed, run.config.evaluation.temperature)
    imagined, together, typical, spread_over_seeds = _futures(vqvae, dynamics, given, draw)
    truth, ceiling = given.truth, decoded(vqvae, given.codes[:, given.past :])
    last = np.broadcast_to(given.x[:, given.past - 1 : given.past], truth.shape)
    candidates = {
        "rollout": imagined,
        "typical_rollout": typical,
        "mean_of_rollouts": together,
        "copy_last": last,
        "mean_frame": np.broadcast_to(mean, truth.shape),
        "reconstruction": ceiling,
    }
    scores: dict[str, Any] = {"num_windows": len(truth)}
    scores |= {name: frame_scores(truth, films, variance) for name, films in candidates.items()}
    scores["bits_per_frame"] = _bits(dynamics, given, run.config.run.seed)
    real = gradient_energy(truth)
    sharp = ("rollout", "typical_rollout", "reconstruction")
    scores["gradient_energy"] = {name: gradient_energy(candidates[name]) / real for name in sharp}
    scores["spread_over_seeds"] = spread_over_seeds
    if {_LEFT, _RIGHT} <= set(run.data.action_names) and dynamics.past.num_actions:
        scores["turning"] = _turning(run, vqvae, dynamics, given, draw)
    return scores, np.stack([truth, ceiling, imagined, last], axis=1)[:SHOWN]


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
    vqvae: VQVAE, dynamics: Dynamics, given: Windows, draw: Draw
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[float]]:
    """Of each window a future, the mean of SEEDS, their most typical; and how far they are apart (first windows)."""
    drawn = futures(vqvae, dynamics, given.codes[:, : given.past], given.between, draw, SEEDS)
    together = drawn.mean(axis=0, dtype=np.float32)
    return drawn[0], together, most_typical(drawn, given.x[:, : given.past]), spread(drawn[:, :BATCH])


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
    """Imagined and decoded frames a second, `BATCH` rollouts at a time, after the first call has compiled."""
    given = windows(run.data, codes, split, run.config.video.past_frames, run.config.video.future_frames)
    past, actions = (np.resize(a, (BATCH, *a.shape[1:])) for a in (given.codes[:, : given.past], given.between))
    started = time.perf_counter()
    decoded(vqvae, imagine(dynamics, past, actions, Draw(run.config.run.seed)))
    return BATCH * given.truth.shape[1] / (time.perf_counter() - started)


def video_report(run: Run, scores: Mapping[str, Any], counts: np.ndarray, films: Mapping[str, np.ndarray]) -> Report:
    """The page about the run; counts: of codes, see `code_counts`."""
    sections = [section for name in films for section in _film_sections(name, scores["rollouts"][name], films[name])]
    rows = [
        Row("PSNR", [scores["psnr"]], "dB", "", 2),
        Row("SSIM", [scores["ssim"]]),
        Row("normalised MSE", [scores["normalised_mse"]], "", "Mean squared error over the variance of the data.", 4),
        Row("frames", [scores["num_frames"]]),
    ]
    sections.append(Section("Single frames, coded and decoded", [Table([scores["split"]], rows)]))
    sections.append(codebook_section(counts, scores["split"]))
    headline = [Number("frame PSNR", scores["psnr"], "dB", CEILING, 2)]
    if films:
        first = scores["rollouts"][scores["split"]]
        gain = [a - b for a, b in zip(first["rollout"]["psnr"], first["copy_last"]["psnr"], strict=True)]
        headline += [
            Number("over copy-last, frame 1", gain[0], "dB", LAST, 2),
            Number(f"over copy-last, frame {len(gain)}", gain[-1], "dB", LAST, 2),
            Number("sharpness", first["gradient_energy"]["rollout"], "", ENERGY, 2),
            Number("rollouts", scores["rollout_frames_per_second"], "frames/s", "", 0),
        ]
    video = run.config.video
    imagined = counted(video.future_frames, "frame")
    subtitle = f"{run.data.name}: {imagined} imagined after {video.past_frames}, in the space of codes"
    sections += closing_sections(run)
    return Report(run.directory.name, subtitle, headline, sections, "VQ-VAE · video", page_facts(run))


def _film_sections(name: str, scores: Mapping[str, Any], films: np.ndarray) -> list[Section]:
    """Films to see, then the tables; films `[SHOWN, 4, time, height, width, 3]`."""
    order = "truth, reconstruction, imagined, last frame"
    shown: list[Any] = []
    for number, each in enumerate(films, 1):
        moving, sheet = side_by_side(list(each)), contact_grid(each)
        shown.append(sharp(film(moving), moving.shape[2], f"{number}: {order}", f"{number}, moving: {order}"))
        shown.append(sharp(encode_png(sheet), sheet.shape[1], f"frames of film {number}", f"From the top: {order}."))
    count = len(scores["rollout"]["psnr"])
    columns = [str(t) for t in range(1, count + 1)]
    return [
        Section(f"Films: {name}", shown, f"Shown: {len(films)} of {counted(scores['num_windows'], 'scored window')}."),
        Section(f"Frame by frame: {name}", [_per_frame(scores, columns, kind) for kind in ("psnr", "ssim")]),
        Section(f"Actions, sharpness, diversity: {name}", [_singles(scores), _spread_table(scores, columns)]),
    ]


def _per_frame(scores: Mapping[str, Any], columns: Sequence[str], kind: str) -> Table:
    meanings = {
        "rollout": "",
        "typical_rollout": TYPICAL,
        "mean_of_rollouts": TOGETHER,
        "copy_last": LAST,
        "mean_frame": MEAN,
        "reconstruction": CEILING,
    }
    unit, digits = ("dB", 2) if kind == "psnr" else ("", 3)
    rows = [Row(n.replace("_", " "), scores[n][kind], unit, meaning, digits) for n, meaning in meanings.items()]
    return Table(columns, rows, f"{kind.upper()} by frame")


def _singles(scores: Mapping[str, Any]) -> Table:
    bits, energy, turning = scores["bits_per_frame"], scores["gradient_energy"], scores.get("turning")
    rows = [
        Row("actions taken", [bits["true"]], "bits/frame", "-log2 p of the true next frame's codes.", 1),
        Row("actions shuffled", [bits["shuffled"]], "bits/frame", SHUFFLED, 1),
        Row("gradient energy, imagined", [energy["rollout"]], "", ENERGY),
        Row("gradient energy, typical", [energy["typical_rollout"]], "", ENERGY),
        Row("gradient energy, reconstructed", [energy["reconstruction"]], "", ENERGY),
    ]
    if turning:
        rows += [
            Row("turning left moves the picture", [turning["left_pixels"]], "pixels right a frame", "", 2),
            Row("true frames do", [turning["real_left_pixels"]], "pixels right a frame", "", 2),
            Row("turning right moves the picture", [turning["right_pixels"]], "pixels right a frame", "", 2),
            Row("true frames do", [turning["real_right_pixels"]], "pixels right a frame", "", 2),
            Row("windows where both go the right way", [turning["opposite"]], "of 1"),
        ]
    return Table(["value"], rows)


def _spread_table(scores: Mapping[str, Any], columns: Sequence[str]) -> Table:
    return Table(columns, [Row("spread over seeds", scores["spread_over_seeds"], "", SPREAD, 1)])
