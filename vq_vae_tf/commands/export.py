"""bin/export: a trained run as a SavedModel."""

from __future__ import annotations

import sys

from vq_vae_tf import config as config_lib
from vq_vae_tf.commands import command_line

SUMMARY = """
    Writes a trained run as a SavedModel into <export_dir>/<export_name>/<version>. A clean process reloads it and
    must agree with the model before the version folder appears.

    bin/export --workdir=runs/cifar --export_dir=exports --export_name=cifar10
"""
FLAGS = tuple(
    o for o in config_lib.options() if o.name in ("workdir", "data_dir", "export_dir", "export_name", "export_version")
)


def run(argv: list[str]) -> None:
    """Parses the flags and exports."""
    values = command_line.parse(argv, FLAGS)

    from vq_vae_tf.pipeline import stages
    from vq_vae_tf.pipeline.run import open_run

    run_ = open_run(values["workdir"], **command_line.given(values, FLAGS))
    stages.tell(stages.write_export(run_))


def main() -> int:
    """The console command."""
    return command_line.main("export", run, SUMMARY, FLAGS)


if __name__ == "__main__":
    sys.exit(main())
