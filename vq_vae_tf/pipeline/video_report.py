"""The page about a video run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vq_vae_tf.evaluation.films import contact_grid, film, side_by_side
from vq_vae_tf.evaluation.grids import encode_png
from vq_vae_tf.evaluation.report import Number, Report, Row, Section, Table, counted
from vq_vae_tf.evaluation.sections import codebook_section, sharp
from vq_vae_tf.pipeline.imagining import SEEDS
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.pipeline.scoring import closing_sections, page_facts

TOGETHER = f"The mean of {SEEDS} futures drawn for each window: a guess at the expected frame, not a picture of one."
CONSENSUS = f"What {SEEDS} futures have in common, put together of their codes, as sharp as the frames given."
EXPECTED = (
    "What a network of pictures expects of the first frames, in the mean over futures: no picture of a frame either."
)
LAST = "The last given frame, again and again."
MEAN = "The mean of all training frames."
CEILING = "The true frames, encoded and decoded: what a prediction without any error would score."
SHUFFLED = "The same frames, each scored as if the action of another one had led to it."
ENERGY = "Mean squared difference of neighbouring pixels over that of the true frames: 1 is as sharp, a blur is below."
SPREAD = "Standard deviation over seeds of a pixel, in grey levels of 255: how much of a frame is left open."


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
        gain = [a - b for a, b in zip(first["consensus"]["psnr"], first["copy_last"]["psnr"], strict=True)]
        headline += [
            Number("consensus over copy-last, frame 1", gain[0], "dB", CONSENSUS, 2),
            Number(f"the same, frame {len(gain)}", gain[-1], "dB", LAST, 2),
            Number("its sharpness", first["gradient_energy"]["consensus"], "", ENERGY, 2),
            Number("rollouts", scores["rollout_frames_per_second"], "frames/s", "", 0),
        ]
    video = run.config.video
    imagined = counted(video.future_frames, "frame")
    subtitle = f"{run.data.name}: {imagined} imagined after {video.past_frames}, in the space of codes"
    sections += closing_sections(run)
    return Report(run.directory.name, subtitle, headline, sections, "VQ-VAE · video", page_facts(run))


def _film_sections(name: str, scores: Mapping[str, Any], films: np.ndarray) -> list[Section]:
    """Films to see, then the tables; films `[SHOWN, 5, time, height, width, 3]`."""
    order = "truth, reconstruction, one future, consensus, last frame"
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
        "consensus": CONSENSUS,
        "mean_of_rollouts": TOGETHER,
        "expected": EXPECTED,
        "copy_last": LAST,
        "mean_frame": MEAN,
        "reconstruction": CEILING,
    }
    unit, digits = ("dB", 2) if kind == "psnr" else ("", 3)
    known = {name: meaning for name, meaning in meanings.items() if name in scores}
    values = {name: [*scores[name][kind], *[None] * (len(columns) - len(scores[name][kind]))] for name in known}
    rows = [Row(n.replace("_", " "), values[n], unit, meaning, digits) for n, meaning in known.items()]
    return Table(columns, rows, f"{kind.upper()} by frame")


def _singles(scores: Mapping[str, Any]) -> Table:
    bits, energy, turning = scores["bits_per_frame"], scores["gradient_energy"], scores.get("turning")
    rows = [
        Row("actions taken", [bits["true"]], "bits/frame", "-log2 p of the true next frame's codes.", 1),
        Row("actions shuffled", [bits["shuffled"]], "bits/frame", SHUFFLED, 1),
        Row("gradient energy, imagined", [energy["rollout"]], "", ENERGY),
        Row("gradient energy, consensus", [energy["consensus"]], "", ENERGY),
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
