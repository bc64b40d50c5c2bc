from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from vq_vae_tf.batches import (
    COIN,
    ArrayStore,
    ReadingStore,
    keyed_shuffle,
    ordered_batches,
    rows_of_step,
    training_batches,
)
from vq_vae_tf.errors import UserError

SIZE = 11


def array_store(size=SIZE):
    return ArrayStore.of({"x": np.arange(size, dtype=np.int64)})


def reading_store(size=SIZE):
    values = tf.range(size, dtype=tf.int64)
    return ReadingStore(lambda row: {"x": tf.gather(values, row)}, size)


STORES = pytest.mark.parametrize("make_store", [array_store, reading_store])


def take(dataset, count):
    return np.stack([batch["x"].numpy() for batch in dataset.take(count)])


@STORES
def test_every_example_once_an_epoch_though_batches_cross_epochs(make_store):
    batch = 4  # does not divide 11: 11 batches are 4 epochs
    seen = take(training_batches(make_store(), batch, seed=5), SIZE).reshape(-1, SIZE)
    assert seen.shape == (4, SIZE)
    for epoch in seen:
        assert sorted(epoch) == list(range(SIZE))
    assert len({tuple(epoch) for epoch in seen}) == 4


@STORES
def test_resumed_stream_equals_the_unbroken_one(make_store):
    unbroken = take(training_batches(make_store(), 4, seed=5), 9)
    for start in (0, 1, 6):
        resumed = take(training_batches(make_store(), 4, seed=5, start_step=start), 9 - start)
        np.testing.assert_array_equal(resumed, unbroken[start:])


@STORES
def test_shards_concatenate_to_the_global_batch(make_store):
    whole = take(training_batches(make_store(), 6, seed=2, start_step=3), 5)
    shards = [take(training_batches(make_store(), 6, 2, 3, num_shards=3, shard=shard), 5) for shard in range(3)]
    np.testing.assert_array_equal(np.concatenate(shards, axis=1), whole)


def test_both_stores_give_the_same_batches():
    np.testing.assert_array_equal(
        take(training_batches(array_store(), 3, seed=1), 8), take(training_batches(reading_store(), 3, seed=1), 8)
    )


@STORES
def test_ordered_batches_keep_order_and_the_rest(make_store):
    batches = [batch["x"].numpy().tolist() for batch in ordered_batches(make_store(), 4)]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_shapes_are_static_for_the_compiler():
    for store in (array_store(), reading_store()):
        assert training_batches(store, 4, seed=0).element_spec["x"].shape == (4,)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(0, 2**40), st.integers(0, 1000))
def test_keyed_shuffle_is_a_permutation(size, seed, epoch):
    index = tf.range(size, dtype=tf.int64)
    result = keyed_shuffle(index, seed, tf.fill([size], tf.constant(epoch, tf.int64)), 1, size).numpy()
    assert sorted(result) == list(range(size))


def test_order_and_coins_of_epochs_are_uncorrelated():
    size = 4096
    index = tf.range(size, dtype=tf.int64)

    def order(epoch, use=1, seed=0):
        return keyed_shuffle(index, seed, tf.fill([size], tf.constant(epoch, tf.int64)), use, size).numpy()

    orders = [order(0), order(1), order(2), order(0, seed=1), order(0, use=2), np.arange(size)]
    assert np.abs(np.corrcoef(orders) - np.eye(len(orders))).max() < 0.07
    for permutation in orders[:-1]:
        assert abs(np.corrcoef(permutation[1:], permutation[:-1])[0, 1]) < 0.07
    epochs = [tf.fill([size], tf.constant(epoch, tf.int64)) for epoch in range(6)]
    coins = np.stack([keyed_shuffle(index, 0, epoch, COIN, 2 * size).numpy() % 2 for epoch in epochs])
    assert np.abs(coins.mean(1) - 0.5).max() < 0.04
    assert np.abs(np.corrcoef(coins) - np.eye(6)).max() < 0.07


def test_rows_and_epochs_of_a_step_against_the_whole_permutation():
    index = tf.range(SIZE, dtype=tf.int64)
    permutations = [
        keyed_shuffle(index, 9, tf.fill([SIZE], tf.constant(epoch, tf.int64)), 0x0DDE, SIZE).numpy() for epoch in (0, 1)
    ]
    rows, epochs = rows_of_step(tf.constant(2, tf.int64), SIZE, 4, seed=9)  # positions 8..11
    assert rows.numpy().tolist() == [*permutations[0][8:], permutations[1][0]]
    assert epochs.numpy().tolist() == [0, 0, 0, 1]


def test_far_steps_do_not_overflow():
    step, index = 2**40, tf.range(SIZE, dtype=tf.int64)
    batch = take(training_batches(array_store(), 4, seed=0, start_step=step), 1)
    epochs, places = np.divmod(4 * step + np.arange(4), SIZE)
    orders = {e: keyed_shuffle(index, 0, tf.fill([SIZE], tf.constant(e, tf.int64)), 0x0DDE, SIZE) for e in set(epochs)}
    expected = [int(orders[epoch][place]) for epoch, place in zip(epochs, places, strict=True)]
    assert batch.reshape(-1)[:4].tolist() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch size 0"),
        ({"batch_size": 5, "num_shards": 2}, "multiple of 2"),
        ({"batch_size": SIZE + 1}, "smaller batch size"),
    ],
)
def test_refuses_impossible_batches(options, message):
    with pytest.raises(UserError, match=message):
        training_batches(array_store(), seed=0, **options)


def test_refuses_an_empty_split():
    with pytest.raises(UserError, match="no examples"):
        training_batches(array_store(0), 1, seed=0)
