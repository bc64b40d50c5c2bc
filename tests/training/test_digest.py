from __future__ import annotations

import numpy as np

from vq_vae_tf.training.digest import weights_digest


def built(toy):
    import keras

    keras.utils.set_random_seed(5)
    model = toy.Toy(dropout=0.5)
    model(np.ones((2, toy.FEATURES), "float32"), training=False)
    return model


def test_the_same_weights_have_the_same_digest_whatever_keras_calls_the_layers(toy):
    first, second = built(toy), built(toy)
    assert first.quantizer.name != second.quantizer.name
    assert weights_digest(first) == weights_digest(second)
    assert len(weights_digest(first)) == 64


def test_one_bit_of_any_weight_changes_it(toy):
    model = built(toy)
    digests = {weights_digest(model)}
    for variable in model.weights:
        if variable.name == "code_counts":
            continue
        value = np.array(variable.numpy())
        bits = value.reshape(-1).view(np.uint8)
        bits[0] ^= 1
        variable.assign(value)
        digests.add(weights_digest(model))
    assert len(digests) == len(model.weights)


def test_counting_codes_and_drawing_random_numbers_do_not(toy):
    model = built(toy)
    before = weights_digest(model)
    model.quantizer.trainable = False
    model(np.ones((2, toy.FEATURES), "float32"), training=True)
    assert model.quantizer.code_counts.numpy().sum() == 2
    assert weights_digest(model) == before
