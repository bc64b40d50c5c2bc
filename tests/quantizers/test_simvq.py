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
