"""python -m vq_vae_tf.commands.handover: a VQ-VAE to be trained on another Keras backend, there and back."""

from __future__ import annotations

import sys

from vq_vae_tf import config as config_lib
from vq_vae_tf.commands import command_line
from vq_vae_tf.commands.command_line import ExtraFlag

SUMMARY = """
    Trains the VQ-VAE of a recipe where Keras runs on JAX (a GPU, a TPU), and everything else here.

    python -m vq_vae_tf.commands.handover --flagfile=cifar_bits.flags           packs RUN/handover
    KERAS_BACKEND=jax python -m vq_vae_tf.plain_fit RUN/handover                where Keras, JAX and this package are
    python -m vq_vae_tf.commands.handover --flagfile=cifar_bits.flags --back    RUN/handover's weights into the run
    bin/train --flagfile=cifar_bits.flags                                       codes, prior, evaluation, export
"""
EXTRA = (ExtraFlag("back", bool, False, "take the trained weights back, instead of packing"),)


def run(argv: list[str]) -> None:
    """Parses the flags and packs or takes back."""
    values = command_line.parse(argv, config_lib.options(), EXTRA)
    config = command_line.config_from(values)
    if not config.run.workdir:
        config = config_lib.replace(config, workdir=command_line.default_workdir(argv))

    from vq_vae_tf.pipeline import handover, stages
    from vq_vae_tf.pipeline.run import start_run

    stages.tell((handover.take_back if values["back"] else handover.pack)(start_run(config)))


def main() -> int:
    """The command."""
    return command_line.main("handover", run, SUMMARY, config_lib.options(), EXTRA)


if __name__ == "__main__":
    sys.exit(main())
