"""One linear map moves the whole codebook."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from vq_vae_tf.quantizers import SimVQ


def test_training_on_few_codes_moves_all_and_nears_the_data():
    layer = SimVQ(16, 3)
    z = np.random.default_rng(0).normal(size=(32, 3)).astype("float32") + 2
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(optimizer=keras.optimizers.Adam(0.05))
    before = ops.convert_to_numpy(layer.codebook).copy()
    history = model.fit(z, epochs=30, batch_size=16, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert np.abs(ops.convert_to_numpy(layer.codebook) - before).max(-1).min() > 0.01
    np.testing.assert_allclose(
        layer.codebook, np.asarray(layer._coefficients.value) @ np.asarray(layer._map.value), rtol=1e-5
    )
    assert [v.name for v in layer.trainable_variables] == ["map"]


def test_gradients_by_hand(gradients):
    """With e = C W: dL/dW = C_used^T dL/de, and z gets the upstream gradient and the commitment's."""
    layer = SimVQ(8, 3, commitment_cost=0.7, seed=1)
    layer.build((None, 3))
    rng = np.random.default_rng(0)
    layer._map.assign(rng.normal(size=(3, 3)).astype("float32"))
    z, upstream = rng.normal(size=(2, 10, 3)).astype("float32")
    coefficients, codebook = np.asarray(layer._coefficients.value), ops.convert_to_numpy(layer.codebook)
    codes = np.square(z[:, None].astype("float64") - codebook).sum(-1).argmin(1)
    to_z, to_map = gradients(layer, z, upstream)
    difference = 2 * (z - codebook[codes]) / z.size
    np.testing.assert_allclose(to_z, upstream + 0.7 * difference, atol=1e-6)
    np.testing.assert_allclose(to_map, coefficients[codes].T @ -difference, atol=1e-6)
