"""bin/sample: pictures, sounds and films from the prior of a trained run."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from vq_vae_tf import config as config_lib
from vq_vae_tf.commands import command_line
from vq_vae_tf.commands.command_line import ExtraFlag
from vq_vae_tf.errors import UserError

SUMMARY = """
    Draws from a trained run: pictures as one PNG, sounds as WAV files, films as GIF.

    bin/sample --workdir=runs/cifar --classes=cat,ship --sample_seed=3
    bin/sample --workdir=runs/cifar --temperatures=0.7,0.85,1     one block of rows for each temperature
    bin/sample --workdir=runs/cifar --complete=a.png,b.jpg        keeps the upper half of pictures, draws the rest
    bin/sample --workdir=runs/fsdd --classes=theo --seconds=10    a WAV file for each speaker
    bin/sample --workdir=runs/vizdoom_video --actions=forward*6,left*4     imagines a film, as GIF and contact sheet
"""
FLAGS = tuple(o for o in config_lib.options() if o.name in ("workdir", "data_dir", "samples_per_class"))
EXTRA = (
    ExtraFlag(
        "output",
        str,
        "",
        "the file to write, of sounds how their names begin, of films the sheet too; empty: in samples/ of the run",
    ),
    ExtraFlag("sample_seed", int, 0, "another seed, other pictures"),
    ExtraFlag("classes", list, [], "classes by name, also for --complete; none: the first ten"),
    ExtraFlag("temperatures", list, ["1.0"], "of the prior; several make a sweep"),
    ExtraFlag("top_k", int, 0, "draw among the k likeliest codes only; 0: all"),
    ExtraFlag("top_p", float, 1.0, "draw among the likeliest codes of this total probability only"),
)
OF_A_MODALITY = (
    ExtraFlag("complete", list, [], "images: picture files whose upper part is kept; a row for each class"),
    ExtraFlag("keep", float, 0.5, "images: the part of each picture that --complete keeps, from the top"),
    ExtraFlag(
        "actions", list, [], "video: what is done frame by frame, as forward*10,left*4; none: each action in turn"
    ),
    ExtraFlag(
        "consensus_of",
        int,
        1,
        "video: show what so many futures have in common, as sharp as the frames given, in place of one future",
    ),
    ExtraFlag("seconds", float, 0.0, "speech: how long each sound is; 0: as long as the window of training"),
    ExtraFlag("clip", int, 0, "video: which clip of the split that is scored gives the first frames, from 0"),
)
"""Each modality says which of these it knows (`Modality.sample_flags`)."""


def run(argv: list[str]) -> None:
    """Parses the flags and draws."""
    values = command_line.parse(argv, FLAGS, EXTRA + OF_A_MODALITY)
    flag = {item.name: values[item.name] for item in EXTRA + OF_A_MODALITY}
    temperatures = [_positive(text) for text in flag["temperatures"]]
    if not temperatures:
        raise UserError("--temperatures has no number; give some above 0, such as 0.8,1.0, or leave it out.")
    if not 0.0 < flag["top_p"] <= 1.0:
        raise UserError(f"--top_p={flag['top_p']} is not a probability; give a number above 0 and at most 1.")
    if flag["consensus_of"] < 1:
        raise UserError(f"--consensus_of={flag['consensus_of']} futures cannot be drawn; give at least 1.")
    if not 0.0 <= flag["keep"] <= 1.0:
        raise UserError(f"--keep={flag['keep']} is not a part of a picture; give a number from 0 to 1.")
    if "keep" in values.present and not flag["complete"]:
        raise UserError("--keep was given without --complete; say which pictures to complete, or leave it out.")

    from vq_vae_tf.disk import check_output
    from vq_vae_tf.pipeline import stages
    from vq_vae_tf.pipeline.modality import Draw, SampleRequest
    from vq_vae_tf.pipeline.run import open_run
    from vq_vae_tf.windows import LONGEST

    if not 0.0 <= flag["seconds"] <= LONGEST or ("seconds" in values.present and not flag["seconds"]):
        raise UserError(f"--seconds={flag['seconds']:g} is no length; give a number above 0 and at most {LONGEST:g}.")
    run_ = open_run(values["workdir"], **command_line.given(values, FLAGS))
    kind, known = run_.config.data.modality, run_.modality.sample_flags
    strangers = [item.name for item in OF_A_MODALITY if item.name not in known]
    command_line.refuse(values, [*strangers, *([] if kind == "image" else ["samples_per_class"])], kind)
    output = Path(flag["output"]) if flag["output"] else None
    target = output or run_.samples / "samples"
    check_output(target.with_name(f"{target.stem}-speaker.wav") if kind == "audio" else target)
    request = SampleRequest(
        draws=tuple(Draw(flag["sample_seed"], t, flag["top_k"], flag["top_p"]) for t in temperatures),
        classes=tuple(flag["classes"]),
        output=output,
        options={item.name: values[item.name] for item in OF_A_MODALITY},
    )
    stages.tell(run_.modality.draw(run_, request))


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value > 0.0 and math.isfinite(value)):
        raise UserError(f"--temperatures has {text!r}; give numbers above 0, such as 0.8,1.0.")
    return value


def main() -> int:
    """The console command."""
    return command_line.main("sample", run, SUMMARY, FLAGS, EXTRA + OF_A_MODALITY)


if __name__ == "__main__":
    sys.exit(main())
