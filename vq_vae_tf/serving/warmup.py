"""Requests that TF Serving runs before it takes a new version into use (`assets.extra/tf_serving_warmup_requests`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf


def write_warmup(path: Path, name: str, requests: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes one record a request: signature -> argument -> array."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, arguments in requests.items():
            writer.write(prediction_log(name, signature, arguments))


def prediction_log(name: str, signature: str, arguments: Mapping[str, Any]) -> bytes:
    """A `tensorflow.serving.PredictionLog` with a `PredictRequest`, encoded here to do without tensorflow-serving-api.

    Field numbers are those of prediction_log.proto, predict.proto and model.proto.
    """
    model_spec = _field(1, name.encode()) + _field(3, signature.encode())
    request = _field(1, model_spec)
    for argument, value in arguments.items():
        tensor = tf.make_tensor_proto(value).SerializeToString(deterministic=True)
        request += _field(2, _field(1, argument.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field in protobuf's wire format."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    low = value & 0x7F
    return bytes([low]) if value < 0x80 else bytes([low | 0x80]) + _varint(value >> 7)
