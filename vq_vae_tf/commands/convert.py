"""bin/convert: a sound in the voice of another speaker."""

from __future__ import annotations

import sys
from pathlib import Path

from vq_vae_tf import config as config_lib
from vq_vae_tf.commands import command_line
from vq_vae_tf.commands.command_line import ExtraFlag

SUMMARY = """
    Encodes a sound file, decodes it in the voice of a speaker of the run, writes a WAV file of the same length.

    bin/convert --workdir=runs/fsdd --input=three.wav --speaker=theo --output=three-theo.wav
"""
FLAGS = tuple(o for o in config_lib.options() if o.name in ("workdir", "data_dir"))
EXTRA = (
    ExtraFlag("input", str, "", "the sound: WAV (others with tensorflow-io), any rate, mono or stereo"),
    ExtraFlag("speaker", str, "", "the voice, by the name of its folder"),
    ExtraFlag("output", str, "", "the WAV file to write"),
)


def run(argv: list[str]) -> None:
    """Parses the flags and converts."""
    values = command_line.parse(argv, FLAGS, EXTRA)
    command_line.require(values, ("input", "speaker", "output"), "--input=FILE --speaker=NAME --output=FILE.wav")

    from vq_vae_tf.pipeline import stages
    from vq_vae_tf.pipeline.conversion import convert_file
    from vq_vae_tf.pipeline.run import open_run

    run_ = open_run(values["workdir"], **command_line.given(values, FLAGS))
    stages.tell(convert_file(run_, Path(values["input"]), values["speaker"], Path(values["output"])))


def main() -> int:
    """The console command."""
    return command_line.main("convert", run, SUMMARY, FLAGS, EXTRA)


if __name__ == "__main__":
    sys.exit(main())
