"""A tiny model with everything that a resume must restore; also the process that the kill and worker tests start.

python toy.py DIRECTORY STRATEGY STEPS SECONDS_A_STEP
"""

from __future__ import annotations

import sys
import time

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from vq_vae_tf.ops.replicas import of_this_replica
from vq_vae_tf.quantizers.vector import VectorQuantizer
from vq_vae_tf.training import TrainingOptions, make_strategy, train

FEATURES = 4


@keras.saving.register_keras_serializable(package="test")
class Toy(keras.Model):
    """Dense, dropout (a random generator's state), an EMA codebook (non-trainable state), Dense."""

    def __init__(self, dropout=0.0, width=8):
        super().__init__()
        self.encoder = keras.layers.Dense(width, name="encoder")
        self.dropout = keras.layers.Dropout(dropout)
        self.quantizer = VectorQuantizer(2 * width, width, ema_decay=0.9)
        self.decoder = keras.layers.Dense(FEATURES, name="decoder")

    def call(self, x, training=None):
        hidden = self.dropout(ops.relu(self.encoder(x)), training=training)
        return ops.cast(self.decoder(self.quantizer(hidden, training=training)), "float32")

    def loss_terms(self, batch, training=True):
        error = ops.mean(ops.square(self(batch["x"], training=training) - batch["x"]))
        quantization = sum(of_this_replica(self.losses))
        return {"loss": error + quantization, "reconstruction": error, "quantization": quantization}


def batches(batch_size, start_step, num_shards, shard):
    """Rows of step s depend on s alone."""
    local = batch_size // num_shards

    def rows(step):
        x = tf.random.stateless_normal([batch_size, FEATURES], [7, step])
        return {"x": x[shard * local : (shard + 1) * local]}

    return tf.data.Dataset.counter(start_step).map(rows)


def options(**changes):
    """Everything switched on, in sizes that do not divide each other."""
    return TrainingOptions(
        **{
            "steps": 23,
            "batch_size": 8,
            "learning_rate": 1e-2,
            "schedule": "cosine",
            "warmup_steps": 5,
            "weight_decay": 0.1,
            "clip_norm": 0.5,
            "weight_ema": 0.9,
            "log_every": 5,
            "checkpoint_every": 7,
            "summary_every": 10,
        }
        | changes
    )


def slow_batches(seconds):
    """The same batches, each after a pause: a run that can be killed in its middle."""

    def wait(step):
        time.sleep(seconds)
        return np.int64(step)

    def make(batch_size, start_step, num_shards, shard):
        data = batches(batch_size, start_step, num_shards, shard)
        waits = tf.data.Dataset.counter(0).map(lambda i: tf.numpy_function(wait, [i], tf.int64))
        return tf.data.Dataset.zip(data, waits).map(lambda batch, _: batch)

    return make


if __name__ == "__main__":
    directory, strategy, steps, seconds = sys.argv[1:]
    result = train(
        lambda: Toy(dropout=0.0 if strategy == "multi_worker" else 0.3),
        slow_batches(float(seconds)) if float(seconds) else batches,
        options(steps=int(steps), keep_checkpoints=100),
        directory,
        seed=3,
        strategy=make_strategy(strategy),
    )
    print(result.digest)
