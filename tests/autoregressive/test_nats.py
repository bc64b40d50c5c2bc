"""What training minimises is the cross-entropy of what sampling draws from, without the logits of other symbols."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from vq_vae_tf.autoregressive import NETWORKS, GatedPixelCNN
from vq_vae_tf.autoregressive.ordered import OrderedSymbols

SHAPES = {None: (3, 4), 6: (3, 4, 6)}


def _network(channels, logistics, kind="pixelcnn"):
    keras.utils.set_random_seed(1)
    sizes = {"num_symbols": 9, "num_channels": channels, "features": 8, "num_layers": 2, "logistics": logistics}
    return NETWORKS[kind](symbol_shape=SHAPES[channels], **sizes)


def _symbols(channels):
    symbols = np.random.default_rng(0).integers(0, 9, (5, *SHAPES[channels])).astype(np.int32)
    symbols[0], symbols[1] = 0, 8  # the ends take the tails
    return symbols


@pytest.mark.parametrize("kind", ["pixelcnn", "wavenet"])
@pytest.mark.parametrize("logistics", [0, 3])
@pytest.mark.parametrize("channels", [None, 6])
def test_nats_are_the_cross_entropy_of_the_logits(channels, logistics, kind):
    network, symbols = _network(channels, logistics, kind), _symbols(channels)
    nats = ops.convert_to_numpy(network.nats(symbols))
    logits = ops.convert_to_numpy(network(symbols)).astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    assert nats.shape == symbols.shape
    np.testing.assert_allclose(nats, -np.take_along_axis(logs, symbols[..., None], -1)[..., 0], rtol=2e-4)


def test_nats_far_from_every_component_have_a_limit_and_are_finite():
    network, symbols = _network(None, 2), _symbols(None)
    network.build()
    mixture = np.zeros(network.head.logits_bias.shape, np.float32)
    mixture[:, 2:4], mixture[:, 4:] = -0.9, -7.0  # both components narrow, at the first symbol
    network.head.logits_bias.assign(mixture)
    network.head.to_logits.assign(0.0 * network.head.to_logits)
    nats = ops.convert_to_numpy(network.nats(symbols))
    assert nats[0] == pytest.approx(0.0, abs=1e-4)
    np.testing.assert_allclose(nats[1], -np.log(1e-7), rtol=1e-3)


def test_ordered_symbols_start_as_neighbours():
    table = np.asarray(OrderedSymbols(3, spread=0.5, seed=0)((3 * 256, 64))).reshape(3, 256, 64)
    assert table.std() == pytest.approx(0.5, rel=0.1)
    steps = np.linalg.norm(np.diff(table, axis=1), axis=-1)
    apart = np.linalg.norm(table[:, 0] - table[:, 40], axis=-1)
    assert steps.max() < 0.2 * apart.min()
    assert np.abs(np.corrcoef(table[0].ravel(), table[1].ravel())[0, 1]) < 0.5
    network = GatedPixelCNN(9, (2, 2), features=4, num_layers=1, logistics=2)
    network.build()
    rows = np.asarray(network.embedding.embeddings)
    assert np.linalg.norm(rows[0] - rows[1]) < np.linalg.norm(rows[0] - rows[4])


def test_ordered_symbols_follow_the_global_seed_and_their_config():
    first, again = (keras.utils.set_random_seed(s) or np.asarray(OrderedSymbols(1)((9, 4))) for s in (3, 3))
    np.testing.assert_array_equal(first, again)
    config = OrderedSymbols(2, 0.3, seed=5).get_config()
    np.testing.assert_array_equal(OrderedSymbols(**config)((8, 4)), OrderedSymbols(2, 0.3, seed=5)((8, 4)))
