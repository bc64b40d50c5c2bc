"""A run that begins with the weights of another one, to go on with other data (--start_from)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vq_vae_tf.codes import open_codes
from vq_vae_tf.config import Config, options, to_values
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.run import Run, open_run
from vq_vae_tf.training.begin import OF_CODEBOOK, begin_with
from vq_vae_tf.training.result import read_result

SIZES = ("model", "audio", "video", "quantizer")
"""Sections of the config whose whole numbers, names and switches the weights depend on."""
PRIOR_SIZES = ("prior", "prior_units", "prior_layers", "prior_vectors")


def beginning(run: Run, stage: str) -> Callable[[Any], str]:
    """What sets a new model of a stage ("vqvae", "prior") to the weights of --start_from, and says what it did.

    It does and says nothing ("") where none was given, where training has begun (its checkpoints know better), and for
    the prior of a run that has none. The prior of other sizes of pictures, or of another number of codes, begins anew,
    as a vector quantizer of another number does, and it says so.

    Raises:
        UserError: there is no such run, or it is of another kind of data; when called: weights of another network, or
            damaged ones.
    """
    name, directory = run.config.run.start_from, run.directory / stage
    if not name or read_result(directory) or any((directory / "checkpoints").glob("*.npz")):
        return lambda model: ""
    if not (Path(name) / "config.flags").is_file():
        raise UserError(f"--start_from={name} holds no run (no config.flags); give a folder that bin/train has made.")
    other = open_run(name)
    if other.config.data.modality != run.config.data.modality:
        raise UserError(
            f"--start_from={name} is a run on {other.config.data.modality}, this is one on "
            f"{run.config.data.modality}; give one of the same kind."
        )
    if stage == "prior":
        if read_result(other.prior) is None:
            return lambda model: ""
        theirs, mine = (_shape_of_codes(each) for each in (other, run))
        if theirs != mine:
            return lambda model: f"begins anew, for codes {mine}: those of {name} are {theirs}"
    return lambda model: _begin(model, other, run.config, stage)


def _shape_of_codes(run: Run) -> str:
    manifest = open_codes(run.codes).manifest
    return f"{manifest.code_shape} of {manifest.num_codes}"


def _begin(model: Any, other: Run, config: Config, stage: str) -> str:
    try:
        left = begin_with(model, other.directory / stage)
    except UserError as error:
        flags = _other_sizes(other.config, config)
        advice = f"; it was made with {', '.join(flags)}: give the same." if flags else ""
        raise UserError(f"--start_from={other.directory}: {str(error).removesuffix('.')}{advice or '.'}") from error
    made_for = "number of codes" if any(OF_CODEBOOK in name.split("/") for name in left) else "classes"
    anew = f", but for {len(left)} weights made for its {made_for}, which begin anew" if left else ""
    return f"begins with the weights of {other.directory / stage}{anew}"


def _other_sizes(theirs: Config, mine: Config) -> list[str]:
    """The flags of the other run that may have made its weights of other sizes, `--name=value`."""
    before, after = to_values(theirs), to_values(mine)
    sizes = [o.name for o in options() if (o.section in SIZES and o.type is not float) or o.name in PRIOR_SIZES]
    return [f"--{name}={before[name]}" for name in sizes if before[name] != after[name]]
