"""Any record of a prepared TFDS split by its number: what makes an exact order possible for data larger than memory."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError

_LENGTH = struct.Struct("<Q")
_AROUND = 16  # bytes of a TFRecord beside its data: length, CRC of the length, CRC of the data
_THREADS = 16


def record_offsets(path: str) -> np.ndarray:
    """Where each record of a TFRecord file starts, int64 `[records]`; reads only the lengths."""
    offsets: list[int] = []
    with tf.io.gfile.GFile(path, "rb") as file:
        end, at = file.size(), 0
        while at < end:
            offsets.append(at)
            file.seek(at)
            at += _LENGTH.unpack(file.read(_LENGTH.size))[0] + _AROUND
    return np.array(offsets, np.int64)


def record_reader(paths: Sequence[str]) -> tuple[int, Callable[[tf.Tensor], tf.Tensor]]:
    """The number of records in the files, and a TensorFlow function from a record's number to its bytes."""
    with ThreadPoolExecutor(_THREADS) as pool:
        offsets = list(pool.map(record_offsets, paths))
    files = tf.constant(list(paths))
    file_of = tf.constant(np.repeat(np.arange(len(paths), dtype=np.int32), [len(part) for part in offsets]))
    offset_of = tf.constant(np.concatenate(offsets))

    def read(number: tf.Tensor) -> tf.Tensor:
        # The raw operation: the Python class TFRecordDataset does not let `byte_offsets` through.
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.gather(files, file_of[number])[None],
            compression_type="",
            buffer_size=tf.constant(0, tf.int64),
            byte_offsets=offset_of[number][None],
        )
        (record,) = tf.raw_ops.DatasetToSingleElement(
            dataset=tf.raw_ops.TakeDataset(
                input_dataset=records, count=tf.constant(1, tf.int64), output_types=[tf.string], output_shapes=[[]]
            ),
            output_types=[tf.string],
            output_shapes=[[]],
        )
        return record

    return len(offset_of), read


def split_reader(builder: Any, split: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """`record_reader` of a TFDS split. Raises: UserError when the files are no TFRecords or hold another number."""
    info = builder.info.splits[split]
    if builder.info.file_format is None or builder.info.file_format.value != "tfrecord":
        raise UserError(
            f"{builder.data_path}: stored as {builder.info.file_format}, expected TFRecord files; prepare again."
        )
    count, read = record_reader([str(path) for path in info.filepaths])
    if count != info.num_examples:
        raise UserError(
            f"{builder.data_path}: {count} records in {split!r}, expected {info.num_examples}; prepare again."
        )
    return read
