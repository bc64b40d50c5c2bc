"""Which temperature to imagine at: PSNR, sharpness and spread of rollouts by temperature, on the validation split.

    python benchmarks/video_temperature.py --workdir=runs/vizdoom_video [--temperatures=0.1,0.3,0.5,0.7,1]

Choose here and give the choice to bin/train as --temperature: the test split takes no part.
"""

from __future__ import annotations

import argparse

import numpy as np

from vq_vae_tf.codes import open_codes
from vq_vae_tf.evaluation.rollouts import frame_scores, gradient_energy
from vq_vae_tf.pipeline.imagining import decoded, imagine, windows
from vq_vae_tf.pipeline.loading import trained_pair
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.run import open_run

SPLIT = "validation"


def main() -> None:
    """Prints a row a temperature, and copy-last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--temperatures", default="0.1,0.3,0.5,0.7,1")
    asked = parser.parse_args()
    run = open_run(asked.workdir)
    vqvae, dynamics = trained_pair(run)
    video, variance = run.config.video, run.config.model.data_variance
    given = windows(run.data, open_codes(run.codes), SPLIT, video.past_frames, video.future_frames)
    real = gradient_energy(given.truth)
    last = np.broadcast_to(given.x[:, given.past - 1 : given.past], given.truth.shape)
    ceiling = decoded(vqvae, given.codes[:, given.past :])
    print(f"{len(given.truth)} windows of {run.data.name}, split {SPLIT}; PSNR in dB of frames 1, 5 and the last")
    print(f"{'':>14} {'frame 1':>8} {'frame 5':>8} {'last':>8} {'mean':>8} {'gradient energy':>16}")
    rows = {"copy last": last, "reconstruction": ceiling}
    for name, films in rows.items():
        print_row(name, frame_scores(given.truth, films, variance)["psnr"], gradient_energy(films) / real)
    for text in asked.temperatures.split(","):
        draw = Draw(run.config.run.seed, float(text))
        films = decoded(vqvae, imagine(dynamics, given.codes[:, : given.past], given.between, draw))
        print_row(text, frame_scores(given.truth, films, variance)["psnr"], gradient_energy(films) / real)


def print_row(name: str, psnr: list[float], energy: float) -> None:
    """One line of the table."""
    chosen = (psnr[0], psnr[min(4, len(psnr) - 1)], psnr[-1], float(np.mean(psnr)))
    print(f"{name:>14} {' '.join(f'{value:8.2f}' for value in chosen)} {energy:16.3f}", flush=True)


if __name__ == "__main__":
    main()
