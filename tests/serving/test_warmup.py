"""The warm-up file, read back by protobuf itself from the published message definitions."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

from vq_vae_tf.serving.export import WARMUP
from vq_vae_tf.serving.warmup import prediction_log


def prediction_log_class():
    """tensorflow.serving.PredictionLog, as far as Predict requests need it."""
    file = descriptor_pb2.FileDescriptorProto(name="warmup_test.proto", package="warmup_test", syntax="proto3")
    file.dependency.append(tensor_pb2.DESCRIPTOR.name)

    def message(name, *fields, within=None):
        made = (file.message_type if within is None else within).add(name=name)
        for field, number, of, repeated in fields:
            made.field.add(
                name=field, number=number, label=3 if repeated else 1, type=9 if of == "string" else 11,
                type_name=None if of == "string" else of,
            )  # fmt: skip
        return made

    message("ModelSpec", ("name", 1, "string", False), ("signature_name", 3, "string", False))
    request = message(
        "PredictRequest",
        ("model_spec", 1, ".warmup_test.ModelSpec", False),
        ("inputs", 2, ".warmup_test.PredictRequest.InputsEntry", True),
    )
    entry = ("key", 1, "string", False), ("value", 2, ".tensorflow.TensorProto", False)
    message("InputsEntry", *entry, within=request.nested_type).options.map_entry = True
    message("PredictLog", ("request", 1, ".warmup_test.PredictRequest", False))
    message("PredictionLog", ("predict_log", 6, ".warmup_test.PredictLog", False))
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("warmup_test.PredictionLog"))


def test_every_warm_up_request_runs_and_none_needs_xla(exported, signatures):
    parsed = [
        prediction_log_class().FromString(record.numpy()).predict_log.request
        for record in tf.data.TFRecordDataset(str(exported / WARMUP))
    ]
    assert {request.model_spec.name for request in parsed} == {"small"}
    names = [request.model_spec.signature_name for request in parsed]
    # A server refuses the model if one of them fails, and has XLA off by default.
    assert names == ["reconstruct", "encode", "encode_png", "decode", "elbo", "log_prob"]
    for request in parsed:
        arguments = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        signature = signatures[request.model_spec.signature_name]
        assert set(arguments) == set(signature.structured_input_signature[1])
        for output in signature(**{name: tf.constant(value) for name, value in arguments.items()}).values():
            assert output.shape[0] == 1


def test_lengths_beyond_one_byte():
    image = np.arange(30_000, dtype=np.uint8).reshape(1, 100, 100, 3)
    written = prediction_log("m" * 200, "encode", {"image": image})
    request = prediction_log_class().FromString(written).predict_log.request
    assert request.model_spec.name == "m" * 200
    np.testing.assert_array_equal(tf.make_ndarray(request.inputs["image"]), image)
