"""A run that begins with the weights of another one, or of an export, to go on with other data (--start_from)."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vq_vae_tf.codes import open_codes
from vq_vae_tf.config import Config, options, to_values
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.run import Run, open_run
from vq_vae_tf.pipeline.unpacking import exported_config, is_export, unpack, unpack_prior, why_no_prior
from vq_vae_tf.training.begin import OF_CODEBOOK, begin_with
from vq_vae_tf.training.checkpoints import Checkpoints
from vq_vae_tf.training.result import WEIGHTS, read_result

SIZES = ("model", "audio", "video", "quantizer")
"""Sections of the config whose whole numbers, names and switches the weights depend on."""
PRIOR_SIZES = ("prior", "prior_units", "prior_layers", "prior_vectors")


def beginning(run: Run, stage: str) -> Callable[[Any], str]:
    """What sets a new model of a stage ("vqvae", "prior") to the weights of --start_from, and says what it did.

    It does and says nothing ("") where none was given, where training has begun (its checkpoints know better), and for
    the prior of a run that has none. The prior of other sizes of pictures, or of another number of codes, begins anew,
    as a vector quantizer of another number does, and it says so.

    Raises:
        UserError: there is no such run or export, or it is of another kind of data; when called: weights of another
            network, or damaged ones.
    """
    name, directory = run.config.run.start_from, run.directory / stage
    if not name or read_result(directory) or Checkpoints(directory / "checkpoints", keep=1).steps():
        return lambda model: ""
    exported, other = is_export(Path(name)), _config(name)
    if other.data.modality != run.config.data.modality:
        raise UserError(
            f"--start_from={name} is a run on {other.data.modality}, this is one on {run.config.data.modality}; give "
            "one of the same kind."
        )
    if not exported:
        return _of_run(open_run(name), run, stage)
    return lambda model: (_prior_of_export if stage == "prior" else _vqvae_of_export)(model, Path(name), run)


def _config(name: str) -> Config:
    if is_export(Path(name)):
        return exported_config(Path(name))
    if not (Path(name) / "config.flags").is_file():
        raise UserError(
            f"--start_from={name} holds no run (no config.flags) and no export; give a folder that bin/train has made, "
            "or a version folder of an export."
        )
    return open_run(name).config


def _of_run(other: Run, run: Run, stage: str) -> Callable[[Any], str]:
    if stage == "prior":
        if read_result(other.prior) is None:
            return lambda model: ""
        theirs, mine = (_shape_of_codes(each) for each in (other, run))
        if theirs != mine:
            return lambda model: f"begins anew, for codes {mine}: those of {other.directory} are {theirs}"
    lender = other.directory / stage
    return lambda model: _begin(model, lender, lender, other.config, run.config)


def _vqvae_of_export(model: Any, export: Path, run: Run) -> str:
    shape = model.encoder.compute_output_shape((None, *run.modality.example_shape(run.data)))
    vectors = run.config.training.batch_size * math.prod(int(size) for size in shape[1:-1])
    with tempfile.TemporaryDirectory() as scratch:
        other = unpack(export, Path(scratch), vectors)
        return _begin(model, other.vqvae, export, other.config, run.config)


def _prior_of_export(model: Any, export: Path, run: Run) -> str:
    manifest = open_codes(run.codes).manifest
    if why := why_no_prior(export, manifest):
        return f"begins anew: {export} lends its VQ-VAE only, since {why}"
    with tempfile.TemporaryDirectory() as scratch:
        other = unpack_prior(export, Path(scratch), manifest)
        return _begin(model, other.prior, export, other.config, run.config)


def _shape_of_codes(run: Run) -> str:
    manifest = open_codes(run.codes).manifest
    return f"{manifest.code_shape} of {manifest.num_codes}"


def _begin(model: Any, directory: Path, lender: Path, theirs: Config, mine: Config) -> str:
    try:
        left = begin_with(model, directory)
    except UserError as error:
        flags = _other_sizes(theirs, mine)
        advice = f"; it was made with {', '.join(flags)}: give the same." if flags else ""
        said = str(error).removesuffix(".")
        if lender != directory:  # unpacked: where is of no use to anybody
            said = said.replace(str(directory / WEIGHTS), str(lender))
        raise UserError(f"--start_from={mine.run.start_from}: {said}{advice or '.'}") from error
    made_for = "number of codes" if any(OF_CODEBOOK in name.split("/") for name in left) else "classes"
    anew = f", but for {len(left)} weights made for its {made_for}, which begin anew" if left else ""
    return f"begins with the weights of {lender}{anew}"


def _other_sizes(theirs: Config, mine: Config) -> list[str]:
    """The flags of the other run that may have made its weights of other sizes, `--name=value`."""
    before, after = to_values(theirs), to_values(mine)
    sizes = [o.name for o in options() if (o.section in SIZES and o.type is not float) or o.name in PRIOR_SIZES]
    return [f"--{name}={before[name]}" for name in sizes if before[name] != after[name]]
