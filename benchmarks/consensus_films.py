"""How near and how sharp the consensus of futures is: one row for each number of futures and each sharpening.

    python benchmarks/consensus_films.py --workdir=runs/vizdoom_video [--splits=test] [--counts=16] \
        [--sharpening=0,0.5] [--frames=1,5,10]

The futures are those that evaluation draws, as far as the last of the frames that are scored. Where the run has a
foresight (--foresight_steps), films that do not use it stand beside those that do.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np

from vq_vae_tf.codes import open_codes
from vq_vae_tf.evaluation.rollouts import frame_scores, gradient_energy
from vq_vae_tf.pipeline.consensus import consensus_films
from vq_vae_tf.pipeline.foresight import expected_films, load_foresight
from vq_vae_tf.pipeline.imagining import decoded, futures, windows
from vq_vae_tf.pipeline.loading import trained_pair
from vq_vae_tf.pipeline.modality import Draw
from vq_vae_tf.pipeline.run import open_run


def main() -> None:
    """Prints a table a split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--splits", default="validation")
    parser.add_argument("--counts", default="16")
    parser.add_argument("--sharpening", default="0.3,0.5,0.7")
    parser.add_argument("--frames", default="1,5,10")
    asked = parser.parse_args()
    run = open_run(asked.workdir)
    vqvae, dynamics = trained_pair(run)
    foresight = load_foresight(run)
    video, variance = run.config.video, run.config.model.data_variance
    draw = Draw(run.config.run.seed, run.config.evaluation.temperature)
    counts, numbers = ([int(n) for n in listed.split(",")] for listed in (asked.counts, asked.frames))
    chosen, length = [t - 1 for t in numbers], video.past_frames - 1 + max(numbers)
    for split in asked.splits.split(","):
        given = windows(run.data, open_codes(run.codes), split, video.past_frames, video.future_frames)
        before, truth, actions = given.x[:, : given.past], given.truth[:, chosen], given.between[:, :length]
        past = given.codes[:, : given.past]
        codings = futures(dynamics, past, actions, draw, max(counts))
        copied = np.array(frame_scores(truth, before[:, -1:].repeat(len(chosen), axis=1), variance)["psnr"])

        def row(name, films, truth=truth, copied=copied):
            first = films.shape[1]
            gains = frame_scores(truth[:, :first], films, variance)["psnr"] - copied[:first]
            energy = gradient_energy(films) / gradient_energy(truth[:, :first])
            print(f"{name:>34} {' '.join(f'{gain:+7.2f}' for gain in gains)} {energy:9.3f}", flush=True)

        print(f"{split}, {len(truth)} windows: dB over the last given frame at frames {numbers}, gradient energy")
        drawn = np.stack([decoded(vqvae, each[:, chosen]) for each in codings])
        row("one future", drawn[0])
        row(f"mean of {max(counts)}", drawn.mean(axis=0, dtype=np.float32))
        for count in counts:
            aims = {"": None}
            if foresight is not None:
                expected = expected_films(foresight, before, past, actions, codings[:count])
                aims |= {" expected": expected[:, [t for t in chosen if t < expected.shape[1]]]}
                row(f"expected after {count}", aims[" expected"])
            for (name, aim), sharpening in itertools.product(aims.items(), map(float, asked.sharpening.split(","))):
                films = consensus_films(vqvae, codings[:count][:, :, chosen], before, aim, sharpening)
                row(f"{count}, sharpening {sharpening:g}{name}", films)


if __name__ == "__main__":
    main()
