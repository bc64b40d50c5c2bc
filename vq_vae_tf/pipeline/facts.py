"""What a run's models have to know of its data: kept beside them, so that they serve where the data is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import write_json


def read_facts(path: Path) -> dict[str, Any] | None:
    """The facts in a file; None if it is not there. Raises: UserError for a damaged one."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        facts = None
    if not isinstance(facts, dict):
        raise UserError(f"{path} is damaged; remove it: the data set itself is then opened for what it said.")
    return facts


def write_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Replaces the file. Raises: UserError if it cannot be written."""
    with writing(path):
        write_json(path, facts)


def check_facts(path: Path, facts: Mapping[str, Any], dataset: str) -> None:
    """Raises: UserError if the data is no longer what the file at `path`, if there is one, says of it."""
    before = read_facts(path) or {}
    now = json.loads(json.dumps(facts))  # tuples are lists in the file
    for name in sorted(set(before) & set(now) - {"name"}):
        if before[name] != now[name]:
            raise UserError(
                f"--dataset={dataset} has other {name} than when {path.parent} was trained ({_short(now[name])} for "
                f"{_short(before[name])}); give the data it was trained on, or another --workdir."
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
