"""Of how many futures to show the most typical: nearness and sharpness against each other, split by split.

    python benchmarks/typical_films.py --workdir=runs/vizdoom_video [--splits=test] [--counts=4,16] [--kept=1,0.25]

Sixteen futures of each window are drawn; a row is the mean over the groups of so many that they make. Of a group only
the share `kept`, the films that are as sharp as the frames given, may be shown (`most_typical`).
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np

from vq_vae_tf.codes import open_codes
from vq_vae_tf.evaluation.rollouts import frame_scores, gradient_energy, most_typical
from vq_vae_tf.pipeline.imagining import futures, windows
from vq_vae_tf.pipeline.loading import trained_pair
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.run import open_run

DRAWN = 16
FRAMES = (1, 2, 5, 10)


def main() -> None:
    """Prints a table a split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--splits", default="validation,test,unseen")
    parser.add_argument("--counts", default="1,4,8,16")
    parser.add_argument("--kept", default="1,0.5,0.25")
    asked = parser.parse_args()
    run = open_run(asked.workdir)
    vqvae, dynamics = trained_pair(run)
    video, variance = run.config.video, run.config.model.data_variance
    draw = Draw(run.config.run.seed, run.config.evaluation.temperature)
    for split in asked.splits.split(","):
        given = windows(run.data, open_codes(run.codes), split, video.past_frames, video.future_frames)
        real = gradient_energy(given.truth)

        def psnr(films, truth=given.truth):
            return np.array(frame_scores(truth, films, variance)["psnr"])

        copied = psnr(np.broadcast_to(given.x[:, given.past - 1 : given.past], given.truth.shape))
        drawn = futures(vqvae, dynamics, given.codes[:, : given.past], given.between, draw, DRAWN)
        print(f"{split}, {len(given.truth)} windows: dB over the last given frame at frames {FRAMES}, gradient energy")
        for count, kept in itertools.product(map(int, asked.counts.split(",")), map(float, asked.kept.split(","))):
            groups = [
                most_typical(drawn[i : i + count], given.x[:, : given.past], kept)
                for i in range(0, DRAWN - count + 1, count)
            ]
            gains = np.mean([psnr(films) - copied for films in groups], axis=0)[[t - 1 for t in FRAMES]]
            energy = np.mean([gradient_energy(films) for films in groups]) / real
            print(f"{count:>6} {kept:5.2f} {' '.join(f'{gain:+7.2f}' for gain in gains)} {energy:9.3f}", flush=True)


if __name__ == "__main__":
    main()
