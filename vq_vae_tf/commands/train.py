"""bin/train: a recipe, end to end."""

from __future__ import annotations

import sys

from vq_vae_tf import config as config_lib
from vq_vae_tf.commands import command_line

SUMMARY = """
    Trains a VQ-VAE, encodes the data, trains a prior over the codes, evaluates, samples and exports.

    bin/train --flagfile=quickstart.flags            a recipe of the package
    bin/train --flagfile=cifar.flags --steps=20000   the same with a flag changed
    bin/train --flagfile=cifar.flags                 once more: goes on where it was stopped

    Everything of a run lies in --workdir; report.html there is the page to open. A stage whose result is there
    is not run again.
"""


def run(argv: list[str]) -> None:
    """Parses the flags and runs the stages."""
    values = command_line.parse(argv, config_lib.options())
    config = command_line.config_from(values)
    if not config.run.workdir:
        config = config_lib.replace(config, workdir=command_line.default_workdir(argv))

    from vq_vae_tf.pipeline import stages

    finished = stages.run_stages(config)
    stages.tell(f"Done: {finished.directory}")


def main() -> int:
    """The console command."""
    return command_line.main("train", run, SUMMARY, config_lib.options())


if __name__ == "__main__":
    sys.exit(main())
