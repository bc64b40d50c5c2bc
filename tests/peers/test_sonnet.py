"""Step for step the quantizers of dm-sonnet, by the paper's authors."""

from __future__ import annotations

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.peers
sonnet = pytest.importorskip("sonnet", reason="dm-sonnet is not installed in this environment")
tf = pytest.importorskip("tensorflow")

from vq_vae_tf.quantizers import VectorQuantizer  # noqa: E402

CODES, DIM, STEPS = 16, 5, 100


def _batch(step):
    return tf.constant(np.random.default_rng(step).normal(size=(8, 4, 4, DIM)) + step / 50, tf.float32)


def _pair(**sonnets):
    ema = "decay" in sonnets
    kind = sonnet.nets.VectorQuantizerEMA if ema else sonnet.nets.VectorQuantizer
    theirs = kind(embedding_dim=DIM, num_embeddings=CODES, commitment_cost=0.25, **sonnets)
    ours = VectorQuantizer(
        CODES, DIM, 0.25, ema_decay=sonnets.get("decay"), initialization="random_normal", revive_below=0
    )
    ours.build((None, DIM))
    # Sonnet's average of a code not used yet is zero, ours stays where the code started: let step one use all.
    start = _batch(0).numpy().reshape(-1, DIM)[::7][:CODES]
    ours._book._codes.assign(start)
    theirs.embeddings.assign(start.T)
    return ours, theirs


def _step(quantizer, encoder, x):
    """Loss, output and gradient to the encoder of one call."""
    with tf.GradientTape() as tape:
        z = tf.linalg.matmul(x, encoder)
        output, loss, weights = quantizer(z)
        total = loss + tf.reduce_mean(tf.square(output - x))
    return output, loss, tape.gradient(total, [encoder, *weights])


def _run(call):
    """All outputs and losses of STEPS steps of SGD."""
    encoder = tf.Variable(tf.eye(DIM))
    trace = []
    for step in range(STEPS):
        output, loss, gradients = _step(call, encoder, _batch(step))
        encoder.assign_sub(0.1 * gradients[0])
        trace.append((output.numpy(), float(loss), encoder.numpy()))
        for apply in call.updates:
            apply(gradients[1:])
    return trace


class _Ours:
    def __init__(self, layer):
        self.layer = layer
        self.updates = [self._learn] if layer.trainable_variables else []

    def _learn(self, gradients):
        self.layer._book._codes.assign_sub(tf.convert_to_tensor(gradients[0]))

    def __call__(self, z):
        output = self.layer(z, training=True)
        return output, sum(self.layer.losses), [v.value for v in self.layer.trainable_variables]


class _Theirs:
    def __init__(self, module):
        self.module = module
        self.trained = [] if hasattr(module, "decay") else [module.embeddings]
        self.updates = [self._learn] if self.trained else []

    def _learn(self, gradients):
        self.module.embeddings.assign_sub(tf.convert_to_tensor(gradients[0]))

    def __call__(self, z):
        result = self.module(z, is_training=True)
        return result["quantize"], result["loss"], self.trained


# Sonnet adds epsilon to counts, which moves rarely used codes by 1e-5 of themselves; ours divides by the count.
@pytest.mark.parametrize("arguments", [{}, {"decay": 0.95, "epsilon": 1e-10}], ids=["gradient", "ema"])
def test_a_hundred_training_steps_are_sonnets(arguments):
    assert keras.backend.backend() == "tensorflow"
    ours, theirs = _pair(**arguments)
    for step, (a, b) in enumerate(zip(_run(_Ours(ours)), _run(_Theirs(theirs)), strict=True)):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5, err_msg=f"step {step}")
    np.testing.assert_allclose(ours.codebook, theirs.embeddings.numpy().T, rtol=1e-5, atol=1e-5)
    assert np.abs(ours.codebook - ours._book._codes.value).max() == 0
