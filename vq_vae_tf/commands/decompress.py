"""bin/decompress: pictures out of a packed file."""

from __future__ import annotations

import sys
from pathlib import Path

from vq_vae_tf import config as config_lib
from vq_vae_tf.commands import command_line
from vq_vae_tf.commands.command_line import ExtraFlag

SUMMARY = """
    Unpacks the pictures of a file that bin/compress wrote, with the same run, into PNG files of the same names.

    bin/decompress --workdir=runs/cifar_coded --input=pictures.vqpack --output=/path/to/folder
"""
FLAGS = tuple(o for o in config_lib.options() if o.name in ("workdir", "data_dir"))
EXTRA = (
    ExtraFlag("input", str, "", "a file that bin/compress wrote"),
    ExtraFlag("output", str, "", "the folder for the pictures; those of the same name are replaced"),
)


def run(argv: list[str]) -> None:
    """Parses the flags and decompresses."""
    values = command_line.parse(argv, FLAGS, EXTRA)
    command_line.require(values, ("input", "output"), "--input=FILE --output=FOLDER")

    from vq_vae_tf.disk import check_output
    from vq_vae_tf.pipeline import stages
    from vq_vae_tf.pipeline.compressing import decompress_pictures
    from vq_vae_tf.pipeline.run import open_run

    run_ = open_run(values["workdir"], **command_line.given(values, FLAGS))
    check_output(Path(values["output"]) / ".partial")
    stages.tell(decompress_pictures(run_, Path(values["input"]), Path(values["output"])))


def main() -> int:
    """The console command."""
    return command_line.main("decompress", run, SUMMARY, FLAGS, EXTRA)


if __name__ == "__main__":
    sys.exit(main())
