"""What the camera of a video run has learned, and how near the frame is that it foresees.

    python benchmarks/camera.py --workdir=runs/vizdoom_video [--splits=test,unseen]

The errors are at the first frame after those given, over the places that the last frame shows.
"""

from __future__ import annotations

import argparse

import numpy as np
from keras import ops

from vq_vae_tf.codes import open_codes
from vq_vae_tf.pipeline.imagining import code_squares, windows
from vq_vae_tf.pipeline.loading import trained_pair
from vq_vae_tf.pipeline.run import open_run


def main() -> None:
    """Prints the camera, a row for each action, and a row for each split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--splits", default="validation")
    asked = parser.parse_args()
    run = open_run(asked.workdir)
    vqvae, dynamics = trained_pair(run)
    parallax, video = dynamics.past.parallax[0], run.config.video
    camera, codes = parallax.camera, open_codes(run.codes)
    view = 2 * np.degrees(np.arctan(1 / float(camera.focal)))
    near = np.exp(ops.convert_to_numpy(camera.nearness))
    print(f"{view:.1f} degrees of view, horizon at {float(camera.horizon):+.3f} of half the height")
    print("a step ahead brings planes nearer by", *(f"{each:.0%}" for each in near), "of their depth")
    print(f"{'action':>16} {'first step':>12} {'once it goes on':>16}  turn, degrees; ahead, steps")
    for action, name in enumerate(codes.manifest.class_names):
        taken = np.zeros((2, parallax.context), np.int32)  # after the first action, and again and again
        taken[0, -1], taken[1] = action, action
        steps = ops.convert_to_numpy(camera.steps(taken))[:, 0]
        said = [f"{np.degrees(turn):+.1f}; {ahead:.2f}" for turn, _, ahead in steps]
        print(f"{name:>16} {said[0]:>12} {said[1]:>16}")
    squares = code_squares(vqvae).astype(np.float32)
    for split in asked.splits.split(","):
        given = windows(run.data, codes, split, video.past_frames, video.future_frames)
        print(split, _errors(parallax, squares, given))


def _errors(parallax, squares, given) -> str:
    newest = range(given.past - 1, given.past - 1 - parallax.camera.frames, -1)
    table = (squares - squares.mean()) / squares.std()
    height, width = given.x.shape[2:4]
    pictures = table[given.codes[:, list(newest)]].swapaxes(3, 4).reshape(len(given.x), -1, height, width, 3)
    actions = given.between[:, : given.past].astype(np.int32)
    foreseen, known = (ops.convert_to_numpy(part) for part in parallax.foresee(pictures, actions))
    foreseen, truth = foreseen * squares.std() + squares.mean(), given.truth[:, 0].astype(np.float32)

    def error(guess):
        return (known * np.square(guess - truth)).sum() / (3 * known.sum())

    last = given.x[:, given.past - 1].astype(np.float32)
    return (
        f"foreseen {error(foreseen):.0f}, last frame {error(last):.0f} (squared grey levels, {known.mean():.0%} shown)"
    )


if __name__ == "__main__":
    main()
