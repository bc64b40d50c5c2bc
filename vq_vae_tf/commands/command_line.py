"""From a command line to a config: absl flags made from the dataclasses, messages a person can act on."""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags

from vq_vae_tf import config as config_lib
from vq_vae_tf.config import Config, Option
from vq_vae_tf.errors import Interrupted, UserError


@dataclass(frozen=True)
class ExtraFlag:
    """A flag of one command that is no setting of the run."""

    name: str
    type: type
    default: object
    help: str


@dataclass(frozen=True)
class Parsed:
    """The flags of a command line: every value, and which of them stood there."""

    values: dict[str, Any]
    present: frozenset[str]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def parse(argv: Sequence[str], chosen: Iterable[Option], extra: Sequence[ExtraFlag] = ()) -> Parsed:
    """Reads `argv` (without the program's name) into flags.

    `--flagfile=NAME` is looked up in the working directory, then among the recipes of the package; later flags win.

    Raises:
        UserError: for an unknown flag, a value of the wrong type, a missing flag file or a stray word.
    """
    values = flags.FlagValues()
    items: list[Option | ExtraFlag] = [*chosen, *extra]
    for item in items:
        _define(item, values)
    try:
        rest = values(["command", *_resolve_flagfiles(argv)])[1:]
    except (flags.CantOpenFlagFileError, UnicodeDecodeError) as error:
        raise UserError(f"The flag file could not be read ({error}); give an existing text file.") from error
    except flags.Error as error:
        raise UserError(f"{str(error).rstrip('.')}; --help lists every flag.") from error
    if rest:
        raise UserError(f"`{rest[0]}` is not a flag; flags are written --name=value, --help lists them.")
    names = [item.name for item in items]
    return Parsed({n: values[n].value for n in names}, frozenset(n for n in names if values[n].present))


def require(parsed: Parsed, names: Sequence[str], usage: str) -> None:
    """Raises: UserError for the first of `names` that was not given, with what to give."""
    for name in names:
        if not parsed[name]:
            raise UserError(f"--{name} is missing; give {usage}.")


def refuse(parsed: Parsed, names: Sequence[str], modality: str) -> None:
    """Raises: UserError for a flag that means nothing to this modality, rather than to leave it out in silence."""
    for name in names:
        if name in parsed.present:
            raise UserError(f"--{name} means nothing to a run with --modality={modality}; leave it out.")


def refuse_idle_search(parsed: Parsed, config: Config) -> None:
    """Raises: UserError for --search_sweeps where nothing is searched."""
    if "search_sweeps" in parsed.present and not config.evaluation.search_candidates:
        raise UserError("--search_sweeps is for a search; give --search_candidates too, or leave it out.")


def _define(item: Option | ExtraFlag, values: flags.FlagValues) -> None:
    if isinstance(item, Option) and item.choices:
        flags.DEFINE_enum(item.name, item.default, list(item.choices), item.help, flag_values=values)
        return
    define: dict[type, Callable[..., Any]] = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        list: flags.DEFINE_list,
    }
    define[item.type](item.name, item.default, item.help, flag_values=values)


def _joined(argv: Sequence[str]) -> list[str]:
    """The words of a command line, with `--flagfile NAME` as `--flagfile=NAME`: absl takes both."""
    words = iter(argv)
    return [f"--flagfile={next(words, '')}" if word in ("--flagfile", "-flagfile") else word for word in words]


def _resolve_flagfiles(argv: Sequence[str]) -> list[str]:
    resolved = []
    for argument in _joined(argv):
        name, _, value = argument.partition("=")
        if name in ("--flagfile", "-flagfile"):
            argument = f"--flagfile={find_flagfile(value)}"
        resolved.append(argument)
    return resolved


def find_flagfile(name: str) -> Path:
    """The flag file called `name`: in the working directory, else among the package's recipes."""
    recipes = config_lib.recipes_directory()
    for path in (Path(name), recipes / name):
        if name and path.is_file():
            return path.resolve()
    known = ", ".join(sorted(p.name for p in recipes.glob("*.flags")))
    raise UserError(f"--flagfile={name} is neither a file nor a recipe; the recipes are {known}.")


def config_from(parsed: Parsed) -> Config:
    """The run's config: what the flags say, and the work folder named after the flag file if none is given."""
    names = [option.name for option in config_lib.options()]
    return config_lib.from_values({name: parsed[name] for name in names})


def given(parsed: Parsed, chosen: Iterable[Option]) -> dict[str, Any]:
    """The settings that stand on the command line, without the work folder: they override those of the run."""
    names = [option.name for option in chosen if option.name != "workdir"]
    return {name: parsed[name] for name in names if name in parsed.present}


def default_workdir(argv: Sequence[str]) -> str:
    """`runs/<flag file without ending>`, or `runs/default`."""
    for argument in reversed(_joined(argv)):
        if argument.startswith(("--flagfile=", "-flagfile=")):
            return str(Path("runs") / Path(argument.partition("=")[2]).stem)
    return str(Path("runs") / "default")


def help_text(summary: str, chosen: Iterable[Option], extra: Sequence[ExtraFlag] = ()) -> str:
    """What --help prints: the purpose, then every flag with its default, by section."""
    lines = [textwrap.dedent(summary).strip(), ""]
    rows: list[tuple[str, Option | ExtraFlag]] = [("This command", item) for item in extra]
    rows += [(item.title, item) for item in chosen]
    title = None
    for section, item in rows:
        if section != title:
            title = section
            lines += [f"{section}:"]
        shown = str(item.default).lower() if item.type is bool else item.default
        choices = "|".join(item.choices) if isinstance(item, Option) and item.choices else ""
        head = f"  --{item.name}={choices or shown}"
        note = f"{item.help} [{shown}]" if choices else item.help
        body = textwrap.wrap(note, width=72)
        if len(head) < 30:
            lines.append(f"{head:<30}{body[0]}")
            body = body[1:]
        else:
            lines.append(head)
        lines += [" " * 30 + part for part in body]
    return "\n".join(lines) + "\n"


def _of_use(record: logging.LogRecord) -> bool:
    """Not what TFDS says of its own code, whenever it decodes a part of an example."""
    return "FeatureConnector.dtype" not in record.getMessage()


def main(
    name: str,
    run: Callable[[list[str]], None],
    summary: str,
    chosen: Iterable[Option] = (),
    extra: Sequence[ExtraFlag] = (),
) -> int:
    """Runs a command: 0 when it is done, 2 after one sentence when the user must change something."""
    argv = sys.argv[1:]
    logging.getLogger("absl").addFilter(_of_use)
    if any(argument in ("--help", "-h", "-help", "--helpfull") for argument in argv):
        sys.stdout.write(help_text(summary, chosen, extra))
        return 0
    try:
        run(argv)
    except UserError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 2
    except Interrupted as stop:
        sys.stderr.write(f"\n{name}: {stop}\n")
        return stop.exit_status
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{name}: interrupted; the same command goes on from the last checkpoint.\n")
        return 130
    return 0
