"""Two virtual CPU devices for the replica tests; quiet TensorFlow."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import hypothesis
import keras
import pytest

hypothesis.settings.register_profile("no deadline", deadline=None)  # the first example pays for compilation
hypothesis.settings.load_profile("no deadline")

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    _cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(_cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


# What TensorFlow's import leaves takes long to go through again and again: a tenth of the time of a chain of commands.
gc.collect()
gc.freeze()
gc.set_threshold(100_000, 50, 100)


@pytest.fixture
def events():
    """Reads event files."""
    return _events


def _events(folder):
    """Tag -> (step, value) of every summary in the event files of a folder."""
    found = {}
    for path in folder.iterdir():
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found |= {value.tag: (event.step, value.tensor) for value in event.summary.value}
    return found
