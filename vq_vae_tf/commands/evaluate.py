"""bin/evaluate: the numbers of a trained run, measured again."""

from __future__ import annotations

import sys

from vq_vae_tf import config as config_lib
from vq_vae_tf.commands import command_line

SUMMARY = """
    Measures a trained run on a whole split and writes evaluation.json and report.html into its work folder.

    bin/evaluate --workdir=runs/cifar
    bin/evaluate --workdir=runs/cifar --eval_split=train
    bin/evaluate --workdir=runs/cifar --iw_samples=8
    bin/evaluate --workdir=runs/cifar --search_candidates=8      also with codes found by search: slower, closer
    bin/evaluate --workdir=runs/cifar --search_candidates=8 --search_rate_weight=0.3     the same, and of few bits
"""
NAMES = ("workdir", "data_dir", "eval_split", "eval_batch_size", "iw_samples")
FLAGS = tuple(o for o in config_lib.options() if o.name in NAMES or o.name.startswith("search_"))


def run(argv: list[str]) -> None:
    """Parses the flags and evaluates."""
    values = command_line.parse(argv, FLAGS)

    from vq_vae_tf.pipeline import stages
    from vq_vae_tf.pipeline.run import open_run

    run_ = open_run(values["workdir"], **command_line.given(values, FLAGS))
    if run_.config.data.modality != "image":
        of_images = [o.name for o in FLAGS if o.name == "iw_samples" or o.name.startswith("search_")]
        command_line.refuse(values, of_images, run_.config.data.modality)
    command_line.refuse_idle_search(values, run_.config)
    stages.tell(run_.modality.evaluate(run_))


def main() -> int:
    """The console command."""
    return command_line.main("evaluate", run, SUMMARY, FLAGS)


if __name__ == "__main__":
    sys.exit(main())
