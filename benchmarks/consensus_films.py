"""How near and how sharp the consensus of futures is: one row for each number of futures and each sharpening.

    python benchmarks/consensus_films.py --workdir=runs/vizdoom_video [--splits=test] [--counts=16] [--sharpening=0,0.5]

The futures are those that evaluation draws; every film is scored at FRAMES only.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np

from vq_vae_tf.codes import open_codes
from vq_vae_tf.evaluation.rollouts import frame_scores, gradient_energy
from vq_vae_tf.pipeline.consensus import consensus_films
from vq_vae_tf.pipeline.imagining import decoded, futures, windows
from vq_vae_tf.pipeline.loading import trained_pair
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.run import open_run

FRAMES = (1, 5, 10)


def main() -> None:
    """Prints a table a split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--splits", default="validation")
    parser.add_argument("--counts", default="16")
    parser.add_argument("--sharpening", default="0.3,0.5,0.7")
    asked = parser.parse_args()
    run = open_run(asked.workdir)
    vqvae, dynamics = trained_pair(run)
    video, variance = run.config.video, run.config.model.data_variance
    draw = Draw(run.config.run.seed, run.config.evaluation.temperature)
    counts, chosen = [int(count) for count in asked.counts.split(",")], [t - 1 for t in FRAMES]
    for split in asked.splits.split(","):
        given = windows(run.data, open_codes(run.codes), split, video.past_frames, video.future_frames)
        before, truth = given.x[:, : given.past], given.truth[:, chosen]
        codings = futures(dynamics, given.codes[:, : given.past], given.between, draw, max(counts))[:, :, chosen]
        copied = np.array(frame_scores(truth, before[:, -1:].repeat(len(FRAMES), axis=1), variance)["psnr"])

        def row(name, films, truth=truth, copied=copied):
            gains = frame_scores(truth, films, variance)["psnr"] - copied
            energy = gradient_energy(films) / gradient_energy(truth)
            print(f"{name:>24} {' '.join(f'{gain:+7.2f}' for gain in gains)} {energy:9.3f}", flush=True)

        print(f"{split}, {len(truth)} windows: dB over the last given frame at frames {FRAMES}, gradient energy")
        drawn = np.stack([decoded(vqvae, each) for each in codings])
        row("one future", drawn[0])
        row(f"mean of {max(counts)}", drawn.mean(axis=0, dtype=np.float32))
        for count, sharpening in itertools.product(counts, map(float, asked.sharpening.split(","))):
            row(f"{count}, sharpening {sharpening:g}", consensus_films(vqvae, codings[:count], before, sharpening))


if __name__ == "__main__":
    main()
