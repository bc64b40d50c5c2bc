"""The export under TensorFlow's C API, in a process without Python's TensorFlow: the loader that TF Serving uses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

LIBRARY = Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2"

CLIENT = """
import ctypes, json, sys
import numpy as np

library, model, calls, requests, answers = sys.argv[1:]
c = ctypes.CDLL(library)
pointer = ctypes.c_void_p
for name in ("TF_NewStatus", "TF_NewSessionOptions", "TF_NewGraph", "TF_LoadSessionFromSavedModel",
             "TF_GraphOperationByName", "TF_AllocateTensor", "TF_TensorData"):
    getattr(c, name).restype = pointer
c.TF_Message.restype = ctypes.c_char_p
c.TF_Dim.restype = ctypes.c_int64

class Output(ctypes.Structure):
    _fields_ = [("operation", pointer), ("index", ctypes.c_int)]

TYPES = {"float32": 1, "int32": 3, "uint8": 4}
status, graph = pointer(c.TF_NewStatus()), pointer(c.TF_NewGraph())

def check():
    assert c.TF_GetCode(status) == 0, c.TF_Message(status).decode()

def place(name):
    operation, index = name.split(":")
    found = c.TF_GraphOperationByName(graph, operation.encode())
    assert found, name
    return Output(found, int(index))

def to_tensor(array):
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    tensor = c.TF_AllocateTensor(TYPES[array.dtype.name], shape, array.ndim, ctypes.c_size_t(array.nbytes))
    ctypes.memmove(pointer(c.TF_TensorData(pointer(tensor))), np.ascontiguousarray(array).ctypes.data, array.nbytes)
    return tensor

def to_array(tensor):
    tensor = pointer(tensor)
    kind = next(name for name, number in TYPES.items() if number == c.TF_TensorType(tensor))
    shape = [c.TF_Dim(tensor, i) for i in range(c.TF_NumDims(tensor))]
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    return np.frombuffer(ctypes.string_at(pointer(c.TF_TensorData(tensor)), size), kind).reshape(shape)

tags = (ctypes.c_char_p * 1)(b"serve")
options = pointer(c.TF_NewSessionOptions())
session = pointer(c.TF_LoadSessionFromSavedModel(options, None, model.encode(), tags, 1, graph, None, status))
check()
given = {}
with np.load(requests, allow_pickle=False) as file:
    for signature, (inputs, outputs) in json.loads(calls).items():
        feeds = (Output * len(inputs))(*[place(name) for name in inputs.values()])
        values = (pointer * len(inputs))(*[to_tensor(file[f"{signature}/{key}"]) for key in inputs])
        fetches = (Output * len(outputs))(*[place(name) for name in outputs.values()])
        results = (pointer * len(outputs))()
        sizes = len(inputs), len(outputs)
        c.TF_SessionRun(session, None, feeds, values, sizes[0], fetches, results, sizes[1], None, 0, None, status)
        check()
        given |= {f"{signature}/{key}": to_array(result) for key, result in zip(outputs, results)}
np.savez(answers, **given)
assert "tensorflow" not in sys.modules
"""


@pytest.mark.skipif(not LIBRARY.exists(), reason="this TensorFlow brings no libtensorflow_cc.so.2")
def test_the_c_loader_runs_reconstruct_and_the_compiled_sample(exported, signatures, images, labels, tmp_path):
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((exported / "saved_model.pb").read_bytes())
    requests = {
        "serving_default": {"image": images},
        "sample": {"seed": np.int32(5), "label": labels, "temperature": np.float32(1.0)},
    }
    calls = {}
    for name in requests:
        signature = model.meta_graphs[0].signature_def[name]
        assert signature.method_name == "tensorflow/serving/predict"
        calls[name] = [{key: info.name for key, info in side.items()} for side in (signature.inputs, signature.outputs)]
    np.savez(tmp_path / "requests.npz", **{f"{name}/{key}": v for name, a in requests.items() for key, v in a.items()})
    arguments = [LIBRARY, exported, json.dumps(calls), tmp_path / "requests.npz", tmp_path / "answers.npz"]
    command = [sys.executable, "-c", CLIENT, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "answers.npz", allow_pickle=False) as given:
        for name, a in requests.items():
            for output, ours in signatures[name](**{key: tf.constant(value) for key, value in a.items()}).items():
                np.testing.assert_array_equal(given[f"{name}/{output}"], ours, err_msg=f"{name}/{output}")
