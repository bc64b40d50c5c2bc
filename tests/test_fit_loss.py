"""`compile` and `fit`: what Keras makes of the models' own losses."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import vq_vae_tf as vq

SHAPE = (8, 8, 3)
tensorflow_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="replicas and tf.data are its own")


def vqvae():
    keras.utils.set_random_seed(1)
    built = vq.VQVAE(
        vq.ImageEncoder(4, units=8, residual_units=4, residual_blocks=1),
        vq.VectorQuantizer(16, 4, ema_decay=0.9, initialization="random_normal", revive_below=0.0),
        vq.ImageDecoder(3, units=8, residual_units=4, residual_blocks=1),
        vq.Gaussian(0.03),
    )
    built.build((None, *SHAPE))
    return built


def prior():
    keras.utils.set_random_seed(1)
    built = vq.Prior(vq.GatedPixelCNN(num_symbols=7, symbol_shape=(2, 3), features=8, num_layers=1))
    built.build()
    return built


def images(n):
    return np.random.default_rng(0).integers(0, 256, (n, *SHAPE)).astype(np.uint8)


def codes(n):
    """All alike but the last, which a trained prior finds unlikely."""
    return np.concatenate([np.zeros((n - 1, 2, 3)), np.full((1, 2, 3), 6)]).astype("int32")


CASES = pytest.mark.parametrize(("made", "examples"), [(vqvae, images), (prior, codes)])


@tensorflow_only
@CASES
def test_fit_on_two_replicas_is_fit_on_one(made, examples):
    """Plain gradient descent: Adam would hide a factor in the gradients."""
    from vq_vae_tf.training.strategies import make_strategy

    def fitted(model):
        model.compile(keras.optimizers.SGD(0.05), jit_compile=False)
        history = model.fit(examples(16), batch_size=8, epochs=2, shuffle=False, verbose=0).history
        return model.get_weights(), history, model.evaluate(examples(16), batch_size=8, verbose=0, return_dict=True)

    with make_strategy("mirrored").scope():
        both = made()
    (one, history, scores), (two, history_two, scores_two) = fitted(made()), fitted(both)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(b, a, atol=2e-6)
    np.testing.assert_allclose(history_two["loss"], history["loss"], rtol=1e-5)
    for name in {"loss", "bits_per_code"} & set(scores):
        assert scores_two[name] == pytest.approx(scores[name], rel=1e-5)


@CASES
def test_a_short_last_batch_counts_by_its_examples(made, examples):
    model, x = made(), examples(9)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    model.fit(x[:8], batch_size=8, epochs=15, verbose=0)
    scores = model.evaluate(x, batch_size=8, verbose=0, return_dict=True)
    each = [float(model.loss_terms(x[i : i + 1], training=False)["loss"]) for i in range(len(x))]
    assert np.std(each) > 0.01, "examples alike cannot tell weights apart"
    assert scores["loss"] == pytest.approx(np.mean(each), rel=1e-4)
    if "bits_per_code" in scores:
        assert scores["bits_per_code"] == pytest.approx(np.mean(each) / np.log(2), rel=1e-4)


@tensorflow_only
def test_evaluation_counts_the_codes_of_its_own_images_alone():
    model, x = vqvae(), images(9)
    model.compile("adam", jit_compile=False)
    history = model.fit(x[:4], batch_size=4, validation_data=(x, x), epochs=2, verbose=0).history
    seen = np.unique(np.asarray(model.encode(x)))
    assert history["val_codes_in_use"][-1] == len(seen) > 1
    assert model.evaluate(x[:2], verbose=0, return_dict=True)["codes_in_use"] == len(np.unique(model.encode(x[:2])))


@CASES
def test_weights_of_examples_are_refused(made, examples):
    model, x = made(), examples(4)
    model.compile("adam", jit_compile=False)
    with pytest.raises(ValueError, match="sample_weight or class_weight was given, but all examples count alike"):
        model.fit(x, x, sample_weight=np.ones(4, "float32"), verbose=0)


@tensorflow_only
def test_images_whose_size_is_known_only_once_they_come():
    import tensorflow as tf

    x = images(4)
    losses = []
    for shape in ((None, *SHAPE), (None, None, None, 3)):
        model = vqvae()
        model.compile("adam", jit_compile=False)
        dataset = tf.data.Dataset.from_generator(lambda: [x, x], output_signature=tf.TensorSpec(shape, tf.uint8))
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(2))
        losses.append(model.fit(dataset, shuffle=False, verbose=0).history["loss"])
        bound = tf.function(model.elbo, [tf.TensorSpec(shape, tf.uint8)], autograph=False)(x)
        np.testing.assert_allclose(bound["elbo"], model.elbo(x)["elbo"], rtol=1e-5)
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_config_survives_its_use():
    config = prior().get_config()
    first, second = vq.Prior.from_config(config), vq.Prior.from_config(config)
    assert first.get_config() == second.get_config()
