"""bin/compress: pictures to one small file."""

from __future__ import annotations

import sys
from pathlib import Path

from vq_vae_tf import config as config_lib
from vq_vae_tf.commands import command_line
from vq_vae_tf.commands.command_line import ExtraFlag

SUMMARY = """
    Packs pictures into one file: their codes by the VQ-VAE of a trained run, arithmetically coded under its prior.
    The prior must know no classes (--prior_labels=false). --search_candidates and --search_rate_weight as in
    bin/evaluate: fewer bits or a better picture for more time. With --search_bytes every picture takes at most so
    many bytes.

    bin/compress --workdir=runs/cifar_coded --input=/path/to/pictures --output=pictures.vqpack
    bin/compress --workdir=runs/cifar_coded --input=a.png,b.jpg --output=two.vqpack --search_candidates=16
    bin/compress --workdir=runs/cifar_coded --input=/pictures --output=small.vqpack --search_bytes=72 \
        --search_candidates=4 --search_sweeps=6
"""
FLAGS = tuple(o for o in config_lib.options() if o.name in ("workdir", "data_dir") or o.name.startswith("search_"))
EXTRA = (
    ExtraFlag("input", list, [], "picture files, or a folder of them; cut to squares and resized as in training"),
    ExtraFlag("output", str, "", "the file to write"),
)


def run(argv: list[str]) -> None:
    """Parses the flags and compresses."""
    values = command_line.parse(argv, FLAGS, EXTRA)
    command_line.require(values, ("input", "output"), "--input=PICTURES --output=FILE")

    from vq_vae_tf.disk import check_output
    from vq_vae_tf.pipeline import stages
    from vq_vae_tf.pipeline.compressing import compress_pictures
    from vq_vae_tf.pipeline.run import open_run

    run_ = open_run(values["workdir"], **command_line.given(values, FLAGS))
    command_line.refuse_idle_search(values, run_.config)
    check_output(Path(values["output"]))
    stages.tell(compress_pictures(run_, values["input"], Path(values["output"])))


def main() -> int:
    """The console command."""
    return command_line.main("compress", run, SUMMARY, FLAGS, EXTRA)


if __name__ == "__main__":
    sys.exit(main())
