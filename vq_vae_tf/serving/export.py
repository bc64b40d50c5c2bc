"""SavedModels that TensorFlow and TF Serving load without this package."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from vq_vae_tf.disk import writing
from vq_vae_tf.errors import UserError
from vq_vae_tf.files import write_json
from vq_vae_tf.serving.image import Endpoint, ImageEndpoints
from vq_vae_tf.serving.verify import verify
from vq_vae_tf.serving.versions import appearing, new_version
from vq_vae_tf.serving.warmup import write_warmup
from vq_vae_tf.version import VERSION

METADATA = "assets.extra/vq_vae_tf.json"
"""Where in a version folder the metadata lies; TensorFlow carries `assets.extra` along and does not read it."""
WARMUP = "assets.extra/tf_serving_warmup_requests"
COMPILED = ("sample", "complete")
"""Signatures with the sampling loop in them."""
EXAMPLES = 8
Requests = Mapping[str, Mapping[str, np.ndarray]]
"""Signature -> argument -> array."""


class Endpoints(Protocol):
    """What a model can be asked."""

    def endpoints(self) -> dict[str, Endpoint]:
        """Name of the signature -> function and arguments; the first is also `serving_default`."""


def export_image_model(
    vqvae: Any,
    prior: Any,
    directory: str | os.PathLike[str],
    name: str,
    *,
    images: Any,
    labels: Any = None,
    version: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    xla: bool = True,
) -> Path:
    """Writes `<directory>/<name>/<version>`, a SavedModel with the signatures of `ImageEndpoints`.

    It is written beside, loaded by a clean process and compared with the model in hand, then renamed: the folder is
    there only if all went well.

    Args:
        vqvae: a built `VQVAE`.
        prior: p(z), or None for an export without `sample`, `complete` and `log_prob`.
        directory, name: where; `name` is the model's name in TF Serving.
        images: some uint8 images `[n, height, width, channels]` to compare on; the first 8 are used.
        labels: their classes, int `[n]`; None is class 0.
        version: a positive integer; None is the next free one.
        metadata: JSON values to keep beside the model: class names, digests, recipe, measured numbers.
        xla: compile the sampling loop with XLA. TF Serving then needs `--xla_cpu_compilation_enabled=true`.

    Raises:
        UserError: the version exists, the folder cannot be written, prior and model do not belong together, or the
            clean process gives other results.
    """
    folder = new_version(directory, name, version)
    images, labels = _examples(images, labels)
    if tf.config.list_physical_devices("GPU"):  # the clean process answers on the CPU: so must this one
        vqvae, prior = on_cpu(vqvae, (None, *images.shape[1:])), on_cpu(prior) if prior is not None else None
    endpoints = ImageEndpoints(vqvae, prior, images.shape[1:], xla)
    requests = _requests(endpoints, images, labels)
    warm = _requests(endpoints, images[:1], labels[:1])
    if endpoints.looping and xla:  # whatever gives images then holds a compiled loop
        warm = {name: warm[name] for name in warm if name in ("encode", "encode_png", "elbo", "drawn_elbo", "log_prob")}
    write_verified(folder, endpoints, requests, warm, {**(metadata or {}), **_image_facts(endpoints), "xla": xla})
    return folder


def write_verified(
    folder: Path, endpoints: Endpoints, requests: Requests, warm: Requests, metadata: Mapping[str, Any]
) -> None:
    """Writes the SavedModel of `endpoints` beside `folder`, has a clean process answer `requests`, then renames it.

    warm: small requests of every signature; those that can run without XLA warm TF Serving up.
    metadata: JSON values, among them "xla".
    """
    name = folder.parent.name
    with appearing(folder) as partial:
        functions = _write_saved_model(endpoints, partial)
        described = {"name": name, "version": int(folder.name), **_description(endpoints, functions)}
        # TF Serving refuses the whole model when a warm-up request fails, and XLA is off there unless asked for.
        wanted = {k: v for k, v in warm.items() if not (metadata["xla"] and k in COMPILED)}
        with writing(folder.parent):
            write_json(partial / METADATA, {**metadata, **described})
            write_warmup(partial / WARMUP, name, wanted)
        verify(partial, requests, {k: functions[k](**_tensors(v)) for k, v in requests.items()})


def on_cpu(model: Any, input_shape: Any = None) -> Any:
    """A copy of a Keras model whose weights lie on the CPU, so that its functions run there."""
    with tf.device("CPU:0"):
        copy = type(model).from_config(model.get_config())
        copy.build(input_shape)
        copy.set_weights(model.get_weights())
    return copy


def _examples(images: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    images = np.asarray(images)[:EXAMPLES]
    labels = np.zeros(len(images), np.int32) if labels is None else np.asarray(labels, np.int32)[:EXAMPLES]
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images) or labels.shape != images.shape[:1]:
        raise UserError(
            f"An export is compared on images: {images.dtype} {images.shape} with labels {labels.shape} came, expected "
            "uint8 [n, height, width, channels] with labels [n]; pass some of the data."
        )
    return images, labels


def _write_saved_model(endpoints: Endpoints, folder: Path) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
    """Returns the traced function of every signature."""
    archive = keras.export.ExportArchive()
    with _quiet():
        functions = {
            name: archive.add_endpoint(name, function, arguments)
            for name, (function, arguments) in endpoints.endpoints().items()
        }
        with writing(folder.parent):
            archive.write_out(str(folder), verbose=False)
    return functions


def _requests(endpoints: ImageEndpoints, images: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """One request a signature."""
    codes = np.asarray(endpoints.vqvae.encode(images))
    mask = np.arange(len(images) * math.prod(endpoints.grid), dtype=np.int32) % 2
    values: dict[str, Any] = {
        "image": images,
        "image_bytes": np.array([tf.io.encode_png(image).numpy() for image in images]),
        "codes": codes,
        "keep_mask": mask.reshape(len(images), *endpoints.grid),
        "seed": np.int32(7),
        "label": labels,
        "temperature": np.float32(1.0),
    }
    return {
        name: {spec.name: values[spec.name] for spec in arguments}
        for name, (_, arguments) in endpoints.endpoints().items()
    }


def _tensors(arguments: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value) for name, value in arguments.items()}


def _image_facts(endpoints: ImageEndpoints) -> dict[str, Any]:
    names = ("image_shape", "code_shape", "num_codes", "num_codebooks", "num_labels")
    return {name: getattr(endpoints, name) for name in names}


def _description(endpoints: Endpoints, functions: Mapping[str, Any]) -> dict[str, Any]:
    """What the signatures take and give, and which versions wrote them."""
    return {
        "format_version": 1,
        "versions": {"vq_vae_tf": VERSION, "tensorflow": tf.__version__, "keras": keras.__version__},
        "signatures": {
            name: {
                "inputs": {spec.name: _spec(spec) for spec in arguments},
                "outputs": {k: _spec(v) for k, v in functions[name].get_concrete_function().structured_outputs.items()},
            }
            for name, (_, arguments) in endpoints.endpoints().items()
        },
    }


def _spec(spec: Any) -> dict[str, Any]:
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TensorFlow from announcing the hidden folder."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(level)
