"""bin/encode: pictures to codes."""

from __future__ import annotations

import sys

from vq_vae_tf import config as config_lib
from vq_vae_tf.commands import command_line
from vq_vae_tf.commands.command_line import ExtraFlag
from vq_vae_tf.errors import UserError

SUMMARY = """
    Encodes data with the VQ-VAE of a trained run. Without --input: the run's own data, into its work folder, unless
    whole codes are there: damaged ones are written anew.
    With --input: other data, into --output (TFRecord files and a manifest.json that says what they are). Codes of a
    folder say which file they are of, by its path in the folder (of pieces of a sound or clips of a film: and #0, #1,
    ...): "name" of each record, or in Python: vq_vae_tf.codes.open_codes(FOLDER).names("train").

    bin/encode --workdir=runs/cifar
    bin/encode --workdir=runs/cifar --input=folder:/path/to/pictures --output=/path/to/codes
    bin/encode --workdir=runs/cifar --input=folder:/pictures --output=/codes --search_candidates=8    slower, closer
"""
SEARCH = ("search_candidates", "search_sweeps", "search_rate_weight")
UNASKED = {"search_candidates": 0, "search_rate_weight": 0.0, "search_bytes": 0}
"""What a run says of its own evaluation is not asked of other data."""
FLAGS = tuple(o for o in config_lib.options() if o.name in ("workdir", "data_dir", *SEARCH))
EXTRA = (
    ExtraFlag("input", str, "", "a TFDS name or folder:/path; empty: the run's own data"),
    ExtraFlag("output", str, "", "folder for the codes of --input"),
)


def run(argv: list[str]) -> None:
    """Parses the flags and encodes."""
    values = command_line.parse(argv, FLAGS, EXTRA)

    from vq_vae_tf.pipeline import stages
    from vq_vae_tf.pipeline.run import open_run

    if values["output"] and not values["input"]:
        raise UserError("--output was given without --input; say what to encode, or leave both out.")
    run_ = open_run(values["workdir"], **(UNASKED | command_line.given(values, FLAGS)))
    if run_.config.data.modality != "image":
        command_line.refuse(values, SEARCH, run_.config.data.modality)
    command_line.refuse_idle_search(values, run_.config)
    if values["input"]:
        stages.tell(stages.encode_other(run_, values["input"], values["output"]))
    else:
        if set(SEARCH) & values.present:
            raise UserError("--search_ flags are for --input; the run's own codes are those that its prior learns.")
        stages.tell(stages.encode_data(run_, mend=True))


def main() -> int:
    """The console command."""
    return command_line.main("encode", run, SUMMARY, FLAGS, EXTRA)


if __name__ == "__main__":
    sys.exit(main())
