"""A work folder: what lies where, and whether it belongs to the config at hand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vq_vae_tf import config as config_lib
from vq_vae_tf.config import Config
from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import write_text
from vq_vae_tf.pipeline.facts import check_facts, read_facts, write_facts
from vq_vae_tf.pipeline.modality import Modality, modality

_SWITCH = {"true": True, "false": False}
STAGES = ("vqvae", "codes", "prior", "foresight")
"""Those that leave something in a folder of their name that depends on flags."""


@dataclass(frozen=True)
class Run:
    """The folder of one run and the config that made it."""

    config: Config
    directory: Path

    @property
    def config_file(self) -> Path:
        """The resolved flags."""
        return self.directory / "config.flags"

    @property
    def vqvae(self) -> Path:
        """Checkpoints, metrics and weights of the VQ-VAE."""
        return self.directory / "vqvae"

    @property
    def codes(self) -> Path:
        """The data set's codes."""
        return self.directory / "codes"

    @property
    def prior(self) -> Path:
        """Checkpoints, metrics and weights of the prior."""
        return self.directory / "prior"

    @property
    def foresight(self) -> Path:
        """The same of what is to be expected of video."""
        return self.directory / "foresight"

    @property
    def samples(self) -> Path:
        """Sampled pictures."""
        return self.directory / "samples"

    @property
    def evaluation(self) -> Path:
        """Every measured number."""
        return self.directory / "evaluation.json"

    @property
    def searched(self) -> Path:
        """Codes of the evaluation split that a search has found."""
        return self.directory / "searched"

    @property
    def begun(self) -> frozenset[str]:
        """The stages that have left anything that depends on flags of theirs."""
        begun = {name for name in STAGES if (self.directory / name).exists()}
        if "prior" in begun:
            begun.add("codes")  # which it has learned, should they be gone
        if begun and self.config.quantizer.quantizer == "joint":
            begun.add("prior")  # whose network the quantizer has
        return frozenset(begun)

    @property
    def reconstructions(self) -> Path:
        """Originals, each beside its reconstruction."""
        return self.directory / "reconstructions.png"

    @property
    def report(self) -> Path:
        """The page to open in a browser."""
        return self.directory / "report.html"

    @property
    def exports(self) -> Path:
        """Where the export goes."""
        return Path(self.config.export.export_dir) if self.config.export.export_dir else self.directory / "export"

    @property
    def modality(self) -> Modality:
        """What the run's kind of data brings to the stages."""
        return modality(self.config.data.modality)

    def scored_split(self) -> str:
        """The split that evaluation scores. Raises: UserError if it has no examples."""
        split = self.config.evaluation.eval_split
        if not self.data.sizes.get(split):
            present = ", ".join(name for name, count in self.data.sizes.items() if count)
            raise UserError(f"--eval_split={split} has no examples in {self.data.name}; choose one of {present}.")
        return split

    @property
    def facts(self) -> Path:
        """What the models have to know of the data."""
        return self.directory / "data.json"

    @cached_property
    def data(self) -> Any:
        """The data set, opened on first use. Raises: UserError if it is not what the run was trained on."""
        data = self.modality.open_data(self.config)
        if self.begun:
            check_facts(self.facts, self.modality.facts(data), self.config.data.dataset)
        return data

    @cached_property
    def known(self) -> Any:
        """The data set without its examples, as training has noted it: it need not be there."""
        facts = read_facts(self.facts)
        return self.data if facts is None else self.modality.known(facts)

    def with_variance(self, variance: float) -> Run:
        """The run with the variance of its data known; data that are open stay so."""
        run = Run(config_lib.replace(self.config, data_variance=variance), self.directory)
        run.__dict__.update({name: value for name, value in self.__dict__.items() if name == "data"})
        return run

    def note(self) -> None:
        """Notes what the models have to know of the data."""
        if not self.begun or not self.facts.exists():
            write_facts(self.facts, self.modality.facts(self.data))


def open_run(workdir: str, **changes: Any) -> Run:
    """The run that lies in `workdir`, with the values of flags that are no part of its identity changed.

    Raises:
        UserError: if there is no run, or its flag file cannot be read.
    """
    directory = Path(workdir)
    path = directory / "config.flags"
    if not workdir or not path.is_file():
        raise UserError(f"--workdir={workdir} holds no run (no config.flags); give a folder that bin/train has made.")
    return Run(config_lib.replace(read_flagfile(path), workdir=workdir, **changes), directory)


def start_run(config: Config) -> Run:
    """Makes or reopens the work folder of `config` and writes config.flags.

    Flags that no stage has worked by yet may change: those of a command that was refused are not held against the next,
    and those of the prior are open until its training begins.

    Raises:
        UserError: if the folder holds another run or cannot be written.
    """
    directory = Path(config.run.workdir)
    run = Run(config, directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        writable = os.access(directory, os.W_OK)
    except OSError as error:
        raise UserError(
            f"--workdir={directory} cannot be made ({error.strerror}); give a folder that can be written."
        ) from error
    if not writable:
        raise UserError(f"--workdir={directory} cannot be written; give a folder that can.")
    if run.config_file.exists() and run.begun:
        return _reopen(run)
    if config.model.data_variance == 0.0:
        run = run.with_variance(run.modality.measure_variance(run.data))
    with writing(run.config_file):
        write_text(run.config_file, config_lib.to_flagfile(run.config))
    return run


def _reopen(run: Run) -> Run:
    old = read_flagfile(run.config_file)
    if run.config.model.data_variance == 0.0:
        run = run.with_variance(old.model.data_variance)
    if changed := config_lib.differences(old, run.config, run.begun):
        what = f"--workdir={run.directory} holds another run: {', '.join(changed)}"
        raise UserError(f"{what}; give another --workdir, or the same flags.")
    if config_lib.differences(old, run.config, STAGES):
        with writing(run.config_file):
            write_text(run.config_file, config_lib.to_flagfile(run.config))
    return run


def read_flagfile(path: Path) -> Config:
    """The config in a resolved flag file. Raises: UserError naming the file."""
    kinds = {option.name: option.type for option in config_lib.options()}
    values: dict[str, Any] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); give --workdir another folder.") from error
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, text = line.removeprefix("--").partition("=")
        if not separator or name not in kinds:
            raise UserError(
                f"{path} has a line that is no flag of this version: {line!r}; remove it or give another --workdir."
            )
        try:
            values[name] = _SWITCH[text] if kinds[name] is bool else kinds[name](text)
        except (ValueError, KeyError) as error:
            raise UserError(f"{path}: --{name}={text} is not a {kinds[name].__name__}; correct the line.") from error
    return config_lib.from_values(values)
