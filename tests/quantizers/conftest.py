"""What several tests of quantizers need."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops


@pytest.fixture(scope="session")
def gradients():
    """Gradients of sum(upstream * output) + losses to z and to the trainable weights, on either backend."""

    def of(layer, z, upstream):
        others = [ops.copy(v) for v in layer.non_trainable_variables]

        def loss(z, *trained):
            output, _, losses = layer.stateless_call(list(trained), others, z, training=False, return_losses=True)
            return ops.sum(upstream * output) + sum(losses)

        values = [ops.convert_to_tensor(z), *[ops.copy(v) for v in layer.trainable_variables]]
        if keras.backend.backend() == "jax":
            import jax

            return [np.asarray(g) for g in jax.grad(loss, argnums=tuple(range(len(values))))(*values)]
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(values)
            value = loss(*values)
        return [tf.convert_to_tensor(g).numpy() for g in tape.gradient(value, values)]

    return of
