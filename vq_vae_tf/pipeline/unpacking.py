"""The models of an export as those of a finished run, for another one to begin with (--start_from)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from vq_vae_tf import config as config_lib
from vq_vae_tf.codes import CodeManifest
from vq_vae_tf.config import Config
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import write_text
from vq_vae_tf.pipeline.facts import write_facts
from vq_vae_tf.pipeline.run import Run
from vq_vae_tf.serving.export import METADATA
from vq_vae_tf.training.digest import weights_digest
from vq_vae_tf.training.result import TrainResult, write_result

_FACTS = {
    "name": "dataset",
    "image_shape": "image_shape",
    "class_names": "class_names",
    "rate": "sample_rate",
    "window": "window",
    "clip_length": "clip_length",
    "action_names": "action_names",
}
"""Facts of data, and what they are called in the metadata of an export."""
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
    """Makes a run in `directory` of the VQ-VAE that the export at `path` holds, without critics, which it does not.

    Args:
        path: the export's version folder.
        directory: of the run, empty.
        vectors: z_e in a batch of the training that is to go on. An export does not say how often its codes were used:
            they begin as if all were used alike.

    Raises:
        UserError: a damaged export, or one whose networks this version builds otherwise.
    """
    run = _as_run(path, directory)
    model = run.modality.build_vqvae(run.config, run.known)
    _set(model, _variables(path, "vqvae"), path)
    _as_if_used(model, vectors)
    _write(model, run.vqvae, run.config.training.steps)
    return run


def unpack_prior(path: Path, directory: Path, manifest: CodeManifest) -> Run:
    """Makes a run in `directory` of the prior that the export at `path` holds, over codes such as `manifest`'s.

    Raises:
        UserError: as `unpack`.
    """
    run, metadata = _as_run(path, directory), _metadata(path)
    names = tuple(metadata.get("action_names", metadata["class_names"]))
    theirs = replace(manifest, class_names=names, num_labels=len(names))
    prior = run.modality.build_prior(run.config, theirs)
    _set(prior, _variables(path, "prior"), path)
    _write(prior, run.prior, run.config.prior.prior_steps)
    return run


def why_no_prior(path: Path, manifest: CodeManifest) -> str:
    """Why the prior of an export cannot go on over codes such as `manifest`'s; "" if it can. Raises: UserError."""
    names, metadata = [name for name, _ in _stored(path, "prior")[1]], _metadata(path)
    if not names:
        return "it has none"
    if len(set(names)) < len(names):
        return "it does not tell the layers of its prior apart, as those of this version do"
    theirs = tuple(metadata.get("code_shape", manifest.code_shape)), metadata["num_codes"]
    if theirs != (manifest.code_shape, manifest.num_codes):
        return f"its codes are {theirs[0]} of {theirs[1]}, these {manifest.code_shape} of {manifest.num_codes}"
    return ""


def _as_run(path: Path, directory: Path) -> Run:
    metadata = _metadata(path)
    config = config_lib.replace(exported_config(path), workdir=str(directory), **_CRITICS)
    run, known = Run(config, directory), {**metadata["config"], **metadata}
    write_text(run.config_file, config_lib.to_flagfile(config))
    write_facts(run.facts, {name: known[source] for name, source in _FACTS.items() if source in known})
    return run


def _write(model: keras.Model, directory: Path, steps: int) -> None:
    directory.mkdir(parents=True)
    write_result(model, TrainResult(steps, weights_digest(model), 0.0, {}, {}), directory)


def _metadata(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((path / METADATA).read_text(encoding="utf-8"))
        return {**metadata, "config": dict(metadata["config"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path / METADATA} is damaged ({error!r}); export the model again.") from error


def _stored(path: Path, part: str) -> tuple[Any, list[tuple[str, str]]]:
    """What reads weights; those of a part by `_tail` of their names, and the keys that they are stored under."""
    with _damage_named(path):
        reader, graph = tf.train.load_checkpoint(str(path / "variables" / "variables")), TrackableObjectGraph()
        graph.ParseFromString(reader.get_tensor(_GRAPH))
    stored = [(a.full_name, a.checkpoint_key) for node in graph.nodes for a in node.attributes]
    return reader, [(_tail(name), key) for name, key in stored if name.startswith(f"{part}/")]


def _variables(path: Path, part: str) -> dict[str, np.ndarray]:
    reader, stored = _stored(path, part)
    with _damage_named(path):
        return {name: reader.get_tensor(key) for name, key in stored}


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
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
