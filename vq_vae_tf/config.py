"""A run's config and what is made of it: from the values of flags, and back to a file of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from vq_vae_tf.errors import UserError
from vq_vae_tf.option import Option, options_of
from vq_vae_tf.settings import Config

__all__ = (
    "Config",
    "Option",
    "differences",
    "from_values",
    "options",
    "recipes_directory",
    "replace",
    "to_flagfile",
    "to_values",
)


def options() -> Iterator[Option]:
    """Every flag, in the order of the sections."""
    return options_of(Config)


def from_values(values: Mapping[str, Any]) -> Config:
    """The config whose flags have these values; flags not named keep their defaults.

    Raises:
        UserError: for an unknown name or a value out of its range.
    """
    sections: dict[str, dict[str, Any]] = {}
    known = {option.name: option for option in options()}
    for name, value in values.items():
        if name not in known:
            raise UserError(f"--{name} is not a flag of a run; `bin/train --help` lists them.")
        sections.setdefault(known[name].section, {})[name] = value
    base = Config()
    return Config(**{name: dataclasses.replace(getattr(base, name), **part) for name, part in sections.items()})


def to_values(config: Config) -> dict[str, Any]:
    """Every flag's name and value."""
    return {option.name: getattr(getattr(config, option.section), option.name) for option in options()}


def replace(config: Config, **values: Any) -> Config:
    """`config` with some flags changed."""
    return from_values({**to_values(config), **values})


def to_flagfile(config: Config) -> str:
    """The text of a flag file that reproduces the run: every flag, by section."""
    lines: list[str] = ["# Every setting of this run; again: bin/train --flagfile=<this file> --workdir=ELSEWHERE"]
    title = ""
    for option in options():
        if option.title != title:
            title = option.title
            lines += ["", f"# {title}"]
        value = getattr(getattr(config, option.section), option.name)
        text = str(value).lower() if option.type is bool else str(value)
        lines.append(f"--{option.name}={text}")
    return "\n".join(lines) + "\n"


def differences(old: Config, new: Config, begun: Collection[str]) -> list[str]:
    """The flags that make `new` another run than `old`, of which these stages have begun: `--name=new (was old)`."""
    before, after = to_values(old), to_values(new)
    return [
        f"--{option.name}={after[option.name]} (was {before[option.name]})"
        for option in options()
        if option.identity and option.stage in begun and before[option.name] != after[option.name]
    ]


def recipes_directory() -> Path:
    """Where the package's own flag files lie."""
    return Path(__file__).parent / "recipes"
