"""What `fit` shows, and what is counted."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.ops.entropy import perplexity
from vq_vae_tf.quantizers import ProductQuantizer, SimVQ, VectorQuantizer
from vq_vae_tf.quantizers.usage import CodeUsage


def _z(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_fit_shows_the_perplexity_of_the_whole_epoch():
    layer = VectorQuantizer(16, 3, ema_decay=0.9)
    model = keras.Sequential([keras.Input((5, 3)), layer])
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(0.0))
    model.add(keras.layers.Dense(3))
    model.compile(optimizer="sgd", loss="mse")
    z = _z(12, 5, 3)
    history = model.fit(z, z, epochs=2, batch_size=4, verbose=0).history
    counts = ops.convert_to_numpy(layer.code_counts.value)
    assert counts.sum() == 60  # of the second epoch alone
    np.testing.assert_allclose(history["perplexity"][-1], float(perplexity(counts)), rtol=1e-5)
    assert history["codes_in_use"][-1] == np.count_nonzero(counts)
    assert history["dead_codes"][-1] == 16 - np.count_nonzero(counts)
    share = counts[counts > 0] / counts.sum()
    np.testing.assert_allclose(history["code_bits"][-1], -(share * np.log2(share)).sum(), rtol=1e-5)


def test_numbers_of_several_codebooks_are_means_over_them():
    layer = ProductQuantizer(2, 4, 6, initialization="random_normal", revive_below=0)
    layer(_z(2, 3, 6), training=True)
    layer.code_counts.assign([[6, 0, 0, 0], [3, 3, 0, 0]])
    found = {name: float(value) for name, value in CodeUsage(layer).result().items()}
    expected = {"perplexity": 1.5, "codes_in_use": 1.5, "dead_codes": 2.5, "code_bits": 0.5}
    assert found == pytest.approx(expected, rel=1e-5)


def test_quantizers_with_names_do_not_hide_each_other():
    model = keras.Sequential([keras.Input((5, 3))])
    for name, size in (("coarse", 4), ("fine", 16)):
        model.add(VectorQuantizer(size, 3, ema_decay=0.9, name=name))
        model.add(keras.layers.Dense(3))
    model.compile(optimizer="sgd", loss="mse")
    z = _z(12, 5, 3)
    history = model.fit(z, z, batch_size=4, verbose=0).history
    assert history["coarse_codes_in_use"][-1] + history["coarse_dead_codes"][-1] == 4
    assert history["fine_codes_in_use"][-1] + history["fine_dead_codes"][-1] == 16
    assert "perplexity" not in history


@pytest.mark.parametrize("kind", [VectorQuantizer, SimVQ])
def test_names_that_keras_gives_are_not_shown(kind):
    layers = [kind(4, 2), kind(4, 2), kind.from_config(kind(4, 2).get_config()), kind(4, 2, name="quantizer")]
    assert all(set(CodeUsage(layer).result()) == set(CodeUsage.NUMBERS) for layer in layers)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_the_symbolic_dtype_is_that_of_z(policy):
    for dtype in ("float32", "bfloat16"):
        z = keras.Input((5, 3), dtype=dtype)
        z_q = VectorQuantizer(4, 3, dtype=policy)(z)
        assert (z_q.dtype, z_q.shape) == (dtype, z.shape)


def test_counts_are_the_codes_of_training_calls_alone():
    layer = ProductQuantizer(2, 4, 6, initialization="random_normal", revive_below=0)
    z = _z(7, 3, 6)
    codes = ops.convert_to_numpy(layer.encode(z)).reshape(-1, 2)
    layer(z, training=True)
    layer(z, training=False)
    layer.encode(z)
    expected = [np.bincount(codes[:, book], minlength=4) for book in range(2)]
    np.testing.assert_array_equal(layer.code_counts.value, expected)
    layer.reset_code_counts()
    np.testing.assert_array_equal(layer.code_counts.value, np.zeros((2, 4)))


def test_a_keras_mask_reaches_the_quantizer():
    layer = VectorQuantizer(4, 2, ema_decay=0.9)
    x = np.array([[[0, 0], [1, 2], [0, 0]], [[3, 4], [0, 0], [0, 0]]], "float32")
    layer(keras.layers.Masking()(x), training=True)
    assert float(ops.sum(layer.code_counts.value)) == 2


@pytest.fixture(params=["float32", "float64"])
def floatx(request):
    before = keras.config.floatx()
    keras.config.set_floatx(request.param)
    yield request.param
    keras.config.set_floatx(before)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has float64 only where it is switched on")
@pytest.mark.usefixtures("floatx")
def test_a_model_in_float64_trains():
    x = keras.Input((4,), dtype="float64")
    y = VectorQuantizer(8, 4, ema_decay=0.9, dtype="float64")(x)
    model = keras.Model(x, keras.layers.Dense(4, dtype="float64")(y))
    model.compile("sgd", loss="mse")
    z = np.random.default_rng(0).normal(size=(32, 4))
    assert np.isfinite(model.train_on_batch(z, z)).all()
