"""What `fit` and `evaluate` show of codes in any Keras model, and that serving counts nothing."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import vq_vae_tf as vq

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="elsewhere the counts are out of reach inside the compiled step"
)
QUANTIZERS = {
    "vector": lambda: vq.VectorQuantizer(16, 4, ema_decay=0.9),
    "product": lambda: vq.ProductQuantizer(2, 8, 4, ema_decay=0.9),
    "residual": lambda: vq.ResidualQuantizer(2, 8, 4, ema_decay=0.9),
}


def functional(quantizer):
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 3))
    z = keras.layers.Dense(4, name="z")(x)
    model = keras.Model(x, keras.layers.Dense(3)(quantizer(z)))
    model.compile("sgd", "mse", jit_compile=False)
    return model


def data(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 6, 3)).astype("float32")


def numbers(model, quantizer, x):
    """By NumPy: perplexity and codes in use, means over codebooks."""
    codes = np.asarray(quantizer.encode(model.get_layer("z")(x)))
    found = []
    for book in codes.reshape(-1, quantizer.num_codebooks or 1).T:
        p = np.bincount(book, minlength=quantizer.num_codes) / book.size
        found.append((np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()), np.count_nonzero(p)))
    return np.mean(found, axis=0)


def shown(scores, prefix=""):
    return [scores[f"{prefix}perplexity"], scores[f"{prefix}codes_in_use"]]


@pytest.mark.parametrize("name", QUANTIZERS)
def test_validation_and_evaluation_count_every_code_of_their_own_examples(name):
    quantizer = QUANTIZERS[name]()
    model = functional(quantizer)
    x, other = data(20), data(11, seed=1) * 3.0
    history = model.fit(x, x, batch_size=8, epochs=2, validation_data=(other, other), verbose=0).history
    last = {key: values[-1] for key, values in history.items()}
    np.testing.assert_allclose(shown(last, "val_"), numbers(model, quantizer, other), rtol=1e-5)
    for given in (other[:3], x, other):  # a batch that is no whole one; again, compiled; another number
        scores = model.evaluate(given, given, batch_size=8, verbose=0, return_dict=True)
        np.testing.assert_allclose(shown(scores), numbers(model, quantizer, given), rtol=1e-5)


@pytest.mark.parametrize("eagerly", [False, True])
def test_prediction_counts_nothing_and_is_counted_with_nothing(eagerly):
    quantizer = QUANTIZERS["vector"]()
    model = functional(quantizer)
    model.compile("sgd", "mse", jit_compile=False, run_eagerly=eagerly)
    x, other = data(16), data(9, seed=1)
    model.fit(x, x, batch_size=8, verbose=0)
    counted = np.asarray(quantizer.code_counts)
    assert counted.sum() == 16 * 6
    model.predict(other, verbose=0), model(other), model(other, training=False)
    np.testing.assert_array_equal(quantizer.code_counts, counted)
    for given in (x, x[:2]):
        scores = model.evaluate(given, given, batch_size=8, verbose=0, return_dict=True)
        np.testing.assert_allclose(shown(scores), numbers(model, quantizer, given), rtol=1e-5)
        model(other)  # between two evaluations
    model.fit(x, x, batch_size=8, verbose=0)
    assert np.asarray(quantizer.code_counts).sum() == 16 * 6


def test_what_is_served_holds_no_counting():
    import tensorflow as tf

    model = functional(QUANTIZERS["vector"]())
    served = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec((None, 6, 3))])
    graph = served.get_concrete_function().graph
    assert not [op.type for op in graph.get_operations() if op.type.startswith("Assign")]


def test_two_replicas_count_what_one_does():
    from vq_vae_tf.training.strategies import make_strategy

    x = data(16)
    with make_strategy("mirrored").scope():
        quantizer = QUANTIZERS["vector"]()
        model = functional(quantizer)
    model.fit(x, x, batch_size=8, verbose=0)
    scores = model.evaluate(x, x, batch_size=8, verbose=0, return_dict=True)
    np.testing.assert_allclose(shown(scores), numbers(model, quantizer, x), rtol=1e-5)
    assert np.asarray(quantizer.code_counts).sum() == 16 * 6
