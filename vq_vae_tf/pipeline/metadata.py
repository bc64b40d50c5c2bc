"""What stands beside every exported model: where it comes from, its settings, its scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vq_vae_tf import config as config_lib
from vq_vae_tf import version
from vq_vae_tf.errors import UserError
from vq_vae_tf.pipeline.loading import model_digests
from vq_vae_tf.pipeline.run import Run

_HIDDEN = ("workdir", "data_dir", "export_dir")
"""Flags that say something about the machine and nothing about the model."""


def export_metadata(run: Run) -> dict[str, Any]:
    """JSON values to keep beside the model."""
    settings = config_lib.to_values(run.config)
    return {
        "package_version": version.VERSION,
        "dataset": _without_path(run.known.name),
        "class_names": list(run.known.class_names),
        "digests": model_digests(run),
        "config": {
            **{name: value for name, value in settings.items() if name not in _HIDDEN},
            "dataset": _without_path(run.config.data.dataset),
        },
        "evaluation": _scores(run),
    }


def _scores(run: Run) -> dict[str, Any]:
    """Without what they are of, which stands beside them here."""
    try:
        scores = json.loads(run.evaluation.read_text(encoding="utf-8")) if run.evaluation.exists() else {}
    except ValueError as error:
        raise UserError(f"{run.evaluation} is damaged ({error}); run bin/evaluate, which writes it anew.") from None
    return {name: value for name, value in scores.items() if name != "measured"}


def _without_path(dataset: str) -> str:
    """`folder:/where/it/lies/NAME` as folder:NAME: the rest says something about the machine."""
    kind, _, path = dataset.partition(":")
    return f"folder:{Path(path).name}" if kind == "folder" else dataset
