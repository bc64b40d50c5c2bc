"""The VQ-VAE of an export as a finished run, for another one to begin with (--start_from)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from vq_vae_tf import config as config_lib
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import write_text
from vq_vae_tf.pipeline.facts import write_facts
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.serving.export import METADATA
from vq_vae_tf.training.digest import weights_digest
from vq_vae_tf.training.result import TrainResult, write_result

_FACTS = {"rate": "sample_rate", "name": "dataset"}
"""Names that facts of data have in the metadata of an export, where they are others."""
_CRITICS = {"conversion_weight": 0.0, "said_weight": 0.0}
"""Flags without which a model has no parts that only its training knows."""
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def is_export(path: Path) -> bool:
    """Whether an export of this package lies there."""
    return (path / METADATA).is_file()


def exported_config(path: Path) -> Config:
    """The settings of the run that an export was made of. Raises: UserError if they cannot be read."""
    return config_lib.from_values(_metadata(path)["config"])


def unpack(path: Path, directory: Path, vectors: int) -> Run:
    """Makes a run in `directory` of the VQ-VAE that the export at `path` holds.

    It has no critics: an export has no use for them. The prior stays behind: in an export its layers have no names of
    their own.

    Args:
        path: the export's version folder.
        directory: of the run, empty.
        vectors: z_e in a batch of the training that is to go on. An export does not say how often its codes were used:
            they begin as if all were used alike.

    Raises:
        UserError: a damaged export, or one whose networks this version builds otherwise.
    """
    metadata = _metadata(path)
    config = config_lib.replace(exported_config(path), workdir=str(directory), **_CRITICS)
    run = Run(config, directory)
    known = {**metadata["config"], **metadata}
    sources = {name: _FACTS.get(name, name) for name in ("image_shape", "class_names", "window", "clip_length",
               "action_names", *_FACTS)}  # fmt: skip
    facts = {name: known[source] for name, source in sources.items() if source in known}
    run.vqvae.mkdir(parents=True)
    write_text(run.config_file, config_lib.to_flagfile(config))
    write_facts(run.facts, facts)
    model = run.modality.build_vqvae(config, run.known)
    _set(model, _variables(path), path)
    _as_if_used(model, vectors)
    write_result(model, TrainResult(config.training.steps, weights_digest(model), 0.0, {}, {}), run.vqvae)
    return run


def _metadata(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((path / METADATA).read_text(encoding="utf-8"))
        return {**metadata, "config": dict(metadata["config"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path / METADATA} is damaged ({error!r}); export the model again.") from error


def _variables(path: Path) -> dict[str, np.ndarray]:
    """Weights of the VQ-VAE by `_tail` of their names."""
    try:
        reader, graph = tf.train.load_checkpoint(str(path / "variables" / "variables")), TrackableObjectGraph()
        graph.ParseFromString(reader.get_tensor(_GRAPH))
        stored = {a.full_name: a.checkpoint_key for node in graph.nodes for a in node.attributes}
        return {_tail(name): reader.get_tensor(key) for name, key in stored.items() if name.startswith("vqvae/")}
    except (tf.errors.OpError, ValueError, RuntimeError, LookupError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is damaged ({said}); export the model again.") from error


def _set(model: keras.Model, values: dict[str, np.ndarray], path: Path) -> None:
    weights = {_tail(weight.path): weight for weight in model.weights}
    strange = [n for n, v in values.items() if n not in weights or tuple(weights[n].shape) != v.shape]
    if strange or not values:
        raise UserError(
            f"{path} holds weights that this version has no place for ({', '.join(sorted(strange)[:3]) or 'none'}); "
            "export the model again."
        )
    for name, value in values.items():
        weights[name].assign(value)


def _tail(path: str) -> str:
    """Without the model's own name, which Keras numbers by what else was built in the process."""
    return path.partition("/")[2]


def _as_if_used(model: Any, vectors: int) -> None:
    """A code that has never been used would be set by the first batch, and the one that was learned be lost."""
    for weight in model.quantizer.weights:
        if weight.name.endswith("usage"):
            weight.assign(np.full(weight.shape, vectors / weight.shape[-1], np.float32))
