"""A flag as the field of a frozen dataclass: its default, its meaning, its range."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vq_vae_tf.errors import UserError


def option(
    default: Any,
    text: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    identity: bool = True,
    stage: str = "vqvae",
) -> Any:
    """A field that is a flag.

    `identity=False` marks what may change between two calls on one work folder; all others may until the first `stage`
    that depends on them has begun.
    """
    ranges = {"minimum": minimum, "maximum": maximum}
    return field(default=default, metadata={"help": text, **ranges, "identity": identity, "stage": stage})


@dataclass(frozen=True)
class Option:
    """One flag: where it lives, its type, its default and what it may be."""

    section: str
    title: str
    name: str
    type: type
    choices: tuple[str, ...]
    default: Any
    help: str
    minimum: float | None
    maximum: float | None
    identity: bool
    stage: str


def options_of(config: type) -> Iterator[Option]:
    """Every flag of a dataclass of sections, in their order."""
    for section in dataclasses.fields(config):
        section_type: Any = type(section.default)
        hints = get_type_hints(section_type)
        for item in dataclasses.fields(section_type):
            hint = hints[item.name]
            choices = get_args(hint) if get_origin(hint) is Literal else ()
            yield Option(
                section=section.name,
                title=(section_type.__doc__ or "").rstrip("."),
                name=item.name,
                type=str if choices else hint,
                choices=choices,
                default=item.default,
                help=item.metadata["help"],
                minimum=item.metadata["minimum"],
                maximum=item.metadata["maximum"],
                identity=item.metadata["identity"],
                stage=item.metadata["stage"],
            )


def check(option: Option, value: Any) -> None:
    """Raises: UserError for a value that the flag may not have."""
    if option.choices and value not in option.choices:
        raise UserError(f"--{option.name}={value} is not known; choose one of {', '.join(option.choices)}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"--{option.name}={value} is no finite number; give one.")
    if option.minimum is not None and value < option.minimum:
        raise UserError(f"--{option.name}={value} is too small; give at least {option.minimum:g}.")
    if option.maximum is not None and value > option.maximum:
        raise UserError(f"--{option.name}={value} is too large; give at most {option.maximum:g}.")
