"""Batches: the batch of step s depends on (seed, s) alone, so a resumed run sees what an unbroken one saw.

Everything runs in the C++ threads of `tf.data`; no Python is called for a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf

from vq_vae_tf.errors import UserError

Batch = dict[str, tf.Tensor]
# rows int64 [batch], epochs int64 [batch], batch -> batch
Augmentation = Callable[[tf.Tensor, tf.Tensor, Batch], Batch]

_ORDER, COIN = 0x0DDE, 0xC014  # third seed word: one per use, so that order and augmentation are independent
# Rounds of the cipher under index_shuffle: with its default of 4 the coins of two epochs correlate by 0.37.
_ROUNDS = 8
_PREFETCHED_BATCHES = 4


class Store(Protocol):
    """The examples of one split, to be fetched by row number."""

    @property
    def num_examples(self) -> int:
        """How many examples the split has."""

    def fetch(self, rows: tf.data.Dataset, batch_size: int | None) -> tf.data.Dataset:
        """Turns a dataset of int64 `[batch]` row numbers into one of (rows, batch); `batch_size` None: it may vary."""


@dataclass(frozen=True)
class ArrayStore:
    """Examples in memory: every array is `[num_examples, ...]`; a batch is one gather of rows."""

    arrays: Mapping[str, tf.Tensor]
    num_examples: int

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> ArrayStore:
        """Wraps NumPy arrays of equal length."""
        (length,) = {len(array) for array in arrays.values()}
        with tf.device("cpu"):
            return cls({name: tf.convert_to_tensor(array) for name, array in arrays.items()}, length)

    def fetch(self, rows: tf.data.Dataset, batch_size: int | None) -> tf.data.Dataset:
        """One gather a batch: see `Store`."""
        return rows.map(lambda r: (r, {name: tf.gather(array, r) for name, array in self.arrays.items()}))


@dataclass(frozen=True)
class ReadingStore:
    """Examples read and decoded when they are needed: `read(row int64 []) -> example` is a TensorFlow function."""

    read: Callable[[tf.Tensor], Batch]
    num_examples: int

    def fetch(self, rows: tf.data.Dataset, batch_size: int | None) -> tf.data.Dataset:
        """Reads examples in parallel, keeps their order: see `Store`."""
        if batch_size is None:
            return rows.flat_map(
                lambda r: tf.data.Dataset.from_tensor_slices(r).map(self._numbered, 4).batch(tf.size(r, tf.int64))
            )
        return rows.unbatch().map(self._numbered, tf.data.AUTOTUNE).batch(batch_size, drop_remainder=True)

    def _numbered(self, row: tf.Tensor) -> tuple[tf.Tensor, Batch]:
        return row, self.read(row)


def keyed_shuffle(index: tf.Tensor, seed: int, epoch: tf.Tensor, use: int, size: int) -> tf.Tensor:
    """A permutation of 0..size-1 keyed by (seed, epoch, use), evaluated at `index`, without making the whole of it.

    index, epoch: int64 `[n]`, one key an element; returns int64 `[n]`.
    """
    words = [tf.fill(tf.shape(index), tf.constant(word, tf.int64)) for word in (seed & 0x7FFFFFFF, use)]
    key = tf.stack([words[0], epoch, words[1]], axis=-1)
    max_index = tf.constant(size - 1, tf.int64)
    return tf.raw_ops.RandomIndexShuffle(index=index, seed=key, max_index=max_index, rounds=_ROUNDS)


def rows_of_step(
    step: tf.Tensor, num_examples: int, batch_size: int, seed: int, num_shards: int = 1, shard: int = 0
) -> tuple[tf.Tensor, tf.Tensor]:
    """The rows of one shard of a global batch, and the epoch of each.

    Equation: position p = step * batch_size + i; epoch e = p // n; row = permutation_(seed, e)(p mod n).
    A batch may cross the border of an epoch: nothing is dropped, every example appears exactly once in each epoch.
    Returns int64 `[batch_size / num_shards]` twice.
    """
    local = batch_size // num_shards
    position = step * batch_size + tf.range(shard * local, (shard + 1) * local, dtype=tf.int64)
    epoch = position // num_examples
    return keyed_shuffle(position % num_examples, seed, epoch, _ORDER, num_examples), epoch


def training_batches(
    store: Store,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    num_shards: int = 1,
    shard: int = 0,
    augmentation: Augmentation | None = None,
) -> tf.data.Dataset:
    """The endless stream of batches from `start_step` on; with `num_shards` > 1 this shard's rows of each global batch.

    Raises: UserError for an empty split or a batch size that the shards do not divide.
    """
    check_batching(store.num_examples, batch_size, num_shards, shard)
    if batch_size > store.num_examples:
        raise UserError(
            f"batch size {batch_size}, but the training split has {store.num_examples} examples: "
            "expected at most one epoch a batch; give a smaller batch size or more data."
        )
    local = batch_size // num_shards

    def rows(step: tf.Tensor) -> tf.Tensor:
        return rows_of_step(step, store.num_examples, batch_size, seed, num_shards, shard)

    steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
    if augmentation is None:
        batches = store.fetch(steps.map(lambda step: rows(step)[0]), local).map(lambda _, batch: batch)
    else:
        fetched = store.fetch(steps.map(lambda step: rows(step)[0]), local)
        epochs = steps.map(lambda step: rows(step)[1])
        batches = tf.data.Dataset.zip(epochs, fetched).map(lambda epoch, fetch: augmentation(fetch[0], epoch, fetch[1]))
    return _unsharded(batches.prefetch(_PREFETCHED_BATCHES))


def ordered_batches(store: Store, batch_size: int) -> tf.data.Dataset:
    """Every example once, in the order of the store; the last batch is smaller when the sizes do not divide."""
    check_batching(max(store.num_examples, 1), batch_size, 1, 0)
    rows = tf.data.Dataset.range(store.num_examples).batch(batch_size)
    return _unsharded(store.fetch(rows, None).map(lambda _, batch: batch).prefetch(_PREFETCHED_BATCHES))


def check_batching(num_examples: int, batch_size: int, num_shards: int, shard: int) -> None:
    """Refuses what cannot be batched. Raises: UserError."""
    if num_examples < 1:
        raise UserError("the split has no examples, expected at least one: choose another split or data set.")
    if batch_size < 1 or num_shards < 1 or batch_size % num_shards:
        raise UserError(
            f"batch size {batch_size} over {num_shards} replicas: expected a positive multiple of {num_shards}; "
            "change the batch size."
        )
    if not 0 <= shard < num_shards:
        raise ValueError(f"shard {shard} of {num_shards}: expected 0 <= shard < num_shards")


def _unsharded(batches: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # The rows of a shard are chosen above; tf.distribute must not cut them again.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options)
